"""Motion in a heat bath with friction, and its limit of strong friction."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ...solvers import compiled, parameter
from .._potential import AbstractPotential
from .._system import System
from ._bath import Bath, drawn, less_heat, new_bath, step_in_bath
from ._dynamics import AbstractDynamics, Dynamics
from ._steps import check_positive, in_dtype_of


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
        check_positive(self, "dt")

    def __call__(self, state: Dynamics) -> Dynamics:
        """One step."""
        return step_in_bath(self, state, self.dt, self._thermalized)

    def _thermalized(self, system: System, key: PRNGKeyArray) -> System:
        lost = self.friction * self.dt
        kept, kT = in_dtype_of(system, jnp.exp(-lost), -jnp.expm1(-2 * lost) * self.kT)
        return system.replace(velocity=kept * system.velocity + drawn(system, kT, key))

    def initial_control(self, state: Dynamics, key: PRNGKeyArray | None) -> Bath:
        """The key, and no heat yet."""
        return new_bath(self, state, key)

    @compiled
    def conserved(self, state: Dynamics) -> Array:
        """Kinetic plus potential energy, less the heat that came from the bath."""
        return less_heat(self, state)


class Brownian(AbstractDynamics):
    r"""Motion without inertia (NVT): $m \gamma \, \dot x = F + \sqrt{2 \gamma m kT} \, \xi$.

    `kT` [energy], `friction` $\gamma$ [1/time], `dt` $h$ [time]; free atoms diffuse with $D = kT / (m \gamma)$. The
    method of Leimkuhler and Matthews, $x \mathrel{+}= \frac{h}{\gamma m} F + \sqrt{2 h kT / (\gamma m)} \, (R_k +
    R_{k+1}) / 2$ with one new normal $R$ and one force a step: configurations are exact to order 2, where the method of
    Euler and Maruyama has order 1, and to order 1 in time. It is `Langevin`'s step of length $\sqrt{2 h / \gamma}$ with
    velocities drawn anew in each, and is computed so: `velocity` is at kT, but is not the rate at which positions
    change. Start with velocities drawn at kT. Source: B. Leimkuhler and C. Matthews, Appl. Math. Res. Express 2013, 34,
    doi:10.1093/amrx/abs010.
    """

    potential: AbstractPotential
    kT: Any = parameter()
    friction: Any = parameter()
    dt: Any = parameter()

    def __check_init__(self) -> None:
        check_positive(self, "friction", "dt")

    def __call__(self, state: Dynamics) -> Dynamics:
        """One step."""
        return step_in_bath(self, state, jnp.sqrt(2 * self.dt / self.friction), self._thermalized)

    def _thermalized(self, system: System, key: PRNGKeyArray) -> System:
        (kT,) = in_dtype_of(system, self.kT)
        return system.replace(velocity=drawn(system, kT, key))

    def initial_control(self, state: Dynamics, key: PRNGKeyArray | None) -> Bath:
        """The key, and no heat yet."""
        return new_bath(self, state, key)

    @compiled
    def conserved(self, state: Dynamics) -> Array:
        """Kinetic plus potential energy, less the heat that came from the bath; kept to order 1 in dt."""
        return less_heat(self, state)
