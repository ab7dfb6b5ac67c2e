"""A posterior as NUTS wants it: a log density of unbounded numbers, and a Gaussian that is near it."""

from collections.abc import Sequence

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._problem import Problem
from .._search import Unconstrained
from .._types import Scalar

_BLIND = 1e-6  # of a coordinate's own information: what directions that the data do not see are given


class Density(eqx.Module):
    r"""The posterior of a problem in coordinates $u$ without bounds.

    $$\log p(u) = -\text{cost}(z) + \sum_k \log\frac{dv_k}{dz_k} + \sum_k \log\frac{dz_k}{du_k}$$

    with the parameters' values $v$: the cost is minus the logarithm of a density of values. Minus infinity where a
    simulation fails. `free`: the coordinates that have room between their bounds; only they have a $u$.
    """

    problem: Problem
    free: tuple[int, ...] = eqx.field(static=True)

    @property
    def box(self) -> Unconstrained:
        """The bounds of the free coordinates."""
        k = np.asarray(self.free, np.int32)
        return Unconstrained(self.problem.lower[k], self.problem.upper[k])

    def to_z(self, u: Float[Array, " d"]) -> Float[Array, " p"]:
        """The problem's coordinates."""
        return self.problem.lower.at[np.asarray(self.free, np.int32)].set(self.box.to_z(u))

    def log_volume(self, u: Float[Array, " d"]) -> Scalar:
        """The logarithm of the volume of values to a unit of volume in `u`."""
        _, slope = jax.jvp(self.problem.values, (self.to_z(u),), (jnp.ones_like(self.problem.lower),))
        return jnp.sum(jnp.log(slope)[np.asarray(self.free, np.int32)]) + jnp.sum(self.box.log_slope(u))

    def __call__(self, u: Float[Array, " d"]) -> Scalar:
        """The log density; it and its gradient come from one simulation, in the mode that the problem prefers."""
        differentiate = jax.jacfwd if self.problem.mode.gradient_is_forward else jax.grad
        here = jax.lax.stop_gradient(u)
        slope, value = differentiate(lambda u: (self._value(u),) * 2, has_aux=True)(here)
        slope = jax.lax.stop_gradient(jnp.where(jnp.isfinite(value), slope, 0))
        return jax.lax.stop_gradient(value) + slope @ (u - here)

    def _value(self, u: Float[Array, " d"]) -> Scalar:
        found = self.problem.evaluate(self.to_z(u))
        return jnp.where(found.failed, -jnp.inf, self.log_volume(u) - found.cost)


class Gaussian(eqx.Module):
    """A normal distribution of `u`: where chains start, and their metric."""

    mean: Float[Array, " d"]
    covariance: Float[Array, "d d"]


def density_of(problem: Problem) -> Density:
    """The posterior of a problem, if it has one."""
    if problem.is_plain:
        raise ValueError(
            "The posterior is not defined: plain residuals do not say how large the noise is. Return "
            "Observed(values, Normal(predicted, sd)) from residuals(model, data), with the noise's standard deviation "
            "sd as a number or as one more parameter, or give the parameters priors (residuals then count in units of "
            "their standard deviation)."
        )
    return Density(problem, free_of(problem))


def free_of(problem: Problem) -> tuple[int, ...]:
    """The coordinates that have room."""
    free = tuple(np.flatnonzero(np.asarray(problem.lower < problem.upper)).tolist())
    if not free:
        raise ValueError("Every parameter is held by bounds that coincide: there is nothing to sample.")
    return free


def improper(problem: Problem) -> tuple[str, ...]:
    """The names of parameters with neither a prior nor two bounds: their prior cannot be normalized."""
    flat = np.concatenate([np.full(entry.size, entry.prior is None) for entry in problem.layout.free])
    ends = jnp.stack([problem.values(problem.lower), problem.values(problem.upper)])
    endless = ~np.isfinite(np.asarray(ends)).all(axis=0)
    return _chosen(problem.names, flat & endless)


def gaussian_near(density: Density, z: Float[Array, " p"]) -> Gaussian:
    r"""The Gaussian of the Fisher information $J^\top J$ at an optimum, in `u`.

    Where the cost still falls towards a bound with slope g, the posterior is exponential with standard deviation 1/g.
    Directions that nothing determines get the width of the box, or else a thousand times what one coordinate alone
    would be determined to.
    """
    k, box = np.asarray(density.free, np.int32), density.box
    linear = density.problem.linearize(z)
    jacobian, slope, z = linear.jacobian[:, k], linear.gradient[k], z[k]
    width = box.upper - box.lower
    seen = jnp.sum(jacobian**2, axis=0)
    at_bound = (z <= box.lower) | (z >= box.upper)
    faint = jnp.where(jnp.isfinite(width), 12 / width**2, jnp.where(seen > 0, _BLIND * seen, 1))
    precision = jacobian.T @ jacobian + jnp.diag(faint + jnp.where(at_bound, slope**2, 0))
    covariance = _inverse(precision)
    reach = jnp.minimum(jnp.sqrt(jnp.diagonal(covariance)), 0.4 * width)
    mean = box.to_u(jnp.clip(z, box.lower + reach, box.upper - reach))
    stretch = jnp.exp(-box.log_slope(mean))
    return Gaussian(mean, stretch[:, None] * covariance * stretch[None, :])


def _inverse(matrix: Float[Array, "d d"]) -> Float[Array, "d d"]:
    """Of a positive definite matrix, scaled to a unit diagonal."""
    scale = 1 / jnp.sqrt(jnp.diagonal(matrix))
    unit = scale[:, None] * matrix * scale[None, :]
    return scale[:, None] * jnp.linalg.inv(unit) * scale[None, :]


def _chosen(names: Sequence[str], chosen: Bool[np.ndarray, " p"]) -> tuple[str, ...]:
    return tuple(name for name, yes in zip(names, chosen, strict=True) if yes)
