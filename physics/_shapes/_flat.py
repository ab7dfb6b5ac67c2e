"""Shapes with flat faces."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ...solvers import compiled, parameter
from ._shape import AbstractShape, AbstractSolid, check_sizes, color, diagonal


class Box(AbstractSolid):
    r"""From (-a, -b, -c) to (a, b, c), the `half_sizes` [m]: $V = 8abc$, $I_{xx} = \frac13 m (b^2 + c^2)$."""

    half_sizes: Any = parameter()
    position: Any = parameter(default=(0.0, 0.0, 0.0))
    orientation: Any = parameter(default=(1.0, 0.0, 0.0, 0.0))
    color: Any = eqx.field(default=None, static=True, converter=color)

    def __check_init__(self):
        check_sizes(self, (3,), "half_sizes")

    @compiled
    def volume(self) -> Array:
        return 8 * jnp.prod(self.half_sizes)

    @compiled
    def spread(self) -> tuple[Array, Array]:
        a, b, c = self.half_sizes**2 / 3
        return jnp.zeros_like(self.position), diagonal(b + c, a + c, a + b)


class Plane(AbstractShape):
    """The endless plane z = 0 of the shape's frame, solid below: a floor, or a wall if it is turned."""

    position: Any = parameter(default=(0.0, 0.0, 0.0))
    orientation: Any = parameter(default=(1.0, 0.0, 0.0, 0.0))
    color: Any = eqx.field(default=None, static=True, converter=color)
