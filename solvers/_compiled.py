"""Functions that compile themselves."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import equinox as eqx

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def compiled(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`function`, or a method, that compiles itself once per structure of its arguments.

    As with `equinox.filter_jit`, arrays are data and all else is structure. Where a program is being traced, nothing is
    left of it: the operations become part of that program, as if the function were plain.

        class Pendulum(eqx.Module):
            length: Scalar = parameter()

            @compiled
            def energy(self, q: Array, v: Array) -> Array: ...
    """
    # inline: a function within a function would hide its operations from the derivatives and the loops around it
    return eqx.filter_jit(function, inline=True)  # pyright: ignore[reportCallIssue]
