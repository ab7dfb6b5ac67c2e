"""What may be passed as `method`."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
import optax
import optimistix as optx

from .._problem import Problem, Squares
from .._programs import digest, formula_digest
from .._search import (
    AbstractMethod,
    LevenbergMarquardt,
    OneTrialSolver,
    OpaqueMinimiser,
    Optax,
    Optimistix,
    SearchState,
)

_Wrapped = optx.BestSoFarLeastSquares | optx.BestSoFarMinimiser


def as_method(method: Any, problem: Problem) -> AbstractMethod:
    """The method itself, or one that wraps a solver of optimistix or an optimizer of optax; fit for the problem."""
    if method is None:
        return LevenbergMarquardt()
    while isinstance(method, _Wrapped):  # a search keeps its best point anyway
        method = method.solver
    if isinstance(method, OneTrialSolver):
        method = Optimistix(method)
    elif isinstance(method, optx.AbstractMinimiser):
        method = OpaqueMinimiser(method)
    elif isinstance(method, optax.GradientTransformation):
        method = Optax(method)
    if not isinstance(method, AbstractMethod):
        raise TypeError(
            "method must be LevenbergMarquardt(), a least-squares solver or minimiser of optimistix, an optimizer of "
            f"optax, or another method of kinax, not {method!r}."
        )
    _check(method, problem)
    return method


def method_digest(method: AbstractMethod, problem: Problem) -> str:
    """A digest of the numbers and the formula of a step (an optimizer is made of functions, which look alike).

    What a host callback in it does cannot be seen (`formula_digest`).
    """
    arrays, rest = eqx.partition((method, problem), eqx.is_array)
    state = jax.eval_shape(lambda arrays: _begin(eqx.combine(arrays, rest)), arrays)
    formula = formula_digest(lambda arrays, state: _step(eqx.combine(arrays, rest), state), arrays, state)
    return digest((method, formula))


def _begin(pair: tuple[AbstractMethod, Problem]) -> SearchState:
    return pair[0].init(pair[1], pair[1].start())


def _step(pair: tuple[AbstractMethod, Problem], state: SearchState) -> SearchState:
    return pair[0].step(pair[1], state)


def _check(method: AbstractMethod, problem: Problem) -> None:
    if isinstance(method, Optimistix) and isinstance(method.solver, optx.AbstractLeastSquaresSolver):
        if not (problem.is_plain and isinstance(problem.loss, Squares)):
            raise ValueError(
                f"optimistix's {type(method.solver).__name__} minimizes sums of squares, but the cost of this problem "
                "has other terms (a loss, a likelihood or a prior): use kinax's LevenbergMarquardt() or a minimiser."
            )
    if isinstance(method, OpaqueMinimiser) and isinstance(method.solver, optx.GoldenSearch):
        if problem.lower.size != 1 or not np.isfinite([problem.lower, problem.upper]).all():
            raise ValueError("GoldenSearch needs a problem with one free parameter that has two finite bounds.")
