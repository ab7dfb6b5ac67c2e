"""Constant temperature by one random factor for all velocities."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ...solvers import compiled, parameter
from ...solvers._tree import is_concrete
from .._potential import AbstractPotential
from .._system import System
from ._bath import Bath, check_modes, less_heat, new_bath, step_in_bath
from ._dynamics import AbstractDynamics, Dynamics
from ._steps import check_positive, in_dtype_of


class VelocityRescaling(AbstractDynamics):
    r"""Constant temperature (NVT): the kinetic energy $K$ of f degrees of freedom takes the random walk
    $dK = (\bar K - K) \frac{dt}{\tau} + 2 \sqrt{K \bar K / f} \, \frac{dW}{\sqrt \tau}$ about $\bar K = f kT / 2$.

    `kT` [energy], `relaxation` $\tau$ [time], `dt` [time]. The walk is exact for any dt; velocities keep their
    directions, momentum is conserved, and diffusion hardly disturbed. `constraints`: how many components of momentum
    the potential conserves, 3, or 0 with an external force (fixed atoms are counted by themselves). Raises ValueError
    for a system at rest, one that moves as a whole, and external forces without constraints=0. Source: G. Bussi, D.
    Donadio and M. Parrinello, J. Chem. Phys. 126, 014101 (2007), doi:10.1063/1.2408420.
    """

    potential: AbstractPotential
    kT: Any = parameter()
    relaxation: Any = parameter()
    dt: Any = parameter()
    constraints: int = eqx.field(static=True, default=3)

    def __check_init__(self) -> None:
        check_positive(self, "kT", "relaxation", "dt")

    def __call__(self, state: Dynamics) -> Dynamics:
        """One step."""

        def thermalized(system: System, key: PRNGKeyArray) -> System:
            kT, share = in_dtype_of(system, self.kT, self.dt / self.relaxation)
            factor = random_factor(system, kT, share, constraints=self.constraints, key=key)
            return system.replace(velocity=factor * system.velocity)

        return step_in_bath(self, state, self.dt, thermalized)

    def initial_control(self, state: Dynamics, key: PRNGKeyArray | None) -> Bath:
        """The key, and no heat yet."""
        check_modes(self, state)
        check_motion(self, state)
        return new_bath(self, state, key)

    @compiled
    def conserved(self, state: Dynamics) -> Array:
        """Kinetic plus potential energy, less the heat that came from the bath."""
        return less_heat(self, state)


def random_factor(system: System, kT: Any, share: Any, *, constraints: int, key: PRNGKeyArray) -> Array:
    """By what the velocities are multiplied after the walk has gone on for this share of its relaxation time."""
    along, across = jax.random.split(key)
    modes = jax.lax.stop_gradient(system.degrees_of_freedom(constraints=constraints))
    noise = jax.random.normal(along, (), kT.dtype)
    # the sum of the squares of f - 1 normals
    rest = jnp.where(modes > 1, 2 * jax.random.gamma(across, jnp.maximum(modes - 1, 1) / 2, (), kT.dtype), 0)
    width = -jnp.expm1(-share) * kT / (2 * system.kinetic_energy)
    straight = jnp.exp(-share / 2) + jnp.sqrt(width) * noise
    return jnp.where(straight < 0, -1, 1) * jnp.sqrt(straight**2 + width * rest)


def check_motion(dynamics: Any, state: Dynamics) -> None:
    """Something moves that can be scaled, as far as is known."""
    if is_concrete(state.system) and not float(state.system.kinetic_energy) > 0:
        name = type(dynamics).__name__
        raise ValueError(
            f"{name} cannot warm a system at rest: give it velocities, draw_velocities(system, kT, key=...)."
        )
