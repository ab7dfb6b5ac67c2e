"""A smooth bijection between all real numbers and a box, for what knows no bounds."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_INSIDE = 1e-3


class Unconstrained(eqx.Module):
    r"""Coordinates $u$ without bounds for the coordinates $l < z < h$ of a box, one by one.

    $$u = z + \log(1 - e^{-(z - l)}) - \log(1 - e^{-(h - z)}), \quad
    \frac{dz}{du} = \sigma(u - l)\,\sigma(h - u)\,(1 - e^{-(h - l)})$$

    with the logistic function $\sigma$. Further than a few units from its ends $z$ is $u$ itself, so that wide boxes
    change nothing; near one end it is softplus; in a narrow box it is the logistic function times the width. An
    infinite bound drops out. A coordinate with $l = h$ is held: there $z = l$ for every $u$, and the slope counts as
    one in `log_slope` (a density in $u$ needs something of its own along such a coordinate).
    """

    lower: Float[Array, " p"]
    upper: Float[Array, " p"]

    @property
    def held(self):
        """Which coordinates have no room."""
        return self.lower >= self.upper

    @property
    def unit(self) -> Float[Array, " p"]:
        """The length on which the map bends: 1, or the width of a narrower box."""
        return jnp.minimum(self.upper - self.lower, 1)

    def inside(self, z: Float[Array, " p"]) -> Float[Array, " p"]:
        """The point with its coordinates moved away from their bounds, to a thousandth of `unit` where nearer."""
        least = _INSIDE * self.unit
        return jnp.clip(z, self.lower + least, self.upper - least)

    def to_u(self, z: Float[Array, " p"]) -> Float[Array, " p"]:
        """Where `z` lies in `u`. What is nearer to a bound than `unit` times the rounding unit counts as that far."""
        least = float(jnp.finfo(z.dtype).eps) * self.unit
        below = jnp.where(self.held, 1, jnp.maximum(z - self.lower, least))
        above = jnp.where(self.held, 1, jnp.maximum(self.upper - z, least))
        return z + _log1mexp(below) - _log1mexp(above)

    def to_z(self, u: Float[Array, " p"]) -> Float[Array, " p"]:
        """The point in the box; measured from the nearer bound, so that it is accurate at both."""
        has_lower, has_upper = jnp.isfinite(self.lower), jnp.isfinite(self.upper)
        low, high = jnp.where(has_lower, self.lower, 0), jnp.where(has_upper, self.upper, 0)
        room = _log1mexp(jnp.where(self.held, 1, self.upper - self.lower))
        past_upper = jnp.where(has_upper, jax.nn.softplus(u - high), 0)
        past_lower = jnp.where(has_lower, jax.nn.softplus(low - u), 0)
        from_lower = low + jax.nn.softplus(room + (u - low) - past_upper)
        from_upper = high - jax.nn.softplus(room + (high - u) - past_lower)
        z = jnp.where(has_lower & (~has_upper | (u - low < high - u)), from_lower, from_upper)
        return jnp.where(self.held, self.lower, jnp.where(has_lower | has_upper, z, u))

    def log_slope(self, u: Float[Array, " p"]) -> Float[Array, " p"]:
        r"""$\log dz/du$; summed over the coordinates, what a density of $z$ needs to become one of $u$."""
        has_lower, has_upper = jnp.isfinite(self.lower), jnp.isfinite(self.upper)
        low, high = jnp.where(has_lower, self.lower, 0), jnp.where(has_upper, self.upper, 0)
        ends = jnp.where(has_lower, jax.nn.softplus(low - u), 0) + jnp.where(has_upper, jax.nn.softplus(u - high), 0)
        return jnp.where(self.held, 0, _log1mexp(jnp.where(self.held, 1, self.upper - self.lower)) - ends)


def _log1mexp(x: Float[Array, " p"]) -> Float[Array, " p"]:
    r"""$\log(1 - e^{-x})$ for positive `x`."""
    return jnp.log(-jnp.expm1(-x))
