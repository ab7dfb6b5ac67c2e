"""Joints that stop."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ...solvers import parameter
from .._check import check_not_negative, check_positive
from .._mechanism import JointState, Mechanism
from .._state import Real
from ._force import AbstractForce
from ._sizes import check_number_or


class SoftLimits(AbstractForce):
    r"""A spring and a damper that begin at the limits of the joints (`Passive(limits=...)`).

    At the depth $p$ beyond a limit, with $e = \min(p / w, 1)$, the force
    $k \int_0^p e\, \mathrm{d}p + c\, e^2 (3 - 2e)\, \dot p$ drives back: it and its slope are continuous, and beyond
    the `width` $w$ it is that of a spring and a damper. `stiffness` $k$ [N/m or N m/rad], `damping` $c$
    [N s/m or N m s/rad], `width` $w$ [m or rad]: numbers, or one for each limited degree of freedom.
    """

    stiffness: Any = parameter()
    damping: Any = parameter(default=0.0)
    width: Any = parameter(default=0.01)

    def __check_init__(self) -> None:
        check_not_negative(self, "stiffness", "damping")
        check_positive(self, "width")

    def __call__(self, mechanism: Mechanism, t: Real, y: JointState) -> Float[Array, " nv"]:
        limited = mechanism.masks.limited
        for name in ("stiffness", "damping", "width"):
            check_number_or(self, name, limited.shape[0])
        q, v = y.q[mechanism.masks.chart.q_of_v[limited]], y.v[limited]
        below, above = mechanism.lower - q, q - mechanism.upper
        spring = self._spring(below) - self._spring(above)
        damper = self.damping * (self._engaged(below) + self._engaged(above)) * v
        return jnp.zeros_like(y.v).at[limited].add(spring - damper)  # in a family several may be padding

    def _spring(self, depth: Array) -> Array:
        within = jnp.clip(depth / self.width, 0, 1)
        return self.stiffness * (self.width * within**2 / 2 + jnp.maximum(depth - self.width, 0))

    def _engaged(self, depth: Array) -> Array:
        within = jnp.clip(depth / self.width, 0, 1)
        return within**2 * (3 - 2 * within)
