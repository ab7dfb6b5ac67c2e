"""The temperature that positions alone have."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._measure import covering, forces
from .._neighbors import AbstractNeighbors
from .._potential import AbstractPotential
from .._system import System


def configurational_temperature(
    potential: AbstractPotential, system: System, neighbors: AbstractNeighbors | None = None
) -> Array:
    r"""$kT = |\nabla U|^2 / \nabla^2 U$ [energy], of one configuration; right up to 1/n, without velocities.

    It differs from the kinetic temperature where a thermostat is wrong, or a time step too long. The Laplacian costs 3n
    forces. Source: H. H. Rugh, Phys. Rev. Lett. 78, 772 (1997), doi:10.1103/PhysRevLett.78.772; B. D. Butler et al., J.
    Chem. Phys. 109, 6519 (1998), doi:10.1063/1.477301.
    """
    return _ratio(potential, system, covering(potential, system, neighbors))


@eqx.filter_jit
def _ratio(potential, system, neighbors):
    force = lambda position: forces(potential, system.replace(position=position), neighbors)
    value, along = jax.linearize(force, system.position)
    size, shape = system.position.size, system.position.shape

    def curvature(k):
        unit = jnp.zeros(size, system.position.dtype).at[k].set(1)
        return -along(unit.reshape(shape)).reshape(-1)[k]

    return jnp.sum(value**2) / jnp.sum(jax.lax.map(curvature, jnp.arange(size)))
