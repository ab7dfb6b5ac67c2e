"""The step of least squares in a trust region and a box, by orthogonal factorizations."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._types import Scalar
from ._local_model import LocalModel, Quadratic

_ENOUGH = 0.1  # of what the straight model promises; the searches of NIST's problems hardly depend on it


class BoxStep(eqx.Module):
    """A step, which coordinates it puts on a bound, and whether the trust region limits it.

    - `newton`, `decrement`: the step if neither region nor box were there, and by how much it would lower the model.

    The numbers lie in one array: every array that a loop carries is a kernel to compile.
    """

    packed: Float[Array, " k"]

    @staticmethod
    def of(
        step: Float[Array, " p"],
        at_lower: Bool[Array, " p"],
        at_upper: Bool[Array, " p"],
        limited: Bool[Array, ""],
        newton: Float[Array, " p"],
        decrement: Scalar,
    ) -> "BoxStep":
        """From its parts."""
        flags = (at.astype(step.dtype) for at in (at_lower, at_upper))
        return BoxStep(jnp.concatenate([step, *flags, limited[None].astype(step.dtype), newton, decrement[None]]))

    @staticmethod
    def nowhere(like: Float[Array, " p"]) -> "BoxStep":
        """No step; it has no decrement yet, which shows as -1."""
        return BoxStep(jnp.asarray(np.r_[np.zeros(4 * like.size + 1), -1], like.dtype))

    def _part(self, number: int) -> Float[Array, " p"]:
        p = self.packed.size // 4
        return self.packed[number * p : (number + 1) * p]

    @property
    def step(self) -> Float[Array, " p"]:
        """The step."""
        return self._part(0)

    @property
    def at_lower(self) -> Bool[Array, " p"]:
        """Which coordinates it puts on their lower bound."""
        return self._part(1) > 0

    @property
    def at_upper(self) -> Bool[Array, " p"]:
        """Which it puts on their upper one."""
        return self._part(2) > 0

    @property
    def newton(self) -> Float[Array, " p"]:
        """The step without region and box."""
        return self.packed[3 * (self.packed.size // 4) + 1 : -1]

    @property
    def limited(self) -> Bool[Array, ""]:
        """Whether the region limits it."""
        return self.packed[3 * (self.packed.size // 4)] > 0

    @property
    def decrement(self) -> Scalar:
        """By how much `newton` would lower the model."""
        return self.packed[-1]


def damping(singular: Float[Array, " p"], gradient: Float[Array, " p"], radius: Scalar) -> Scalar:
    r"""The $\lambda \ge 0$ at which $|g / (s^2 + \lambda)|$ is the radius; zero if the step is shorter anyway.

    The reciprocal of that norm is a concave function of $\lambda$, so Newton's method started below the root climbs to
    it without a safeguard (Moré, The Levenberg-Marquardt algorithm, 1978).
    """
    squares, magnitude = singular**2, jnp.abs(gradient)
    tiny = jnp.finfo(radius.dtype).tiny
    start = jnp.maximum(jnp.max(magnitude / jnp.maximum(radius, tiny) - squares, initial=0), 0)

    def length(shift):
        return magnitude / jnp.maximum(squares + shift, tiny)

    def unfinished(carry):
        count, shift = carry
        excess = jnp.sqrt(jnp.sum(length(shift) ** 2)) - radius
        return (count < 30) & (excess > radius * 1e-3)

    def newton(carry):
        count, shift = carry
        y = length(shift)
        norm2 = jnp.sum(y**2)
        slope = jnp.sum(y**2 / jnp.maximum(squares + shift, tiny))
        return count + 1, shift + norm2 / slope * (jnp.sqrt(norm2) - radius) / radius

    return jax.lax.while_loop(unfinished, newton, (jnp.asarray(0), start))[1]


def ball_step(
    model: Quadratic,
    scale: Float[Array, " p"],
    fixed: Float[Array, " p"],
    free: Bool[Array, " p"],
    radius: Scalar,
) -> tuple[Float[Array, " p"], Bool[Array, ""], Float[Array, " p"], Scalar]:
    r"""The minimizer of the model over the free coordinates, the others moved by `fixed`, with $|D\delta|$ bounded.

    Also whether the bound matters, the minimizer without it, and by how much that one lowers the model. Directions that
    the Jacobian does not resolve are left alone, as in a step of least norm.
    """
    scaled = jnp.where(free[None], model.factor / scale[None], 0)
    left, singular, right = jnp.linalg.svd(scaled, full_matrices=False)
    eps = jnp.finfo(scale.dtype).eps * max(scaled.shape)
    singular = jnp.where(singular > eps * jnp.max(singular), singular, 0)
    target = model.target + model.factor @ fixed
    gradient = singular * (target @ left) + right @ jnp.where(free, model.slope / scale, 0)
    gradient = jnp.where((singular == 0) & (jnp.abs(gradient) <= eps * jnp.max(jnp.abs(gradient))), 0, gradient)
    remaining = jnp.sqrt(jnp.maximum(radius**2 - jnp.sum((scale * fixed) ** 2), 0))
    shift = damping(singular, gradient, remaining)
    resolved, endless = singular > 0, jnp.where(gradient != 0, jnp.inf, 0)
    decrement = jnp.sum(jnp.where(resolved, gradient / jnp.where(resolved, singular, 1), endless) ** 2) / 2
    to_step = lambda curvature: jnp.where(
        free, -jnp.where(curvature > 0, gradient / jnp.where(curvature > 0, curvature, 1), 0) @ right / scale, fixed
    )
    return to_step(singular**2 + shift), shift > 0, to_step(singular**2), decrement


def box_step(
    model: Quadratic,
    scale: Float[Array, " p"],
    lower: Float[Array, " p"],
    upper: Float[Array, " p"],
    free: Bool[Array, " p"],
    radius: Scalar,
) -> BoxStep:
    """The step towards the model's minimum in the trust region and the box `lower <= step <= upper`.

    It goes straight towards the minimizer over the free coordinates until one of them meets a bound, holds that one
    there, turns to the minimizer over the rest, and so on: the model falls all the way.
    """

    def unfinished(carry):
        _, free, going = carry
        return going & jnp.any(free)

    def segment(carry):
        so_far, free, _ = carry
        aim, limited, newton, decrement = ball_step(model, scale, jnp.where(free, 0, so_far.step), free, radius)
        move = aim - so_far.step
        room = jnp.where(move < 0, lower - so_far.step, upper - so_far.step)
        fraction = jnp.where(free & (move != 0), room / jnp.where(move == 0, 1, move), jnp.inf)
        shortest = jnp.min(fraction)
        hit = (fraction <= shortest) & (shortest < 1)
        step = jnp.where(hit, jnp.where(move < 0, lower, upper), so_far.step + jnp.minimum(shortest, 1) * move)
        step = jnp.where(free, jnp.clip(step, lower, upper), so_far.step)
        begun = so_far.decrement >= 0
        following = BoxStep.of(
            step,
            so_far.at_lower | (hit & (move < 0)),
            so_far.at_upper | (hit & (move > 0)),
            limited,
            jnp.where(begun, so_far.newton, newton),
            jnp.where(begun, so_far.decrement, decrement),
        )
        return following, free & ~hit, jnp.any(hit)

    return jax.lax.while_loop(unfinished, segment, (BoxStep.nowhere(scale), free, jnp.asarray(True)))[0]


def model_step(
    model: LocalModel,
    scale: Float[Array, " p"],
    lower: Float[Array, " p"],
    upper: Float[Array, " p"],
    free: Bool[Array, " p"],
    radius: Scalar,
) -> tuple[BoxStep, Scalar]:
    """The step towards the curved model's minimum, and by how much the model says that it lowers the cost.

    First that of the straight model, then that of the curved one's tangent there, if it is better. Where the curved
    model promises but little of what the straight one does, the region is too large; that shows before any evaluation.
    """

    of_straight = np.arange(4 * scale.size + 2) > 3 * scale.size  # `newton` and `decrement`

    def unfinished(carry):
        turn, *_, poor = carry
        return (turn % 2 == 1) | (poor & (turn < 40))

    def one(carry):
        turn, radius, last, best, promised, gain, _ = carry
        first = turn % 2 == 0
        last = box_step(model.tangent(jnp.where(first, 0, last)), scale, lower, upper, free, radius)
        promised = jnp.where(first, model.straight_reduction(last.step), promised)
        new = model.reduction(last.step)
        better = first | (new > gain)
        best = BoxStep(jnp.where(first | (better & ~of_straight), last.packed, best.packed))
        gain = jnp.where(better, new, gain)
        poor = ~first & (gain < _ENOUGH * promised)
        return turn + 1, jnp.where(poor, radius / 4, radius), last.step, best, promised, gain, poor

    zero, nowhere = jnp.zeros_like(radius), BoxStep.nowhere(scale)
    start = jnp.asarray(0, jnp.int32), radius, nowhere.step, nowhere, zero, zero, jnp.asarray(True)
    _, _, _, best, _, gain, _ = jax.lax.while_loop(unfinished, one, start)
    return best, gain
