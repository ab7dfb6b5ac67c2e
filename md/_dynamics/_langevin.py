"""Motion in a heat bath with friction."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ...solvers import parameter
from .._potential import AbstractPotential
from .._system import System
from ._dynamics import AbstractDynamics, Dynamics
from ._steps import check_dt, drifted, kicked


class Bath(NamedTuple):
    """What `Langevin` carries: the key of the next noise, and the heat that has gone into the system so far."""

    key: Any
    heat: Any


class Langevin(AbstractDynamics):
    r"""Constant temperature (NVT) by friction and noise: $m \dot v = F - \gamma m v + \sqrt{2 \gamma m kT} \, \xi$.

    `kT` [energy], `friction` $\gamma$ [1/time], `dt` [time]. The splitting BAOAB: half a kick, half a drift, the exact
    friction and noise, half a drift, half a kick; one force a step. Configurations are exact to order 2, for harmonic
    forces exactly. Source: B. Leimkuhler and C. Matthews, Appl. Math. Res. Express 2013, 34, doi:10.1093/amrx/abs010.
    """

    potential: AbstractPotential
    kT: Any = parameter()
    friction: Any = parameter()
    dt: Any = parameter()

    def __check_init__(self) -> None:
        check_dt(self)

    def __call__(self, state: Dynamics) -> Dynamics:
        """One step."""
        key, now = jax.random.split(state.control.key)
        system = drifted(kicked(state.system, state.force, self.dt / 2), self.dt / 2)
        before = system.kinetic_energy
        system = self._thermalized(system, now)
        heat = state.control.heat + system.kinetic_energy - before
        state = self.moved(state, drifted(system, self.dt / 2))
        system = kicked(state.system, state.force, self.dt / 2)
        return Dynamics(system, state.force, state.neighbors, Bath(key, heat), state.every)

    def _thermalized(self, system: System, key: PRNGKeyArray) -> System:
        dtype = system.velocity.dtype
        kept = jnp.exp(-self.friction * self.dt)
        width = jnp.sqrt(-jnp.expm1(-2 * self.friction * self.dt) * self.kT).astype(dtype) / jnp.sqrt(system.mass)
        noise = jax.random.normal(key, system.velocity.shape, dtype)
        return system.replace(velocity=kept.astype(dtype) * system.velocity + width[:, None] * noise)

    def initial_control(self, system: System, key: PRNGKeyArray | None) -> Bath:
        """The key, and no heat yet."""
        if key is None:
            raise ValueError("Langevin draws random numbers: pass a key, `start(system, key=jax.random.key(0))`.")
        return Bath(key, jnp.zeros((), system.position.dtype))

    def conserved(self, state: Dynamics) -> Array:
        """Kinetic plus potential energy, less the heat that came from the bath."""
        return state.system.kinetic_energy + self.potential_energy(state) - state.control.heat
