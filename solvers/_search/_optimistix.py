"""Solvers of optimistix that try one point in each step, as methods."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Bool, Float, PyTree

from .._codes import code_of
from .._results import RESULTS
from .._types import Scalar
from ._boxed import Boxed
from ._method import AbstractMethod, SearchState
from ._objective import AbstractObjective
from ._trial import ended, improves, opening, pack, Trial, tried, unpack

OneTrialSolver = optx.AbstractGaussNewton | optx.AbstractQuasiNewton | optx.AbstractGradientDescent


class Sample(eqx.Module):
    """What a solver sees at the point `u` that it tries: a cost or residuals, and their derivative."""

    u: Float[Array, " p"]
    value: Float[Array, "..."]
    derivative: Float[Array, "... p"]


class Memory(eqx.Module):
    """The solver's point and its state, and the point it tries next.

    - `gradient`: at the best point so far.
    - `released`: the cost at which the search last began anew, away from bounds.
    - `probing`: whether the next trial is not the solver's, but the best point moved onto bounds that are close.
    - `margin`: how close that is.
    """

    u: Float[Array, " p"]
    trial: Float[Array, " p"]
    solver: tuple[Array, ...]
    gradient: Float[Array, " p"]
    released: Scalar
    probing: Bool[Array, ""]
    margin: Scalar


class Optimistix(AbstractMethod):
    """A solver of optimistix: of the Gauss-Newton family (`GaussNewton`, `LevenbergMarquardt`, `Dogleg`, ...) for half
    sums of squares, or a minimiser that follows gradients (`BFGS`, `LBFGS`, `NonlinearCG`, ...) for any cost.

    These know no bounds, so they search in the coordinates of `Unconstrained`, from a start at least a thousandth of
    the length of a unit away from each bound. There a bound is infinitely far away; so a coordinate that comes close
    to one is put on it and, if that lowers the cost, the solver begins anew without it. Should the search end with a
    coordinate on a bound although the gradient points back into the box, it begins anew away from the bounds, until
    that no longer lowers the cost. The tolerances are the solver's own.
    """

    solver: OneTrialSolver

    def init(self, objective: AbstractObjective, z: Float[Array, " p"]) -> SearchState:
        """The state at the start `z`."""
        u = Boxed(objective.lower, objective.upper).to_u(z)
        trial, sample = self._sample(objective, z, u)
        cost = trial.evaluation.cost
        memory = Memory(
            u=u,
            trial=u,
            solver=pack(self._first(u, sample)),
            gradient=trial.gradient,
            released=jnp.full_like(cost, jnp.inf),
            probing=jnp.asarray(False),
            margin=jnp.full_like(cost, 0.1),
        )
        return SearchState(standing=opening(objective, trial, num_jacobians=1), memory=memory)

    def step(self, objective: AbstractObjective, state: SearchState) -> SearchState:
        """One trial point, or the end."""
        memory, boxed = state.memory, Boxed(objective.lower, objective.upper)
        trial, sample = self._sample(objective, boxed.place(memory.trial)[0], memory.trial)
        better = improves(state.standing, trial)
        num_jacobians = jnp.where(trial.evaluation.failed, 0, 1)
        standing = tried(objective, state.standing, trial, better, num_evaluations=1, num_jacobians=num_jacobians)
        memory = eqx.tree_at(lambda m: m.gradient, memory, jnp.where(better, trial.gradient, memory.gradient))
        moved, over, verdict = self._moved(boxed, memory, sample, better)
        gain = boxed.gain_inside(standing.z, memory.gradient)
        trapped = over & (verdict == 0) & (gain > jnp.finfo(gain.dtype).eps ** (2 / 3) * jnp.abs(standing.cost))
        again = trapped & (standing.cost < memory.released)
        verdict = jnp.where(trapped, code_of(RESULTS.search_stalled), verdict)
        released = self._begun(memory, boxed.to_u(standing.z), sample)
        released = eqx.tree_at(lambda m: m.released, released, standing.cost)
        probed = self._probed(memory, sample, better)
        following = _choose(memory.probing, probed, _choose(again, released, moved))
        return SearchState(standing=ended(standing, over & ~again, verdict), memory=following)

    def _moved(self, boxed: Boxed, memory: Memory, sample: Sample, better: Bool[Array, ""]):
        """After a step of the solver; whether it is over, and how."""
        solver: Any = self.solver
        solver_state = self._restored(memory, sample)
        u, solver_state, _ = solver.step(_as_sampled, memory.u, sample, {}, solver_state, frozenset())
        over, result = solver.terminate(_as_sampled, u, sample, {}, solver_state, frozenset())
        sane = jnp.all(jnp.isfinite(u)) & jnp.all(jnp.isfinite(solver_state.y_eval))
        result = code_of(RESULTS.where(sane, RESULTS.promote(result), RESULTS.promote(optx.RESULTS.nonfinite)))
        onto, close = boxed.onto_bounds(memory.trial, memory.gradient, memory.margin)
        probing = better & close
        where = lambda m: (m.u, m.trial, m.solver, m.probing)
        following = (u, jnp.where(probing, onto, solver_state.y_eval), pack(solver_state), probing)
        over = (over | (result != 0)) & ~probing & ~memory.probing
        return eqx.tree_at(where, memory, following), over, jnp.where(over, result, 0)

    def _probed(self, memory: Memory, sample: Sample, better: Bool[Array, ""]) -> Memory:
        """After the trial of a point on bounds: from there, or as if nothing had been; next time only closer."""
        memory = eqx.tree_at(lambda m: (m.margin, m.probing), memory, (memory.margin / 2, jnp.asarray(False)))
        back = eqx.tree_at(lambda m: m.trial, memory, self._restored(memory, sample).y_eval)
        return _choose(better, self._begun(memory, memory.trial, sample), back)

    def _begun(self, memory: Memory, u: Float[Array, " p"], sample: Sample) -> Memory:
        """The solver at its beginning, at `u`."""
        where = lambda m: (m.u, m.trial, m.solver, m.probing)
        return eqx.tree_at(where, memory, (u, u, pack(self._first(u, sample)), jnp.asarray(False)))

    def _restored(self, memory: Memory, sample: Sample) -> Any:
        return unpack(eqx.filter_eval_shape(self._first, memory.u, sample), memory.solver)

    def _first(self, u: Float[Array, " p"], sample: Sample) -> PyTree:
        shape = jax.ShapeDtypeStruct(sample.value.shape, sample.value.dtype)
        return self.solver.init(_as_sampled, u, sample, {}, shape, None, frozenset())

    def _sample(
        self, objective: AbstractObjective, z: Float[Array, " p"], u: Float[Array, " p"]
    ) -> tuple[Trial, Sample]:
        """The evaluation at `z`, and what the solver sees of it at `u`."""
        slope = Boxed(objective.lower, objective.upper).place(u)[1]
        if isinstance(self.solver, optx.AbstractMinimiser):
            trial = Trial.of(objective, z)
            return trial, Sample(u=u, value=trial.evaluation.cost, derivative=trial.gradient * slope)
        evaluation = objective.evaluate(z)
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


def _choose(condition: Bool[Array, ""], new: Memory, old: Memory) -> Memory:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b).astype(b.dtype), new, old)
