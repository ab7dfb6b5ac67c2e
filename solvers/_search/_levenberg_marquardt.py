"""Least squares in a box, by a trust region scaled by the Jacobian."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._codes import code_of
from .._results import RESULTS
from .._types import Scalar
from ._local_model import LocalModel
from ._method import AbstractMethod, FailureLog, SearchState, Standing
from ._objective import AbstractObjective
from ._trust_region import BoxStep, model_step

_LEAST = 0.01  # of the predicted reduction, for a step to be accepted


class Memory(eqx.Module):
    """What to propose the next step from.

    - `model`: that of the best point.
    - `norms`: the largest that each column of the Jacobian has had.
    - `radius`: of the trust region.
    - `curved`: whether the last step was foretold better with the model's curvature than without.
    - `first`: the cost at the start.
    """

    model: LocalModel
    norms: Float[Array, " p"]
    radius: Scalar
    curved: Bool[Array, ""]
    first: Scalar

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
        """The state at the start `z`."""
        evaluation = objective.evaluate(z)
        model = LocalModel.first(objective.linearize(z))
        memory = Memory(
            model=model,
            norms=model.column_norms,
            radius=jnp.ones_like(evaluation.cost),
            curved=jnp.asarray(True),
            first=evaluation.cost,
        )
        length = jnp.sqrt(jnp.sum(jnp.where(objective.lower < objective.upper, memory.norms * z, 0) ** 2))
        length = jnp.maximum(length, 1e-4 * jnp.sqrt(2 * model.half_square))  # a start near zero tells no length
        memory = eqx.tree_at(lambda m: m.radius, memory, jnp.where(length > 0, length, 1))
        unusable = jnp.where(model.finite, 0, code_of(RESULTS.nonfinite_residuals))
        verdict = jnp.where(evaluation.failed, evaluation.first_failure, unusable)
        zero, one = jnp.asarray(0, jnp.int32), jnp.asarray(1, jnp.int32)
        standing = Standing(
            z=z,
            cost=evaluation.cost,
            gradient_norm=scaled_gradient_norm(objective, z, memory),
            num_steps=zero,
            num_accepted=zero,
            num_evaluations=one,
            num_jacobians=one,
            failures=FailureLog.empty(evaluation.verdicts.size).record(evaluation, zero),
            done=verdict != 0,
            verdict=verdict,
        )
        return SearchState(standing=standing, memory=memory)

    def step(self, objective: AbstractObjective, state: SearchState) -> SearchState:
        """One trial point, or the end."""
        standing, memory = state.standing, state.memory
        z, model = standing.z, memory.model.straightened(memory.curved)
        free = objective.free(z, model.gradient)
        move = model_step(model, memory.scale, objective.lower - z, objective.upper - z, free, memory.radius)
        predicted = model.reduction(move.step)
        eps = float(jnp.finfo(z.dtype).eps)
        rtol = eps**0.75 if self.rtol is None else self.rtol
        # A cost near zero has the rounding of its terms, of which a likelihood has about one half for each datum.
        size = jnp.maximum(jnp.abs(standing.cost), jnp.minimum(model.half_square, model.residuals.size))
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
        over = converged | collapsed | perfect
        verdict = jnp.where(converged | near | perfect, 0, code_of(RESULTS.search_stalled))
        return jax.lax.cond(
            over,
            lambda: eqx.tree_at(lambda s: (s.standing.done, s.standing.verdict), state, (over, verdict)),
            lambda: try_step(objective, state, move, predicted, rtol * size),
        )


def try_step(objective: AbstractObjective, state: SearchState, move: BoxStep, predicted: Scalar, noise: Scalar):
    """The state after the evaluation of a trial point."""
    standing, memory = state.standing, state.memory
    trial = jnp.clip(standing.z + move.step, objective.lower, objective.upper)
    trial = jnp.where(move.at_lower, objective.lower, jnp.where(move.at_upper, objective.upper, trial))
    evaluation = objective.evaluate(trial)
    actual = jnp.where(evaluation.failed, -jnp.inf, standing.cost - evaluation.cost)
    better = actual > _LEAST * predicted
    candidate = jax.lax.cond(
        better,
        lambda: memory.model.following(objective.linearize(trial), trial - standing.z, memory.scale),
        lambda: memory.model,
    )
    accepted = better & candidate.finite
    choose = lambda new, old: jax.tree.map(lambda a, b: jnp.where(accepted, a, b), new, old)
    model = choose(candidate, memory.model)
    error = lambda promised: jnp.abs(actual - promised)
    curved = error(memory.model.reduction(move.step)) <= error(memory.model.straight_reduction(move.step))
    radius = next_radius(memory, move, actual, predicted, accepted)
    norms = jnp.maximum(memory.norms, model.column_norms)
    memory = Memory(model=model, norms=norms, radius=radius, curved=curved, first=memory.first)
    z = choose(trial, standing.z)
    counted = lambda count, more: count + more.astype(count.dtype)
    one = jnp.asarray(True)
    num_steps = counted(standing.num_steps, one)
    standing = Standing(
        z=z,
        cost=choose(evaluation.cost, standing.cost),
        gradient_norm=scaled_gradient_norm(objective, z, memory),
        num_steps=num_steps,
        num_accepted=counted(standing.num_accepted, accepted),
        num_evaluations=counted(standing.num_evaluations, one),
        num_jacobians=counted(standing.num_jacobians, better),
        failures=standing.failures.record(evaluation, num_steps),
        # The cost does not show the little that the unrestricted step promises: it is not computed finely enough.
        done=~better & ~evaluation.failed & (move.decrement <= noise),
        verdict=standing.verdict,
    )
    return SearchState(standing=standing, memory=memory)


def next_radius(memory: Memory, move: BoxStep, actual: Scalar, predicted: Scalar, accepted: Bool[Array, ""]) -> Scalar:
    """The trust region after a step that lowered the cost by `actual` instead of `predicted`.

    Where the step was poor, the region shrinks to the minimum of the parabola through what is known of the cost along
    it: its value and slope at the start, its value at the end.
    """
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
