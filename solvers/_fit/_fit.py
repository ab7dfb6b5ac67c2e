"""`fit`: the parameters of any model that explain the data best."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
import optax
import optimistix as optx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .._checkpoint import as_checkpoint, Keeper
from .._problem import AbstractLoss, fingerprint, Parameter, Problem
from .._programs import digest, seldom_collecting
from .._results import RESULTS
from .._search import AbstractMethod, LevenbergMarquardt, Linearization, SearchState
from .._tree import is_concrete, is_float
from .._types import Scalar
from ._covariance import information
from ._driver import search_all
from ._machine import Machine
from ._methods import as_method, method_digest
from ._progress import Reporter
from ._result import FitResult
from ._start_table import start_table, StartTable
from ._starts import AbstractStarts, as_starts

Method = AbstractMethod | optx.AbstractLeastSquaresSolver | optx.AbstractMinimiser | optax.GradientTransformation


@seldom_collecting()
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
    problem = as_problem(model, residuals, data, parameters, loss)
    plan = plan_for(problem, method, starts, key, max_steps)
    saved = as_checkpoint(checkpoint)
    keeper = Keeper(saved, {} if saved is None else plan.belongs)
    result = plan.found(Machine(batch_size, devices), keeper, progress)
    _check_any_began(result.starts, problem)
    if throw and result.result != RESULTS.successful:
        raise RuntimeError(
            f"The fit did not converge in {result.stats['num_steps']} steps: {RESULTS[result.result]} "
            "With throw=False the best point is returned as it is."
        )
    return result


@dataclasses.dataclass(frozen=True)
class Plan:
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

    @property
    def belongs(self) -> dict[str, str]:
        """What a checkpoint of this fit belongs to."""
        method, points = method_digest(self.method, self.problem), self.starts.points(self.problem, self.key)
        return {"kind": "fit", **fingerprint(self.problem), "method": method, "starts": digest(points)}

    def found(self, machine: Machine, keeper: Keeper, progress: bool) -> FitResult:
        """What the search from every start found."""
        points = self.starts.points(self.problem, self.key)
        reporter = Reporter(points.shape[0], progress)
        try:
            states = search_all(self.problem, self.method, points, self.max_steps, machine, keeper, reporter)
        finally:
            reporter.close()
        limit = int(jax.tree.leaves(RESULTS.nonlinear_max_steps_reached)[0])
        table = start_table(np.asarray(points), states, limit, self.problem.experiments)
        return result_of(self.problem, table, self.recipe, _seen(self.problem, self.method, states, table.best))


def plan_for(problem: Problem, method: Any, starts: Any, key: PRNGKeyArray | None, max_steps: int) -> Plan:
    """The plan of a fit, from what `fit` is given; raises for what does not go together."""
    key = _default_key() if key is None else key
    return Plan(problem, as_method(method, problem), as_starts(starts), key, max_steps)


_TRACED = (
    "fit runs outside jit, grad and vmap: its checks and tables need values, but got a traced array. "
    "Inside a transformation use `estimate`, which is differentiable."
)


def as_problem(model: Any, residuals: Any, data: Any, parameters: Any, loss: Any) -> Problem:
    """The problem that `fit` is given, or is given the parts of; TypeError where it is traced."""
    problem = _given_problem(model, residuals, data, parameters, loss)
    if problem.is_traced:
        raise TypeError(_TRACED)
    return problem


def _given_problem(model: Any, residuals: Any, data: Any, parameters: Any, loss: Any) -> Problem:
    if not is_concrete((model, data, jax.device_put(0.0))):  # under jit even a constant is traced
        raise TypeError(_TRACED)
    if isinstance(model, Problem):
        if any(x is not None for x in (residuals, data, parameters, loss)):
            raise TypeError("fit(problem) takes residuals, data, parameters and loss from the problem: leave them out.")
        return model
    if residuals is None or parameters is None:
        raise TypeError("fit takes a Problem, or model, residuals, data and parameters=[...].")
    return Problem(model, residuals, data, parameters=parameters, loss=loss)


def _default_key() -> PRNGKeyArray:
    """`jax.random.key(0)`; that of the usual generator is known without a program."""
    if jax.config.values["jax_default_prng_impl"] != "threefry2x32":
        return jax.random.key(0)
    return jax.random.wrap_key_data(jax.device_put(np.zeros(2, np.uint32)), impl="threefry2x32")


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


class Look(NamedTuple):
    """The cost at a point, and its local model."""

    cost: Scalar
    linearization: Linearization


def result_of(problem: Problem, table: StartTable, recipe: dict[str, str], look: Look | None = None) -> FitResult:
    """What the best of the searches in the table found; `look` there, if one has been had already."""
    best = table.best
    z = jax.device_put(table.z[best])
    cost, linear = _look(problem, z) if look is None else look
    held = np.asarray((table.z[best] <= np.asarray(problem.lower)) | (table.z[best] >= np.asarray(problem.upper)))
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
def _look(problem: Problem, z: Float[Array, " p"]) -> Look:
    evaluation, linearization = problem.examine_optimum(z)
    return Look(evaluation.cost, linearization)


def _seen(problem: Problem, method: AbstractMethod, states: SearchState, best: int) -> Look | None:
    """What the search itself saw at its best point: nothing has to be computed again.

    The curvature of priors counts differently at an optimum.
    """
    if not isinstance(method, LevenbergMarquardt) or problem.layout.has_priors:
        return None
    last = jax.tree.map(lambda x: x[best], states)
    return Look(jax.device_put(last.standing.cost), method.linearization(last))
