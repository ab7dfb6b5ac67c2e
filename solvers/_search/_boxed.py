"""A box in coordinates without bounds, for searches: they can reach its faces."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._types import Scalar
from ._unconstrained import Unconstrained


class Boxed(eqx.Module):
    """The coordinates of `Unconstrained`; what comes within rounding of a bound lies on it, where its slope is zero."""

    lower: Float[Array, " p"]
    upper: Float[Array, " p"]

    @property
    def _smooth(self) -> Unconstrained:
        return Unconstrained(self.lower, self.upper)

    def to_u(self, z: Float[Array, " p"]) -> Float[Array, " p"]:
        """Where a search from `z` starts: away from the bounds."""
        return self._smooth.to_u(self._smooth.inside(z))

    def place(self, u: Float[Array, " p"]) -> tuple[Float[Array, " p"], Float[Array, " p"]]:
        """The point, and the slope of each of its coordinates."""
        z = self._smooth.to_z(u)
        near = 2 * float(jnp.finfo(z.dtype).eps) * self._smooth.unit  # `to_u` of a bound is half of it away
        low, high = z - self.lower <= near, self.upper - z <= near
        slope = jnp.where(low | high, 0, jnp.exp(self._smooth.log_slope(u)))
        return jnp.where(low, self.lower, jnp.where(high, self.upper, z)), slope

    def gain_inside(self, z: Float[Array, " p"], gradient: Float[Array, " p"]) -> Scalar:
        """By how much, to first order, the cost falls if coordinates leave their bounds for where a search starts."""
        on = (z <= self.lower) | (z >= self.upper)
        return jnp.sum(jnp.where(on, jnp.maximum(-gradient * (self._smooth.inside(z) - z), 0), 0))

    def onto_bounds(
        self, u: Float[Array, " p"], gradient: Float[Array, " p"], margin: Scalar
    ) -> tuple[Float[Array, " p"], Bool[Array, ""]]:
        """The point with what is nearer than `margin` units to a bound, and falls towards it, put there; if any is."""
        z, slope = self.place(u)
        near = margin * self._smooth.unit
        low, high = (z - self.lower < near) & (gradient > 0), (self.upper - z < near) & (gradient < 0)
        move = (low | high) & (slope > 0)
        return jnp.where(move, self._smooth.to_u(jnp.where(low, self.lower, self.upper)), u), jnp.any(move)
