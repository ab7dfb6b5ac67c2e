"""Solvers of optimistix that try one point in each step, as methods."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Float, PyTree

from .._results import RESULTS
from .._types import Scalar
from ._boxed import Boxed
from ._levenberg_marquardt import code
from ._method import AbstractMethod, SearchState
from ._objective import AbstractObjective
from ._trial import ended, evaluate, gradient, improves, opening, pack, Trial, tried, unpack

OneTrialSolver = optx.AbstractGaussNewton | optx.AbstractQuasiNewton | optx.AbstractGradientDescent


class Sample(eqx.Module):
    """What a solver sees at the point `u` that it tries: a cost or residuals, and their derivative."""

    u: Float[Array, " p"]
    value: Float[Array, "..."]
    derivative: Float[Array, "... p"]


class Memory(eqx.Module):
    """The solver's point and its state, the point it tries next; the gradient at the best point so far.

    - `released`: the cost at which the search last began anew, away from bounds.
    """

    u: Float[Array, " p"]
    trial: Float[Array, " p"]
    solver: tuple[Array, ...]
    gradient: Float[Array, " p"]
    released: Scalar


class Optimistix(AbstractMethod):
    """A solver of optimistix: of the Gauss-Newton family (`GaussNewton`, `LevenbergMarquardt`, `Dogleg`, ...) for half
    sums of squares, or a minimiser that follows gradients (`BFGS`, `LBFGS`, `NonlinearCG`, ...) for any cost.

    These know no bounds, so they search in the coordinates of `Unconstrained`, from a start at least a thousandth of
    the length of a unit away from each bound. A coordinate that comes within rounding of a bound is put on it; should
    the search end there although the gradient points back into the box, it begins anew away from the bounds, until
    that no longer lowers the cost. The tolerances are the solver's own.

    `LevenbergMarquardt` of kinax, with real bounds, takes fewer steps wherever one is active.
    """

    solver: OneTrialSolver

    def init(self, objective: AbstractObjective, z: Float[Array, " p"]) -> SearchState:
        """The state at the start `z`."""
        boxed = Boxed(objective.lower, objective.upper)
        u = boxed.to_u(z)
        trial, sample = self._sample(objective, z, u)
        memory = Memory(
            u=u,
            trial=u,
            solver=pack(self._first(u, sample)),
            gradient=trial.gradient,
            released=jnp.full_like(trial.evaluation.cost, jnp.inf),
        )
        return SearchState(standing=opening(objective, trial, num_jacobians=1), memory=memory)

    def step(self, objective: AbstractObjective, state: SearchState) -> SearchState:
        """One trial point, or the end."""
        memory, boxed = state.memory, Boxed(objective.lower, objective.upper)
        trial, sample = self._sample(objective, boxed.place(memory.trial)[0], memory.trial)
        solver_state = unpack(eqx.filter_eval_shape(self._first, memory.u, sample), memory.solver)
        solver: Any = self.solver
        u, solver_state, _ = solver.step(_as_sampled, memory.u, sample, {}, solver_state, frozenset())
        over, result = solver.terminate(_as_sampled, u, sample, {}, solver_state, frozenset())
        sane = jnp.all(jnp.isfinite(u)) & jnp.all(jnp.isfinite(solver_state.y_eval))
        result = RESULTS.where(sane, RESULTS.promote(result), RESULTS.promote(optx.RESULTS.nonfinite))
        failed = code(result) != 0

        num_jacobians = jnp.where(trial.evaluation.failed, 0, 1)
        better = improves(state.standing, trial)
        counts = {"num_evaluations": 1, "num_jacobians": num_jacobians}
        standing = tried(objective, state.standing, trial, better, **counts)
        slope = jnp.where(better, trial.gradient, memory.gradient)
        gain = boxed.gain_inside(standing.z, slope)
        trapped = over & (gain > jnp.finfo(u.dtype).eps ** (2 / 3) * jnp.abs(standing.cost))
        again = trapped & ~failed & (standing.cost < memory.released)
        verdict = jnp.where(failed, code(result), jnp.where(trapped, code(RESULTS.search_stalled), 0))
        restart = boxed.to_u(standing.z)
        choose = lambda new, old: jax.tree.map(lambda a, b: jnp.where(again, a, b).astype(b.dtype), new, old)
        memory = Memory(
            u=choose(restart, u),
            trial=choose(restart, solver_state.y_eval),
            solver=choose(pack(self._first(restart, sample)), pack(solver_state)),
            gradient=slope,
            released=choose(standing.cost, memory.released),
        )
        return SearchState(standing=ended(standing, (over | failed) & ~again, verdict), memory=memory)

    def _first(self, u: Float[Array, " p"], sample: Sample) -> PyTree:
        shape = jax.ShapeDtypeStruct(sample.value.shape, sample.value.dtype)
        return self.solver.init(_as_sampled, u, sample, {}, shape, None, frozenset())

    def _sample(
        self, objective: AbstractObjective, z: Float[Array, " p"], u: Float[Array, " p"]
    ) -> tuple[Trial, Sample]:
        """The evaluation at `z`, and what the solver sees of it at `u`."""
        slope = Boxed(objective.lower, objective.upper).place(u)[1]
        evaluation = evaluate(objective, z)
        if isinstance(self.solver, optx.AbstractMinimiser):
            g = gradient(objective, z, evaluation)
            return Trial(z, evaluation, g), Sample(u=u, value=evaluation.cost, derivative=g * slope)
        linear = objective.linearize(z)
        share = jnp.sqrt(2 * evaluation.cost / linear.residuals.size)
        residuals = jnp.where(evaluation.failed, share, linear.residuals)
        jacobian = jnp.where(evaluation.failed, 0, linear.jacobian)
        # A coordinate that cannot move gets a row of its own, so that the Jacobian keeps its rank.
        value = jnp.concatenate([residuals, jnp.zeros_like(u)])
        derivative = jnp.concatenate([jacobian * slope[None], jnp.diag(jnp.where(slope == 0, 1, slope * 0))])
        return Trial(z, evaluation, residuals @ jacobian), Sample(u=u, value=value, derivative=derivative)


def _as_sampled(u: Float[Array, " p"], sample: Sample) -> tuple[Float[Array, "..."], None]:
    """The function that the solver minimizes, at the one point where it is known; NaN elsewhere."""
    known = jnp.where(jnp.all(u == sample.u), sample.value, jnp.nan)
    return known + sample.derivative @ (u - sample.u), None
