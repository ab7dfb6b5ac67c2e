"""Bodies that attract each other: one around a fixed center, and any number of them."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp

from ..solvers import compiled, parameter
from ._check import check_not_negative, check_positive, check_scalars, check_shape, check_state
from ._state import Motion, Real, Reals


def cross(q: Reals, v: Reals) -> Reals:
    """Cross product over the last axis: of size 3 a vector, of size 2 its one component out of the plane."""
    return jnp.cross(q, v) if q.shape[-1] == 3 else q[..., 0] * v[..., 1] - q[..., 1] * v[..., 0]


def check_vectors(system: eqx.Module, y: Motion, leading: tuple[int, ...]) -> None:
    """The state's `q` and `v` hold vectors of the plane or of space: shape `leading` + (2,) or (3,)."""
    in_space = isinstance(y, Motion) and jnp.shape(y.q) == (*leading, 3)
    shape = (*leading, 3 if in_space else 2)
    check_state(system, y, Motion(q=shape, v=shape))


class Kepler(eqx.Module):
    r"""A body around a fixed center, or two bodies in relative coordinates: $\ddot q = -\mu q / |q|^3$.

    `q` [m] and `v` [m/s] have shape (2,) or (3,); `mu` $= G (m_1 + m_2)$ [m³/s²]. Any consistent units do: with `mu`
    $= 4\pi^2$, lengths are in astronomical units and times in years. A collision, $q = 0$, gives NaN.

    Source: H. Goldstein, C. Poole, J. Safko, Classical Mechanics (2002), chapter 3.
    """

    State = Motion

    mu: Real = parameter()

    def __check_init__(self) -> None:
        check_scalars(self)
        check_positive(self, "mu")

    @compiled
    def __call__(self, t: Any, y: Motion, args: Any = None) -> Motion:
        """Velocity and acceleration; `t` and `args` are not used."""
        check_vectors(self, y, ())
        square = jnp.sum(y.q**2)
        return Motion(q=y.v, v=-self.mu * y.q / (square * jnp.sqrt(square)))

    @compiled
    def energy(self, y: Motion) -> Real:
        r"""Energy per unit (reduced) mass [J/kg]: $\frac12 |v|^2 - \mu/|q|$."""
        return jnp.sum(y.v**2) / 2 - self.mu / jnp.sqrt(jnp.sum(y.q**2))

    @compiled
    def angular_momentum(self, y: Motion) -> Reals:
        r"""$q \times v$ [m²/s], shape (3,), or () in the plane."""
        return cross(y.q, y.v)

    @compiled
    def laplace_runge_lenz(self, y: Motion) -> Reals:
        r"""$|v|^2 q - (q \cdot v) v - \mu q / |q|$ [m³/s²]: points to the periapsis, `mu` × eccentricity long."""
        return jnp.sum(y.v**2) * y.q - jnp.sum(y.q * y.v) * y.v - self.mu * y.q / jnp.sqrt(jnp.sum(y.q**2))

    @compiled
    def period(self, y: Motion) -> Real:
        r"""Time of one revolution [s]: $2 \pi \sqrt{a^3/\mu}$ with $a = -\mu/(2 E)$; NaN if the orbit is not bound."""
        semi_axis = -self.mu / (2 * self.energy(y))
        return 2 * jnp.pi * jnp.sqrt(semi_axis**3 / self.mu)

    @compiled
    def periapsis(self, semi_axis: Real, eccentricity: Real) -> Motion:
        r"""The state closest to the center on the ellipse with this semi-major axis [m], in the x-y plane."""
        semi_axis, eccentricity = jnp.asarray(semi_axis), jnp.asarray(eccentricity)
        speed = jnp.sqrt(self.mu / semi_axis * (1 + eccentricity) / (1 - eccentricity))
        zero = jnp.zeros_like(speed)
        return Motion(q=jnp.stack([semi_axis * (1 - eccentricity), zero]), v=jnp.stack([zero, speed]))


class NBody(eqx.Module):
    r"""Bodies under their mutual gravity: $\ddot q_i = G \sum_{j \ne i} m_j (q_j - q_i) / (|q_j - q_i|^2 + s^2)^{3/2}$.

    `q` [m] and `v` [m/s] have shape (n, 2) or (n, 3), `masses` [kg] the shape (n,); `G` [m³/(kg s²)] is 1 unless
    given, in SI it is 6.67430e-11. A mass of zero makes a test particle. `softening` $s$ [m] (Plummer's) keeps close
    encounters finite; with the default 0, two bodies in one place give NaN. All pairs are computed, $O(n^2)$.

    Source: S. J. Aarseth, Gravitational N-Body Simulations (2003), doi:10.1017/CBO9780511535246.
    """

    State = Motion

    masses: Reals = parameter()
    G: Real = parameter(default=1.0)
    softening: Real = parameter(default=0.0)

    def __check_init__(self) -> None:
        if jnp.ndim(self.masses) != 1:
            raise ValueError(f"NBody.masses has shape {jnp.shape(self.masses)}, expected (n,): one mass for each body.")
        check_shape(self, "G", ())
        check_shape(self, "softening", ())
        check_not_negative(self, "masses", "softening")

    @compiled
    def __call__(self, t: Any, y: Motion, args: Any = None) -> Motion:
        """Velocities and accelerations; `t` and `args` are not used."""
        separation, square, others = self._pairs(y)
        strength = jnp.where(others, self.masses[None, :] / (square * jnp.sqrt(square)), 0)
        return Motion(q=y.v, v=self.G * jnp.sum(strength[:, :, None] * separation, axis=1))

    @compiled
    def energy(self, y: Motion) -> Real:
        r"""$\frac12 \sum_i m_i |v_i|^2 - \sum_{i<j} G m_i m_j / \sqrt{|q_j - q_i|^2 + s^2}$ [J]; constant in time."""
        _, square, others = self._pairs(y)
        pairs = jnp.where(others, self.masses[:, None] * self.masses[None, :] / jnp.sqrt(square), 0)
        return jnp.sum(self.masses[:, None] * y.v**2) / 2 - self.G * jnp.sum(pairs) / 2

    @compiled
    def momentum(self, y: Motion) -> Reals:
        r"""$\sum_i m_i v_i$ [kg m/s], shape (2,) or (3,); constant in time."""
        return self.masses @ y.v

    @compiled
    def angular_momentum(self, y: Motion) -> Reals:
        r"""$\sum_i m_i q_i \times v_i$ [kg m²/s], shape (3,), or () in the plane; constant in time."""
        return jnp.tensordot(self.masses, cross(y.q, y.v), axes=1)

    def _pairs(self, y: Motion) -> tuple[Reals, Reals, Any]:
        """From i to j: separations (n, n, dim), softened squared distances (n, n), and whether i and j differ."""
        check_vectors(self, y, self.masses.shape)
        others = ~jnp.eye(self.masses.shape[0], dtype=bool)
        separation = y.q[None, :, :] - y.q[:, None, :]
        square = jnp.sum(separation**2, axis=-1) + self.softening**2
        return separation, jnp.where(others, square, 1), others  # the 1 keeps the masked diagonal differentiable
