"""`diffrax.diffeqsolve` as a part of a larger program: not compiled by itself, without host callbacks, sooner compiled.

The functions are diffrax's own, with other modules behind their names. Numbers are the same to the bit.
"""

import dis
import functools as ft
import inspect
import types
from collections.abc import Callable
from typing import Any

import diffrax
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from diffrax._integrate import loop as _diffrax_loop
from jaxtyping import Array, ArrayLike, Float, PyTree


class _Unchecked:
    """`equinox.internal` without its checks at run time."""

    def __getattr__(self, name: str) -> Any:
        return getattr(eqxi, name)

    def error_if(self, x: PyTree, pred: ArrayLike, msg: str) -> PyTree:
        """What would be checked, as it is."""
        del pred, msg
        return x


class _Jumping(_Unchecked):
    """The same, with a `prevbefore` that goes as many floats back as the loop around it would in all."""

    times: int = 1

    def once(self, times: int) -> tuple[int]:
        """In place of `range`: one turn, which is to do what `times` turns would."""
        self.times = times
        return (times,)

    def prevbefore(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The float so many before `x`."""
        return floats_before(x, self.times)


@ft.partial(jax.custom_jvp, nondiff_argnums=(1,))
def floats_before(x: Float[Array, "..."], times: int) -> Float[Array, "..."]:
    """The float `times` before `x`, which is not -inf, by the number that its bits are; its derivative is 1.

    There are no denormal ones, as for compiled code.
    """
    kind = jnp.dtype(f"int{jnp.finfo(x.dtype).bits}")
    bits = lambda x: jax.lax.bitcast_convert_type(x, kind)
    below = bits(jnp.finfo(x.dtype).tiny.astype(x.dtype)) - 1  # of the floats next to zero, which is the number zero
    size = jnp.maximum(bits(jnp.abs(x)) - below, 0)
    number = jnp.where(x < 0, -size, size) - times
    size = jnp.abs(number)
    found = jax.lax.bitcast_convert_type(jnp.where(size == 0, 0, size + below), x.dtype)
    return jnp.where(jnp.isnan(x), x, jnp.where(number < 0, -found, found))


@floats_before.defjvp
def _floats_before_jvp(times: int, primals: Any, tangents: Any) -> Any:
    return floats_before(*primals, times), *tangents


def _renamed(function: Callable[..., Any], names: dict[str, Any]) -> Callable[..., Any]:
    """The function with other values of some of its global names. What it calls is as ever."""
    names = {**function.__globals__, **names}
    copy = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


# diffrax checks inside the program, by a host callback, that the times to save at are in order, which kinax has looked
# at before. A program with a callback is not kept in JAX's persistent cache, and cannot be exported.
diffeqsolve: Callable[..., diffrax.Solution] = _renamed(inspect.unwrap(diffrax.diffeqsolve), {"eqxi": _Unchecked()})

# Before its loop, diffrax goes back from t1 by a hundred floats, one by one: in a program with derivatives that is a
# third of a second of compilation.
_jumping = _Jumping()


def _num_ranges(code: types.CodeType) -> int:
    """How often a function, or one inside it, asks for `range`."""
    inner = (one for one in code.co_consts if isinstance(one, types.CodeType))
    return sum(one.argval == "range" for one in dis.get_instructions(code)) + sum(map(_num_ranges, inner))


_code = _diffrax_loop.__code__
_is_as_told = _num_ranges(_code) == 1 and {"range", "prevbefore"} <= set(_code.co_names)  # if not, as diffrax has it
_loop = _renamed(_diffrax_loop, {"eqxi": _jumping, "range": _jumping.once}) if _is_as_told else _diffrax_loop


class ForwardMode(diffrax.ForwardMode):
    """diffrax's, with this loop."""

    @property
    def _loop(self):
        return _loop


class RecursiveCheckpointAdjoint(diffrax.RecursiveCheckpointAdjoint):
    """diffrax's, with this loop."""

    @property
    def _loop(self):
        return _loop


class DirectAdjoint(diffrax.DirectAdjoint):
    """diffrax's, with this loop."""

    @property
    def _loop(self):
        return _loop
