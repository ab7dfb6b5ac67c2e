"""The step of least squares in a trust region and a box, by orthogonal factorizations."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._types import Scalar
from ._local_model import LocalModel, Quadratic

_ENOUGH = 0.1  # of what the straight model promises; the searches of NIST's problems hardly depend on it


class BoxStep(eqx.Module):
    """A step, which coordinates it puts on a bound, and whether the trust region limits it.

    - `newton`, `decrement`: the step if neither region nor box were there, and by how much it would lower the model.
    """

    step: Float[Array, " p"]
    at_lower: Bool[Array, " p"]
    at_upper: Bool[Array, " p"]
    limited: Bool[Array, ""]
    newton: Float[Array, " p"]
    decrement: Scalar

    @staticmethod
    def nowhere(scale: Float[Array, " p"]) -> "BoxStep":
        """No step; it has no decrement yet, which shows as -1."""
        no = jnp.zeros(scale.shape, bool)
        return BoxStep(
            step=jnp.zeros_like(scale),
            at_lower=no,
            at_upper=no,
            limited=jnp.asarray(False),
            newton=jnp.zeros_like(scale),
            decrement=-jnp.ones((), scale.dtype),
        )


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
        following = BoxStep(
            step=step,
            at_lower=so_far.at_lower | (hit & (move < 0)),
            at_upper=so_far.at_upper | (hit & (move > 0)),
            limited=limited,
            newton=jnp.where(so_far.decrement < 0, newton, so_far.newton),
            decrement=jnp.where(so_far.decrement < 0, decrement, so_far.decrement),
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
) -> BoxStep:
    """The step towards the curved model's minimum.

    First that of the straight model, then that of the curved one's tangent there, if it is better. Where the curved
    model promises but little of what the straight one does, the region is too large; that shows before any evaluation.
    """

    nowhere = BoxStep.nowhere(scale)

    def attempt(radius):
        def turn(index, carry):
            last, best, promised = carry
            last = box_step(model.tangent(last.step), scale, lower, upper, free, radius)
            first = index == 0
            promised = jnp.where(first, model.straight_reduction(last.step), promised)
            better = first | (model.reduction(last.step) > model.reduction(best.step))
            of_straight = jax.tree.map(lambda a, b: jnp.where(first, a, b), last, best)
            best = jax.tree.map(lambda a, b: jnp.where(better, a, b), last, best)
            at = lambda step: (step.newton, step.decrement)
            return last, eqx.tree_at(at, best, at(of_straight)), promised

        _, best, promised = jax.lax.fori_loop(0, 2, turn, (nowhere, nowhere, jnp.zeros_like(radius)))
        return best, model.reduction(best.step) < _ENOUGH * promised

    def poor(carry):
        count, _, _, poor = carry
        return poor & (count < 20)

    def shorter(carry):
        count, radius, _, _ = carry
        return count + 1, radius / 4, *attempt(radius)

    return jax.lax.while_loop(poor, shorter, (jnp.asarray(0), radius, nowhere, jnp.asarray(True)))[2]
