"""Which way to differentiate: by what the simulation supports, and by size."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, PyTree

from ._terms import refuse_driven_values


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


_chosen: dict[Any, Choice] = {}


def choose_mode(fn: Callable[..., Any], kind: PyTree, z: Float[Array, " p"]) -> Choice:
    """The mode for `fn(z) -> (vector, parts)`; found out once for each `kind`.

    A column of the Jacobian costs a forward sweep, a row or a gradient a backward one, about three times as dear; and
    the columns of a small system run side by side (8 of them in half the time of a gradient, for two populations).
    """
    arrays, rest = eqx.partition(kind, eqx.is_array_like)
    leaves, structure = jax.tree.flatten(rest)
    shapes = [(jnp.shape(x), str(jnp.result_type(x))) for x in jax.tree.leaves(arrays)]
    key = (structure, tuple(leaves), str(shapes))
    if key not in _chosen:
        if len(_chosen) >= 256:
            _chosen.pop(next(iter(_chosen)))  # the oldest
        _chosen[key] = _choose(fn, z)
    return _chosen[key]


def _choose(fn: Callable[..., Any], z: Float[Array, " p"]) -> Choice:
    closed, (flat, parts) = jax.make_jaxpr(lambda z: fn(z), return_shape=True)(z)
    refuse_driven_values(closed.jaxpr, (flat, parts))
    vector = lambda z: fn(z)[0]
    forward = z.size <= 3 * flat.size and supports_forward(vector, z)
    cheap = z.size <= 10
    mode = Mode(jacobian_is_forward=forward, gradient_is_forward=forward and (cheap or not _reverse(vector, z)))
    return Choice(mode, parts, any(isinstance(x, Tracer) for x in closed.consts))


def supports_forward(fn: Callable[[Array], PyTree], z: Float[Array, " p"]) -> bool:
    """Whether `fn` can be differentiated in forward mode (a solve with `checkpoints` cannot)."""
    return _lowers(lambda z: jax.jvp(fn, (z,), (z,)), z)


def _reverse(fn: Callable[[Array], PyTree], z: Float[Array, " p"]) -> bool:
    return _lowers(jax.grad(lambda z: jnp.sum(fn(z))), z)


def _lowers(fn: Callable[[Array], Any], z: Array) -> bool:
    try:
        jax.jit(fn).lower(z)  # tracing alone does not tell
    except Exception as error:  # each library refuses a mode in its own way
        if "custom_vjp" not in str(error) and "reverse" not in str(error).lower():
            raise
        return False
    return True


def jacobian(fn: Callable[[Array], PyTree], z: Float[Array, " p"]) -> PyTree:
    """The Jacobian of `fn` at `z`, in the mode that `fn` supports (forward, if it may)."""
    mode = jax.jacfwd if supports_forward(fn, z) else jax.jacrev
    return eqx.filter_jit(mode(fn))(z)
