"""One pendulum, and two of them hung together."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp

from ..solvers import compiled, parameter
from ._check import check_positive, check_scalars, check_shape, check_state
from ._state import Motion, Real, Reals


class Pendulum(eqx.Module):
    r"""Point mass on a rigid massless rod: $\ddot q = -(g/l) \sin q - c \dot q$.

    The angle `q` [rad] counts from hanging at rest, `v` [rad/s] is its rate; `length` $l$ [m], `gravity` $g$ [m/s²],
    `damping` $c$ [1/s]. Without damping and with the amplitude $q_0$ the period is $4 \sqrt{l/g}\, K(\sin^2(q_0/2))$.
    """

    State = Motion

    length: Real = parameter()
    gravity: Real = parameter(default=9.80665)
    damping: Real = parameter(default=0.0)

    def __check_init__(self) -> None:
        check_scalars(self)
        check_positive(self, "length")

    @compiled
    def __call__(self, t: Any, y: Motion, args: Any = None) -> Motion:
        """Angular velocity and acceleration; `t` and `args` are not used."""
        check_state(self, y, Motion(q=(), v=()))
        return Motion(q=y.v, v=-self.gravity / self.length * jnp.sin(y.q) - self.damping * y.v)

    @compiled
    def energy(self, y: Motion) -> Real:
        r"""Energy per unit mass, zero at rest [J/kg]: $\frac12 l^2 v^2 + g l (1 - \cos q)$; constant if undamped.

        Written with $1 - \cos q = 2 \sin^2 \frac q2$, which keeps all digits near rest.
        """
        return (self.length * y.v) ** 2 / 2 + 2 * self.gravity * self.length * jnp.sin(y.q / 2) ** 2


class DoublePendulum(eqx.Module):
    r"""Two point masses on rigid massless rods, the second hung from the first, in a vertical plane.

    Both angles `q` of shape (2,) [rad] count from the downward vertical; `v` [rad/s] are their rates. `masses`
    $m_1, m_2$ [kg], `lengths` $l_1, l_2$ [m], `gravity` $g$ [m/s²]. With $m = m_1 + m_2$ and $d = q_1 - q_2$

    $m l_1 \dot v_1 + m_2 l_2 (\dot v_2 \cos d + v_2^2 \sin d) + m g \sin q_1 = 0$,
    $l_2 \dot v_2 + l_1 (\dot v_1 \cos d - v_1^2 \sin d) + g \sin q_2 = 0$.

    Source: T. Shinbrot et al., Am. J. Phys. 60, 491 (1992), doi:10.1119/1.16860.
    """

    State = Motion

    masses: Reals = parameter()
    lengths: Reals = parameter()
    gravity: Real = parameter(default=9.80665)

    def __check_init__(self) -> None:
        check_shape(self, "masses", (2,))
        check_shape(self, "lengths", (2,))
        check_shape(self, "gravity", ())
        check_positive(self, "masses", "lengths")

    @compiled
    def __call__(self, t: Any, y: Motion, args: Any = None) -> Motion:
        """Angular velocities and accelerations, both equations solved by hand; `t` and `args` are not used."""
        check_state(self, y, Motion(q=(2,), v=(2,)))
        upper, lower = self.lengths[0], self.lengths[1]
        share = self.masses[1] / (self.masses[0] + self.masses[1])
        sine, cosine = jnp.sin(y.q[0] - y.q[1]), jnp.cos(y.q[0] - y.q[1])
        first = -share * lower * y.v[1] ** 2 * sine - self.gravity * jnp.sin(y.q[0])
        second = upper * y.v[0] ** 2 * sine - self.gravity * jnp.sin(y.q[1])
        determinant = 1 - share * cosine**2
        acceleration = jnp.stack(
            [
                (first - share * cosine * second) / (upper * determinant),
                (second - cosine * first) / (lower * determinant),
            ]
        )
        return Motion(q=y.v, v=acceleration)

    @compiled
    def energy(self, y: Motion) -> Real:
        r"""Kinetic and potential energy, zero when both hang at rest [J]; constant in time."""
        speed = self.lengths * y.v
        total = self.masses[0] + self.masses[1]
        kinetic = (
            total * speed[0] ** 2 / 2
            + self.masses[1] * speed[1] ** 2 / 2
            + self.masses[1] * speed[0] * speed[1] * jnp.cos(y.q[0] - y.q[1])
        )
        rise = 2 * self.gravity * self.lengths * jnp.sin(y.q / 2) ** 2
        return kinetic + total * rise[0] + self.masses[1] * rise[1]
