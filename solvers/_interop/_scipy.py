"""A problem as SciPy's optimizers take it."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float

from .._problem import Problem, Squares

_Function = Any  # of a vector: SciPy's stubs take strings there, too


class ScipyProblem(NamedTuple):
    """Functions of a NumPy vector `x`, compiled, for `scipy.optimize`; `x` are the problem's coordinates.

        least_squares(p.residuals, p.x0, p.jacobian, bounds=p.bounds)
        minimize(p.cost, p.x0, jac=p.gradient, bounds=p.bounds)

    `values(x)` are the parameters' values by name (a `Log()` parameter's coordinate is its logarithm). Where a
    simulation fails, residuals are infinite and the cost is very large; both make SciPy take a shorter step.
    """

    x0: np.ndarray
    bounds: "scipy.optimize.Bounds"
    residuals: _Function
    jacobian: _Function
    cost: _Function
    gradient: _Function
    values: Callable[[Any], dict[str, float]]


def to_scipy(problem: Problem) -> ScipyProblem:
    """The problem for `scipy.optimize`; its `residuals` and `jacobian` need a problem that is a plain sum of squares.

    With `Observed` measurements, priors or another loss use `cost` and `gradient`.
    """
    dtype = problem.start().dtype
    host = lambda fn: lambda x: np.asarray(fn(problem, jnp.asarray(x, dtype)), float)

    def squares(fn: Callable[[Problem, Any], Array]) -> _Function:
        if problem.is_plain and isinstance(problem.loss, Squares):
            return host(fn)
        return _refuse

    lower, upper = (np.asarray(end, float).tolist() for end in (problem.lower, problem.upper))
    return ScipyProblem(
        x0=np.asarray(problem.start(), float),
        bounds=scipy.optimize.Bounds(lower, upper),
        residuals=squares(_residuals),
        jacobian=squares(_jacobian),
        cost=lambda x: float(_cost(problem, jnp.asarray(x, dtype))),
        gradient=host(_gradient),
        values=lambda x: dict(
            zip(problem.names, np.asarray(problem.values(jnp.asarray(x, dtype))).tolist(), strict=True)
        ),
    )


def _refuse(x: Any) -> Any:
    raise ValueError(
        "The cost of this problem is not a plain sum of squares (it has Observed measurements, priors or another "
        "loss): give SciPy's minimize its `cost` and `gradient` instead."
    )


@eqx.filter_jit
def _residuals(problem: Problem, z: Float[Array, " p"]) -> Float[Array, " n"]:
    failed = problem.evaluate(z).failed
    return jnp.where(failed, jnp.inf, problem.linearize(z).residuals)


@eqx.filter_jit
def _jacobian(problem: Problem, z: Float[Array, " p"]) -> Float[Array, "n p"]:
    return problem.linearize(z).jacobian


@eqx.filter_jit
def _cost(problem: Problem, z: Float[Array, " p"]) -> Float[Array, ""]:
    return problem.evaluate(z).cost


@eqx.filter_jit
def _gradient(problem: Problem, z: Float[Array, " p"]) -> Float[Array, " p"]:
    return problem.gradient(z)
