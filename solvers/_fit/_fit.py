"""`fit`: the parameters of any model that explain the data best."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from .._checkpoint import as_checkpoint, Checkpoint, Keeper
from .._problem import AbstractLoss, digest, fingerprint, Parameter, Problem
from .._results import RESULTS
from .._search import AbstractMethod, Linearization
from .._tree import is_concrete, is_float
from ._covariance import information
from ._driver import search_all
from ._machine import Machine
from ._methods import as_method, method_digest
from ._progress import Reporter
from ._result import FitResult
from ._start_table import start_table, StartTable
from ._starts import AbstractStarts, as_starts

Method = AbstractMethod | optx.AbstractLeastSquaresSolver | optx.AbstractMinimiser | optax.GradientTransformation


def fit(
    model: Any,
    residuals: Callable[[Any, Any], PyTree] | None = None,
    data: PyTree = None,
    *,
    parameters: Sequence[Parameter] | None = None,
    loss: AbstractLoss | None = None,
    method: Method | None = None,
    starts: int | AbstractStarts = 1,
    key: PRNGKeyArray | None = None,
    max_steps: int = 1000,
    batch_size: int | None = None,
    devices: Sequence[Any] | None = None,
    checkpoint: Any = None,
    progress: bool = True,
    throw: bool = True,
) -> FitResult:
    r"""Find the values of the named parameters of `model` that make the cost of `residuals(model, data)` least.

    `fit(problem)` or, in one go, `fit(model, residuals, data, parameters=[...])`, which is
    `fit(Problem(model, residuals, data, parameters=[...]))`; see `Problem` for these arguments.

    - `method`: `LevenbergMarquardt()` by default; any least-squares solver or minimiser of optimistix, or optimizer of
      optax.
    - `starts`: how many searches, or `LatinHypercube(n)`, `Sobol(n)`, `UserStarts([...])`; the model's own values are
      always the first. `key` makes them reproducible, by default `jax.random.key(0)`.
    - `max_steps`: of each search.
    - `batch_size`: searches that run side by side in one program, on each of the `devices`. Changes numbers by
      rounding only; the number of devices never does.
    - `checkpoint`: a path, or `Checkpoint(path, every=seconds)`: the fit is saved now and then, at the end and at
      SIGTERM, and the same call goes on from there, to the same bits.
    - `progress`: a bar, if it takes more than a second.

    A trial point at which a simulation fails is rejected and recorded in `result.starts`; it never ends the fit. That
    takes a failure which `residuals` returns (NaN, or a result); an exception in it does end the fit.

    Raises ValueError or TypeError for a problem that cannot be right, a start (if it is the only one) at which the
    simulation fails, or a checkpoint of something else; RuntimeError if `residuals` raised at some point, or if no
    search converged and `throw`.
    """
    problem = _as_problem(model, residuals, data, parameters, loss)
    key = jax.random.key(0) if key is None else key
    plan = _Plan(problem, as_method(method, problem), as_starts(starts), key, max_steps)
    machine = Machine(batch_size, devices)
    result = result_of(problem, plan.run(machine, as_checkpoint(checkpoint), progress), plan.recipe)
    if throw and result.result != RESULTS.successful:
        raise RuntimeError(
            f"The fit did not converge in {result.stats['num_steps']} steps: {RESULTS[result.result]} "
            "With throw=False the best point is returned as it is."
        )
    return result


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What decides a fit's numbers."""

    problem: Problem
    method: AbstractMethod
    starts: AbstractStarts
    key: PRNGKeyArray
    max_steps: int

    def __post_init__(self):
        if not isinstance(self.max_steps, int | np.integer) or self.max_steps < 1:
            raise ValueError(f"max_steps must be a positive integer, not {self.max_steps!r}.")

    @property
    def recipe(self) -> dict[str, str]:
        """The plan as text."""
        texts = {"method": repr(self.method), "starts": repr(self.starts), "key": _key_text(self.key)}
        return texts | {"max_steps": str(self.max_steps)}

    def run(self, machine: Machine, checkpoint: Checkpoint | None, progress: bool) -> StartTable:
        """Search from every start."""
        points = self.starts.points(self.problem, self.key)
        keeper = Keeper(checkpoint, {} if checkpoint is None else _belongs(self.problem, self.method, points))
        reporter = Reporter(points.shape[0], progress)
        try:
            states = search_all(self.problem, self.method, points, self.max_steps, machine, keeper, reporter)
        finally:
            reporter.close()
        limit = int(jax.tree.leaves(RESULTS.nonlinear_max_steps_reached)[0])
        table = start_table(np.asarray(points), states, limit, self.problem.experiments)
        _check_any_began(table, self.problem)
        return table


_TRACED = (
    "fit runs outside jit, grad and vmap: its checks and tables need values, but got a traced array. "
    "Inside a transformation use `estimate`, which is differentiable."
)


def _as_problem(model: Any, residuals: Any, data: Any, parameters: Any, loss: Any) -> Problem:
    problem = _given_problem(model, residuals, data, parameters, loss)
    if problem.is_traced:
        raise TypeError(_TRACED)
    return problem


def _given_problem(model: Any, residuals: Any, data: Any, parameters: Any, loss: Any) -> Problem:
    if not is_concrete((model, data, jnp.zeros(()))):  # under jit even a constant is traced
        raise TypeError(_TRACED)
    if isinstance(model, Problem):
        if any(x is not None for x in (residuals, data, parameters, loss)):
            raise TypeError("fit(problem) takes residuals, data, parameters and loss from the problem: leave them out.")
        return model
    if residuals is None or parameters is None:
        raise TypeError("fit takes a Problem, or model, residuals, data and parameters=[...].")
    return Problem(model, residuals, data, parameters=parameters, loss=loss)


def _belongs(problem: Problem, method: AbstractMethod, points: Float[Array, "n p"]) -> dict[str, str]:
    """What a checkpoint of this fit belongs to."""
    return {"kind": "fit", **fingerprint(problem), "method": method_digest(method, problem), "starts": digest(points)}


def _key_text(key: PRNGKeyArray) -> str:
    return f"{jax.random.key_impl(key)} {np.asarray(jax.random.key_data(key)).tolist()}"


def _check_any_began(table: StartTable, problem: Problem) -> None:
    if (table.num_steps > 0).any() or (table.verdict == 0).any():
        return
    failures = table.failures()
    why = (
        f"Experiment {failures[0].experiment!r}: {failures[0].reason}" if failures else "Its derivative is not finite."
    )
    if any(np.isnan(x).any() for x in jax.tree.leaves(problem.groups) if is_float(x)) and problem.has_plain_terms:
        why += (
            " The data hold NaN, which plain residuals pass on: return `series.observed(Normal(predicted, sd))`, "
            "which leaves out what was not measured."
        )
    if table.cost.size == 1:
        raise ValueError(
            f"The simulation fails at the starting values. {why} "
            "Start from values at which it succeeds, or from several (`starts=`)."
        )
    raise ValueError(f"The simulation fails at all {table.cost.size} starts. {why}")


def result_of(problem: Problem, table: StartTable, recipe: dict[str, str]) -> FitResult:
    """What the best of the searches in the table found."""
    best = table.best
    z = jnp.asarray(table.z[best])
    cost, linear, at_bound = _look(problem, z)
    held = np.asarray(at_bound)
    determined = not problem.is_plain or problem.num_data > int((~held).sum())
    return FitResult(
        problem=problem,
        z=z,
        cost=cost,
        result=jax.tree.map(lambda _: np.asarray(table.verdict[best]), RESULTS.successful),
        stats={
            "num_steps": int(table.num_steps[best]),
            "num_evaluations": int(table.num_evaluations.sum()),
            "num_jacobians": int(table.num_jacobians.sum()),
        },
        starts=table,
        linearization=linear,
        at_bound=held,
        information=information(linear, held, determined),
        recipe=recipe,
    )


@eqx.filter_jit
def _look(problem: Problem, z: Float[Array, " p"]) -> tuple[Float[Array, ""], Linearization, Bool[Array, " p"]]:
    """The cost, its local model, and which coordinates lie on a bound."""
    return problem.evaluate(z).cost, problem.linearize_optimum(z), (z <= problem.lower) | (z >= problem.upper)
