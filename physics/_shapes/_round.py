"""Shapes with curved surfaces, centered at their frame's origin."""

import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ...solvers import compiled, parameter
from ._shape import AbstractSolid, check_sizes, color, diagonal


class Sphere(AbstractSolid):
    r"""A ball of `radius` r [m]: $V = \frac43 \pi r^3$, $I = \frac25 m r^2$."""

    radius: Any = parameter()
    position: Any = parameter(default=(0.0, 0.0, 0.0))
    orientation: Any = parameter(default=(1.0, 0.0, 0.0, 0.0))
    color: Any = eqx.field(default=None, static=True, converter=color)

    def __check_init__(self):
        check_sizes(self, (), "radius")

    @compiled
    def volume(self) -> Array:
        return _ball(self.radius)

    @compiled
    def spread(self) -> tuple[Array, Array]:
        moment = 2 / 5 * self.radius**2
        return jnp.zeros_like(self.position), diagonal(moment, moment, moment)


class Capsule(AbstractSolid):
    r"""A cylinder along z from -h to h with a half ball at each end; `radius` r and `half_length` h in meters.

    $V = 2 \pi r^2 h + \frac43 \pi r^3$. With $m_c$ in the cylinder and $m_s$ in the balls
    $I_{zz} = (\frac12 m_c + \frac25 m_s) r^2$ and
    $I_{xx} = m_c (\frac14 r^2 + \frac13 h^2) + m_s (\frac25 r^2 + \frac34 r h + h^2)$.
    """

    radius: Any = parameter()
    half_length: Any = parameter()
    position: Any = parameter(default=(0.0, 0.0, 0.0))
    orientation: Any = parameter(default=(1.0, 0.0, 0.0, 0.0))
    color: Any = eqx.field(default=None, static=True, converter=color)

    def __check_init__(self):
        check_sizes(self, (), "radius", "half_length")

    @compiled
    def volume(self) -> Array:
        return _tube(self.radius, self.half_length) + _ball(self.radius)

    @compiled
    def spread(self) -> tuple[Array, Array]:
        r, h = self.radius, self.half_length
        middle = _tube(r, h) / self.volume()
        ends = _ball(r) / self.volume()
        across = middle * (r**2 / 4 + h**2 / 3) + ends * (2 / 5 * r**2 + 3 / 4 * r * h + h**2)
        return jnp.zeros_like(self.position), diagonal(across, across, (middle / 2 + 2 / 5 * ends) * r**2)


class Cylinder(AbstractSolid):
    r"""Along z from -h to h; `radius` r and `half_length` h in meters.

    $V = 2 \pi r^2 h$, $I_{zz} = \frac12 m r^2$, $I_{xx} = m (\frac14 r^2 + \frac13 h^2)$.
    """

    radius: Any = parameter()
    half_length: Any = parameter()
    position: Any = parameter(default=(0.0, 0.0, 0.0))
    orientation: Any = parameter(default=(1.0, 0.0, 0.0, 0.0))
    color: Any = eqx.field(default=None, static=True, converter=color)

    def __check_init__(self):
        check_sizes(self, (), "radius", "half_length")

    @compiled
    def volume(self) -> Array:
        return _tube(self.radius, self.half_length)

    @compiled
    def spread(self) -> tuple[Array, Array]:
        across = self.radius**2 / 4 + self.half_length**2 / 3
        return jnp.zeros_like(self.position), diagonal(across, across, self.radius**2 / 2)


class Ellipsoid(AbstractSolid):
    r"""Half axes `radii` (a, b, c) [m] along x, y, z: $V = \frac43 \pi a b c$, $I_{xx} = \frac15 m (b^2 + c^2)$."""

    radii: Any = parameter()
    position: Any = parameter(default=(0.0, 0.0, 0.0))
    orientation: Any = parameter(default=(1.0, 0.0, 0.0, 0.0))
    color: Any = eqx.field(default=None, static=True, converter=color)

    def __check_init__(self):
        check_sizes(self, (3,), "radii")

    @compiled
    def volume(self) -> Array:
        return 4 / 3 * math.pi * jnp.prod(self.radii)

    @compiled
    def spread(self) -> tuple[Array, Array]:
        a, b, c = self.radii**2 / 5
        return jnp.zeros_like(self.position), diagonal(b + c, a + c, a + b)


def _ball(radius: Array) -> Array:
    return 4 / 3 * math.pi * radius**3


def _tube(radius: Array, half_length: Array) -> Array:
    return 2 * math.pi * radius**2 * half_length
