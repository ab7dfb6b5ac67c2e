"""Functions that compile themselves."""

import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import equinox as eqx
import jax

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def compiled(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`function`, or a method, that compiles itself once per structure of its arguments.

    Arrays and floats are data, all else is structure, as the floats in modules are. Where a program is being traced,
    nothing is left of it: the operations become part of that program, as if the function were plain.

        class Pendulum(eqx.Module):
            length: Scalar = parameter()

            @compiled
            def energy(self, q: Array, v: Array) -> Array: ...
    """
    # inline: a function within a function would hide its operations from the derivatives and the loops around it
    program = eqx.filter_jit(function, inline=True)  # pyright: ignore[reportCallIssue]

    # takes what the function takes
    call: Any = functools.wraps(function)(lambda *args, **kwargs: _called(program, args, kwargs))
    return call


def _called(program: Any, args: Any, kwargs: Any) -> Any:
    args, kwargs = jax.tree.map(_as_data, (args, kwargs), is_leaf=lambda x: isinstance(x, eqx.Module))
    return program(*args, **kwargs)


def _as_data(x: Any) -> Any:
    return jax.device_put(x) if isinstance(x, float | complex) else x
