"""The trust-region subproblem of least squares in a box, solved by orthogonal factorizations."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._types import Scalar
from ._objective import Linearization


class LocalModel(eqx.Module):
    r"""What remains of a linearization: $m(\delta) = \tfrac12 |R\delta|^2 + q \cdot R\delta + b \cdot \delta$.

    $J = QR$ and $q = Q^\top r$, so that the number of residuals no longer matters, and $J^\top J$ is never formed:
    its condition number is the square of that of $J$.
    """

    factor: Float[Array, "p p"]
    target: Float[Array, " p"]
    slope: Float[Array, " p"]
    half_square: Scalar  # of the residuals

    @staticmethod
    def of(linearization: Linearization) -> "LocalModel":
        """One QR factorization of the Jacobian with the residuals as a further column gives both."""
        p = linearization.jacobian.shape[1]
        augmented = jnp.concatenate([linearization.jacobian, linearization.residuals[:, None]], axis=1)
        factor = jnp.linalg.qr(augmented, mode="r")[:p]
        factor = jnp.pad(factor, ((0, p - factor.shape[0]), (0, 0)))
        half_square = jnp.sum(linearization.residuals**2) / 2
        return LocalModel(factor=factor[:, :p], target=factor[:, p], slope=linearization.slope, half_square=half_square)

    @property
    def gradient(self) -> Float[Array, " p"]:
        """The gradient at no step."""
        return self.target @ self.factor + self.slope

    @property
    def column_norms(self) -> Float[Array, " p"]:
        """Those of the Jacobian."""
        return jnp.sqrt(jnp.sum(self.factor**2, axis=0))

    @property
    def finite(self) -> Bool[Array, ""]:
        """Whether the linearization was finite."""
        return (
            jnp.all(jnp.isfinite(self.factor)) & jnp.all(jnp.isfinite(self.target)) & jnp.all(jnp.isfinite(self.slope))
        )

    def reduction(self, step: Float[Array, " p"]) -> Scalar:
        r"""By how much the step lowers the model, $-m(\delta)$."""
        change = self.factor @ step
        return -(self.target @ change) - change @ change / 2 - self.slope @ step


class BoxStep(eqx.Module):
    """A step, which coordinates it puts on a bound, and whether the trust region limits it."""

    step: Float[Array, " p"]
    at_lower: Bool[Array, " p"]
    at_upper: Bool[Array, " p"]
    limited: Bool[Array, ""]


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
    model: LocalModel,
    scale: Float[Array, " p"],
    fixed: Float[Array, " p"],
    free: Bool[Array, " p"],
    radius: Scalar,
) -> tuple[Float[Array, " p"], Bool[Array, ""]]:
    r"""The minimizer of the model over the free coordinates, the others moved by `fixed`, with $|D\delta|$ bounded.

    Directions that the Jacobian does not resolve are left alone, as in a step of least norm.
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
    curvature = singular**2 + shift
    coordinates = jnp.where(curvature > 0, -gradient / jnp.where(curvature > 0, curvature, 1), 0)
    return jnp.where(free, coordinates @ right / scale, fixed), shift > 0


def box_step(
    model: LocalModel,
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
        aim, limited = ball_step(model, scale, jnp.where(free, 0, so_far.step), free, radius)
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
        )
        return following, free & ~hit, jnp.any(hit)

    nowhere = jnp.zeros_like(free)
    start = BoxStep(step=jnp.zeros_like(scale), at_lower=nowhere, at_upper=nowhere, limited=jnp.asarray(False))
    return jax.lax.while_loop(unfinished, segment, (start, free, jnp.asarray(True)))[0]
