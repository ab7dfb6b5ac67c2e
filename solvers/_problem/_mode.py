"""Which way to differentiate: by what the simulation supports, and by size."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from .._programs import can_be_lowered, Remembered, signature_of
from .._tree import is_concrete
from ._terms import refuse_driven_values

_FEW = 10  # coordinates, for which a gradient in forward mode costs no more than one in reverse mode


@dataclasses.dataclass(frozen=True)
class Mode:
    """The modes for Jacobians and for gradients."""

    jacobian_is_forward: bool
    gradient_is_forward: bool

    def jacobian(self, fn: Callable[..., Any], z: Float[Array, " p"]) -> tuple[Float[Array, "n p"], Any]:
        """The Jacobian of `fn`, which returns a vector and something beside it, and the latter."""
        differentiate = jax.jacfwd if self.jacobian_is_forward else jax.jacrev
        return differentiate(fn, has_aux=True)(z)


class Choice(NamedTuple):
    """The mode, the shapes of the parts, and whether the function depends on arrays that are being traced."""

    mode: Mode
    parts: Any
    traced: bool


_chosen: Remembered[Any, Choice] = Remembered(256)


def choose_mode(fn: Callable[..., Any], z: Float[Array, " p"]) -> Choice:
    """The mode for a module `fn(z) -> (vector, parts)`; found out once for each structure of it, by tracing alone.

    A column of the Jacobian costs a forward sweep, a row or a gradient a backward one, about three times as dear; and
    the columns of a small system run side by side (8 of them in half the time of a gradient, for two populations).
    """
    if not is_concrete(fn):  # a closure over what is being traced cannot be kept
        return _choose(fn, z)
    return _chosen.get(signature_of((fn, z)), lambda: _choose(fn, z))


def _choose(fn: Callable[..., Any], z: Float[Array, " p"]) -> Choice:
    closed, (flat, parts) = jax.make_jaxpr(lambda z: fn(z), return_shape=True)(z)
    refuse_driven_values(closed.jaxpr, (flat, parts))
    vector = lambda z: fn(z)[0]
    forward = z.size <= 3 * flat.size and supports_forward(vector, z)
    mode = Mode(forward, gradient_is_forward=forward and (z.size <= _FEW or not _supports_reverse(vector, z)))
    return Choice(mode, parts, any(isinstance(x, Tracer) for x in closed.consts))


def supports_forward(fn: Callable[[Array], PyTree], z: Float[Array, " p"]) -> bool:
    """Whether `fn` can be differentiated in forward mode (a solve with `checkpoints` cannot)."""
    try:
        closed = jax.make_jaxpr(lambda z: jax.jvp(fn, (z,), (z,)))(z)
    except Exception as error:  # each library refuses a mode in its own way
        return _not_refused(error)
    return can_be_lowered(closed)


def _supports_reverse(fn: Callable[[Array], PyTree], z: Float[Array, " p"]) -> bool:
    try:
        jax.make_jaxpr(jax.grad(lambda z: jax.numpy.sum(fn(z))))(z)
    except Exception as error:
        return _not_refused(error)
    return True


def _not_refused(error: Exception) -> bool:
    """False, or the error itself if it is another than that a mode is refused."""
    if "custom_vjp" not in str(error) and "reverse" not in str(error).lower():
        raise error
    return False
