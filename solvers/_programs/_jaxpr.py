"""The programs inside a traced program."""

from collections.abc import Iterator
from typing import Any

from jax.extend.core import ClosedJaxpr, Jaxpr
from jax.interpreters.partial_eval import dce_jaxpr


def programs_in(equation: Any) -> Iterator[ClosedJaxpr | Jaxpr]:
    """The programs inside an operation: bodies, branches, functions."""
    for param in equation.params.values():
        for one in param if isinstance(param, tuple | list) else (param,):
            if isinstance(one, ClosedJaxpr | Jaxpr):
                yield one


def constants(closed: ClosedJaxpr) -> Iterator[Any]:
    """The arrays that a program was closed over, also in the programs inside it, in order."""
    yield from closed.consts
    yield from _constants_inside(closed.jaxpr)


def _constants_inside(jaxpr: Jaxpr) -> Iterator[Any]:
    for equation in jaxpr.eqns:
        for one in programs_in(equation):
            yield from constants(one) if isinstance(one, ClosedJaxpr) else _constants_inside(one)


def can_be_lowered(closed: ClosedJaxpr) -> bool:
    """False if it asks for the tangent of a function that has a rule for reverse mode alone: JAX would notice late."""
    if not _asks_for_a_tangent(closed.jaxpr):
        return True
    needed, _ = dce_jaxpr(closed.jaxpr, [True] * len(closed.out_avals))
    return not _asks_for_a_tangent(needed)


def _asks_for_a_tangent(jaxpr: Jaxpr) -> bool:
    return any(
        equation.primitive.name == "custom_lin"
        or any(_asks_for_a_tangent(one.jaxpr if isinstance(one, ClosedJaxpr) else one) for one in programs_in(equation))
        for equation in jaxpr.eqns
    )
