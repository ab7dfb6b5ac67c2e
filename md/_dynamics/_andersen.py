"""Constant temperature by collisions."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ...solvers import compiled, parameter
from .._potential import AbstractPotential
from .._system import System
from ._bath import Bath, drawn, less_heat, new_bath, step_in_bath
from ._dynamics import AbstractDynamics, Dynamics
from ._steps import check_positive, in_dtype_of


class Andersen(AbstractDynamics):
    r"""Constant temperature (NVT) by collisions: in a step, each atom gets a new velocity, drawn at kT, with the
    probability $1 - e^{-\nu h}$.

    `kT` [energy], `rate` $\nu$ of collisions of an atom [1/time], `dt` $h$ [time]. Momentum is not conserved, and
    diffusion is slower than without collisions. A derivative through a run keeps the collisions that there were: by
    `rate` it is 0. Source: H. C. Andersen, J. Chem. Phys. 72, 2384 (1980), doi:10.1063/1.439486.
    """

    potential: AbstractPotential
    kT: Any = parameter()
    rate: Any = parameter()
    dt: Any = parameter()

    def __check_init__(self) -> None:
        check_positive(self, "kT", "rate", "dt")

    def __call__(self, state: Dynamics) -> Dynamics:
        """One step."""
        return step_in_bath(self, state, self.dt, self._thermalized)

    def _thermalized(self, system: System, key: PRNGKeyArray) -> System:
        whether, what = jax.random.split(key)
        kT, chance = in_dtype_of(system, self.kT, -jnp.expm1(-self.rate * self.dt))
        hit = jax.random.uniform(whether, system.mass.shape, chance.dtype) < chance
        return system.replace(velocity=jnp.where(hit[:, None], drawn(system, kT, what), system.velocity))

    def initial_control(self, state: Dynamics, key: PRNGKeyArray | None) -> Bath:
        """The key, and no heat yet."""
        return new_bath(self, state, key)

    @compiled
    def conserved(self, state: Dynamics) -> Array:
        """Kinetic plus potential energy, less the heat that came from the bath."""
        return less_heat(self, state)
