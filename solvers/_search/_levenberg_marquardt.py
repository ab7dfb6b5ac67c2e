"""Least squares in a box, by a trust region scaled by the Jacobian."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._codes import code_of
from .._results import RESULTS
from .._types import Scalar
from ._local_model import LocalModel
from ._method import AbstractMethod, FailureLog, SearchState, Standing
from ._objective import AbstractObjective, Evaluation, Linearization
from ._trust_region import BoxStep, model_step

_LEAST = 0.01  # of the predicted reduction, for a step to be accepted
# Coordinates, for which the derivative is computed with the cost at every trial point: cheaper than to compute the cost
# again where a step is accepted, and half as much to compile.
_FEW = 8


class Memory(eqx.Module):
    """What to propose the next step from.

    - `model`: that of the best point.
    - `norms`: the largest that each column of the Jacobian has had.
    - `radius`: of the trust region.
    - `curved`: whether the last step was foretold better with the model's curvature than without.
    - `first`: the cost at the start.
    - `move`: the step to try next; `predicted`: by how much the model says that it lowers the cost.
    """

    model: LocalModel
    norms: Float[Array, " p"]
    radius: Scalar
    curved: Bool[Array, ""]
    first: Scalar
    move: BoxStep
    predicted: Scalar

    @property
    def scale(self) -> Float[Array, " p"]:
        """What a unit of each coordinate counts; a coordinate that has had no effect yet counts as it is.

        Beside a norm of long ago the present one must not look like rounding, or its direction would seem blind.
        """
        now = self.model.column_norms
        least = jnp.where(now > 0, now * float(jnp.finfo(now.dtype).eps) ** -0.5, jnp.inf)
        return jnp.where(self.norms > 0, jnp.minimum(self.norms, least), 1)


def scaled_gradient_norm(objective: AbstractObjective, z: Float[Array, " p"], memory: Memory) -> Scalar:
    """The largest entry of the gradient over the free coordinates, each in units of its scale."""
    gradient = memory.model.gradient
    free = objective.free(z, gradient)
    return jnp.max(jnp.where(free, jnp.abs(gradient) / memory.scale, 0), initial=0)


class LevenbergMarquardt(AbstractMethod):
    r"""Levenberg-Marquardt with bounds: a trust region scaled by the Jacobian, in which the model may be curved.

    Each step minimizes $\tfrac12 |r + J\delta + \tfrac12 c (w \cdot \delta)^2|^2 + b \cdot \delta$ with
    $|D\delta| \le \Delta$ and $l \le z + \delta \le u$.

    - $D$ holds the largest norms that the columns of $J$ have had, so the units of the coordinates do not matter (Moré,
      The Levenberg-Marquardt algorithm: implementation and theory, 1978, doi:10.1007/BFb0067700).
    - $c$ and $w$ describe how the residuals curved along the last step; they are left out after a step whose change of
      cost $r + J\delta$ alone foretold better. Without them it is Levenberg-Marquardt as usual.
    - A bound that is active at the optimum is met exactly, and left again when the gradient turns.

    The search ends where the next step would change no coordinate by more than `rtol` of its size, or would lower the
    cost by no more than `rtol**2` of it, or by less than its rounding; or where the last digits of the coordinates
    change the residuals by more than they are. If the cost does not fall although its gradient says so, the verdict is
    `search_stalled`.

    - `rtol`: positive; the default, eps^(3/4), is as tight as the dtype allows. A cost that is computed with an error,
      by an adaptive integrator for instance, calls for a larger one.
    """

    rtol: float | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if self.rtol is not None and not self.rtol > 0:
            raise ValueError(
                f"LevenbergMarquardt: `rtol` is {self.rtol}; it must be positive, or None for the default."
            )

    def init(self, objective: AbstractObjective, z: Float[Array, " p"]) -> SearchState:
        """The state before the start `z` is evaluated, which the first step does."""
        evaluation, linearization = eqx.filter_eval_shape(objective.examine, z)
        zero, none = jnp.zeros((), evaluation.cost.dtype), jnp.asarray(0, jnp.int32)
        memory = Memory(
            model=LocalModel.nothing(linearization),
            norms=jnp.zeros_like(z),
            radius=zero,
            curved=jnp.asarray(True),
            first=zero,
            move=BoxStep.nowhere(z),
            predicted=zero,
        )
        standing = Standing(
            z=z,
            cost=zero,
            gradient_norm=zero,
            num_steps=none,
            num_accepted=none,
            num_evaluations=none,
            num_jacobians=none,
            failures=FailureLog.empty(evaluation.verdicts.size),
            done=jnp.asarray(False),
            verdict=none,
        )
        return SearchState(standing=standing, memory=memory)

    def step(self, objective: AbstractObjective, state: SearchState) -> SearchState:
        """The evaluation of one trial point, and the choice of the next, or the end."""
        return self._proposed(objective, _tried(objective, state, self._relative(state.standing.z)))

    def linearization(self, state: SearchState) -> Linearization:
        """That of the cost at the best point of a state on the host, turned: all but p + 2 of its rows are zero."""
        model = state.memory.model
        triangle = np.asarray(model.triangle)
        rows = np.pad(triangle, ((0, max(model.residuals.size - len(triangle), 0)), (0, 0)))
        return Linearization(*jax.device_put((rows[:, -2], rows[:, :-2], np.asarray(model.slope))))

    def _relative(self, z: Float[Array, " p"]) -> float:
        return float(jnp.finfo(z.dtype).eps) ** 0.75 if self.rtol is None else self.rtol

    def _proposed(self, objective: AbstractObjective, state: SearchState) -> SearchState:
        """The state with the next step to try, unless the search is over."""
        standing, memory = state.standing, state.memory
        z, model = standing.z, memory.model.straightened(memory.curved)
        free = objective.free(z, model.gradient)
        room = objective.lower - z, objective.upper - z
        move, predicted = model_step(model, memory.scale, *room, free, memory.radius)
        eps, rtol = float(jnp.finfo(z.dtype).eps), self._relative(z)
        size = _size(standing, model)
        nothing = max(4 * eps, rtol**2) * size
        within = lambda step, fraction: jnp.all(jnp.abs(step) <= fraction * jnp.abs(z))
        bounded = jnp.isfinite(move.decrement)  # no slope goes on for ever
        little = (predicted <= nothing) | within(move.step, rtol)
        converged = (move.decrement <= nothing) | (bounded & within(move.newton, rtol)) | (little & ~move.limited)
        collapsed = predicted <= nothing  # the region has shrunk to nothing; which is all right next to the minimum
        near = (move.decrement <= eps**0.5 * size) | (bounded & within(move.newton, eps**0.5))
        # Residuals below what the last digits of the coordinates change: the fit is perfect. Where the cost no longer
        # falls, those that `rtol` of the coordinates change are: the rest is the noise of the residuals.
        reach = jnp.sum(model.column_norms * jnp.abs(z))
        below = lambda fraction: model.half_square <= (fraction * reach) ** 2 / 2
        fell = size <= eps**1.25 * jnp.abs(memory.first)
        perfect = fell & below(4 * eps)
        near = near | (fell & below(rtol))
        over = ~standing.done & (converged | collapsed | perfect)
        verdict = jnp.where(converged | near | perfect, 0, code_of(RESULTS.search_stalled))
        return eqx.tree_at(
            lambda s: (s.standing.done, s.standing.verdict, s.memory.move, s.memory.predicted),
            state,
            (standing.done | over, jnp.where(over, verdict, standing.verdict), move, predicted),
        )


def _size(standing: Standing, model: LocalModel) -> Scalar:
    """The cost, with which changes of it are compared.

    A cost near zero has the rounding of its terms, of which a likelihood has about one half for each datum.
    """
    return jnp.maximum(jnp.abs(standing.cost), jnp.minimum(model.half_square, model.residuals.size))


def _tried(objective: AbstractObjective, state: SearchState, rtol: float) -> SearchState:
    """The state after the evaluation of the proposed point; at first, of the start."""
    standing, memory = state.standing, state.memory
    move, z = memory.move, standing.z
    begun = standing.num_evaluations > 0
    trial = jnp.clip(z + move.step, objective.lower, objective.upper)
    trial = jnp.where(move.at_lower, objective.lower, jnp.where(move.at_upper, objective.upper, trial))
    trial = jnp.where(begun, trial, z)
    following = lambda linearization: memory.model.following(linearization, trial - z, memory.scale, begun)
    examined = objective.examine(trial) if z.size <= _FEW else None
    evaluation = objective.evaluate(trial) if examined is None else examined[0]
    actual = jnp.where(evaluation.failed, -jnp.inf, standing.cost - evaluation.cost)
    better = ~begun | (actual > _LEAST * memory.predicted)
    if examined is None:
        candidate = jax.lax.cond(better, lambda: following(objective.linearize(trial)), lambda: memory.model)
    else:
        candidate = following(examined[1])
    accepted = better & candidate.finite
    choose = lambda new, old: jax.tree.map(lambda a, b: jnp.where(accepted, a, b), new, old)
    model = choose(candidate, memory.model)
    error = lambda promised: jnp.abs(actual - promised)
    curved = error(memory.model.reduction(move.step)) <= error(memory.model.straight_reduction(move.step))
    norms = jnp.maximum(memory.norms, model.column_norms)
    radius = jnp.where(
        begun, next_radius(memory, actual, accepted), _first_radius(objective, z, norms, model.half_square)
    )
    first = jnp.where(begun, memory.first, evaluation.cost)
    memory = Memory(model, norms, radius, ~begun | curved, first, move, memory.predicted)
    # The cost does not show the little that the unrestricted step promises: it is not computed finely enough.
    noise = rtol * _size(standing, model)
    exhausted = begun & ~better & ~evaluation.failed & (move.decrement <= noise)
    unusable = jnp.where(accepted, 0, code_of(RESULTS.nonfinite_residuals))
    unusable = jnp.where(begun, 0, jnp.where(evaluation.failed, evaluation.first_failure, unusable))
    standing = _counted(standing, evaluation, begun, accepted, better if z.size > _FEW else jnp.asarray(True))
    standing = eqx.tree_at(
        lambda s: (s.z, s.cost, s.gradient_norm, s.done, s.verdict),
        standing,
        (
            choose(trial, z),
            jnp.where(accepted | ~begun, evaluation.cost, standing.cost),
            scaled_gradient_norm(objective, choose(trial, z), memory),
            exhausted | (unusable != 0),
            unusable,
        ),
    )
    return SearchState(standing=standing, memory=memory)


def _counted(
    standing: Standing,
    evaluation: Evaluation,
    begun: Bool[Array, ""],
    accepted: Bool[Array, ""],
    linearized: Bool[Array, ""],
) -> Standing:
    """With the counts after one more evaluation; the start is no step."""
    more = lambda count, new: count + new.astype(count.dtype)
    num_steps = more(standing.num_steps, begun)
    return eqx.tree_at(
        lambda s: (s.num_steps, s.num_accepted, s.num_evaluations, s.num_jacobians, s.failures),
        standing,
        (
            num_steps,
            more(standing.num_accepted, accepted & begun),
            more(standing.num_evaluations, jnp.asarray(True)),
            more(standing.num_jacobians, linearized),
            standing.failures.record(evaluation, num_steps),
        ),
    )


def _first_radius(
    objective: AbstractObjective, z: Float[Array, " p"], norms: Float[Array, " p"], half_square: Scalar
) -> Scalar:
    """The size of the start, in units of the scale."""
    length = jnp.sqrt(jnp.sum(jnp.where(objective.lower < objective.upper, norms * z, 0) ** 2))
    length = jnp.maximum(length, 1e-4 * jnp.sqrt(2 * half_square))  # a start near zero tells no length
    return jnp.where(length > 0, length, 1)


def next_radius(memory: Memory, actual: Scalar, accepted: Bool[Array, ""]) -> Scalar:
    """The trust region after a step that lowered the cost by `actual` instead of `predicted`.

    Where the step was poor, the region shrinks to the minimum of the parabola through what is known of the cost along
    it: its value and slope at the start, its value at the end.
    """
    move, predicted = memory.move, memory.predicted
    length = jnp.sqrt(jnp.sum((memory.scale * move.step) ** 2))
    slope = memory.model.gradient @ move.step
    finite = jnp.isfinite(actual)
    curvature = jnp.where(finite, -actual - slope, 1)
    shrink = jnp.where(finite & (curvature > 0), -slope / (2 * jnp.where(curvature > 0, curvature, 1)), 0.25)
    shrink = jnp.clip(shrink, 0.1, 0.5)
    ratio = jnp.where(accepted, actual / jnp.where(predicted > 0, predicted, 1), 0)
    smaller = shrink * jnp.minimum(memory.radius, length)
    larger = jnp.maximum(memory.radius, 2 * length)
    return jnp.where(ratio < 0.25, smaller, jnp.where(ratio > 0.75, larger, memory.radius))
