"""How to walk down to a minimum."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax


class AbstractDescent(eqx.Module):
    """A method that finds a minimum from gradients alone: where the energy is rounded, the gradient still points."""

    @abc.abstractmethod
    def start(self, y: Any, stiffness: Any) -> Any:
        """What the method carries; `stiffness` is the largest curvature at the start [energy/length²]."""

    @abc.abstractmethod
    def step(self, gradient: Any, y: Any, carried: Any) -> tuple[Any, Any]:
        """The change of y, an array, and what is carried on; the change is shortened afterwards if it is too long."""


class FIRE(AbstractDescent):
    """Motion with inertia that is turned towards the force, and stopped where it runs uphill. Robust.

    The mass is 1 and the time step is in units of stiffness^(-1/2): `dt` at the start, at most `longest`. Source: E.
    Bitzek et al., Phys. Rev. Lett. 97, 170201 (2006), doi:10.1103/PhysRevLett.97.170201, with its constants.
    """

    dt: float = 0.3
    longest: float = 1.0

    def start(self, y: Any, stiffness: Any) -> Any:
        """Velocity, time step and its limit, how far to turn, steps since it last ran uphill."""
        unit = jax.lax.rsqrt(stiffness)
        return jnp.zeros_like(y), self.dt * unit, self.longest * unit, jnp.full_like(unit, 0.1), jnp.int32(0)

    def step(self, gradient: Any, y: Any, carried: Any) -> tuple[Any, Any]:
        """One step."""
        velocity, dt, longest, turn, count = carried
        downhill = jnp.vdot(gradient, velocity) <= 0
        count = jnp.where(downhill, count + 1, 0)
        patient = count > 5
        dt = jnp.where(downhill, jnp.where(patient, jnp.minimum(1.1 * dt, longest), dt), dt / 2)
        turn = jnp.where(downhill, jnp.where(patient, 0.99 * turn, turn), 0.1)
        velocity = jnp.where(downhill, velocity, 0) - dt * gradient
        size = jnp.sqrt(jnp.sum(velocity**2) / jnp.maximum(jnp.sum(gradient**2), jnp.finfo(y.dtype).tiny))
        velocity = (1 - turn) * velocity - turn * size * gradient
        return dt * velocity, (velocity, dt, longest, turn, count)


class LBFGS(AbstractDescent):
    """Newton's method with the curvature that the last `memory` gradients showed (optax); fast near the minimum.

    No line search: steps are limited instead, and go along the force where the curvature misleads. Source: D. C. Liu
    and J. Nocedal, Math. Program. 45, 503 (1989), doi:10.1007/BF01589116.
    """

    memory: int = eqx.field(static=True, default=20)

    def start(self, y: Any, stiffness: Any) -> Any:
        """The gradients met, and the unit of stiffness."""
        return self._curvature.init(y), stiffness

    def step(self, gradient: Any, y: Any, carried: Any) -> tuple[Any, Any]:
        """One step."""
        met, stiffness = carried
        scaled = gradient / stiffness
        change: Any
        with jax.numpy_dtype_promotion("standard"):  # optax mixes integers
            change, met = self._curvature.update(scaled, met, y)
        uphill = jnp.vdot(change, gradient) <= 0
        return -jnp.where(uphill, scaled, change), (met, stiffness)

    @property
    def _curvature(self) -> optax.GradientTransformation:
        return optax.scale_by_lbfgs(memory_size=self.memory)
