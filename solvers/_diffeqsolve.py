"""`diffrax.diffeqsolve` as a part of a larger program: not compiled by itself, and without host callbacks."""

import inspect
import types
from collections.abc import Callable
from typing import Any

import diffrax
import equinox.internal as eqxi
from jaxtyping import ArrayLike, PyTree


class _Unchecked:
    """`equinox.internal` without its checks at run time."""

    def __getattr__(self, name: str) -> Any:
        return getattr(eqxi, name)

    def error_if(self, x: PyTree, pred: ArrayLike, msg: str) -> PyTree:
        """What would be checked, as it is."""
        del pred, msg
        return x


def _unchecked(function: Callable[..., Any]) -> Callable[..., Any]:
    """diffrax's function, whose own checks do nothing. What it calls, the user's functions too, still checks."""
    names = {**function.__globals__, "eqxi": _Unchecked()}
    copy = types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, function.__closure__)
    copy.__kwdefaults__ = function.__kwdefaults__
    return copy


# diffrax checks inside the program, by a host callback, that the times to save at are in order, which kinax has looked
# at before. A program with a callback is not kept in JAX's persistent cache, and cannot be exported.
diffeqsolve: Callable[..., diffrax.Solution] = _unchecked(inspect.unwrap(diffrax.diffeqsolve))
