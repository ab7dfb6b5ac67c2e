"""What integrators with a bath share: a step around it, the heat that it gave, how many modes it warms."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from ...solvers._host import as_array
from ...solvers._tree import is_concrete
from .._system import System
from ._dynamics import AbstractDynamics, Dynamics
from ._steps import drifted, kicked


class Bath(NamedTuple):
    """What a random bath carries: the key of the next noise, and the energy that has come into the system so far."""

    key: Any
    heat: Any


def step_in_bath(
    dynamics: AbstractDynamics, state: Dynamics, h: Any, thermalized: Callable[[System, PRNGKeyArray], System]
) -> Dynamics:
    """Half a kick, half a drift, the bath, half a drift, half a kick; one force."""
    key, now = jax.random.split(state.control.key)
    system = drifted(kicked(state.system, state.force, h / 2), h / 2)
    bathed = thermalized(system, now)
    heat = state.control.heat + bathed.kinetic_energy - system.kinetic_energy
    state = dynamics.moved(state, drifted(bathed, h / 2))
    return state.replace(system=kicked(state.system, state.force, h / 2), control=Bath(key, heat))


def new_bath(dynamics: AbstractDynamics, state: Dynamics, key: PRNGKeyArray | None) -> Bath:
    """The key, and no heat yet."""
    if key is None:
        name = type(dynamics).__name__
        raise ValueError(f"{name} draws random numbers: pass a key, `start(system, key=jax.random.key(0))`.")
    return Bath(key, as_array(0, state.system.position.dtype))


def less_heat(dynamics: AbstractDynamics, state: Dynamics) -> Array:
    """Kinetic plus potential energy, less the energy that came from the bath."""
    return state.system.kinetic_energy + dynamics.potential_energy(state) - state.control.heat


def drawn(system: System, kT: Any, key: PRNGKeyArray) -> Any:
    """Velocities (n, 3) of the Maxwell-Boltzmann distribution."""
    noise = jax.random.normal(key, system.velocity.shape, system.velocity.dtype)
    return system.held(noise * jnp.sqrt(kT / system.mass)[:, None])


def check_modes(dynamics: Any, state: Dynamics) -> None:
    """A bath that scales all velocities alike finds the degrees of freedom that it was told of, as far as is known."""
    name, constraints, system = type(dynamics).__name__, dynamics.constraints, state.system
    if constraints not in (0, 1, 2, 3):
        raise ValueError(f"{name}.constraints must be 0 to 3, the conserved components of momentum, not {constraints}.")
    if not is_concrete((system, state.force, dynamics)):
        return
    if float(system.degrees_of_freedom(constraints=constraints)) < 1:
        raise ValueError(
            f"{name} has nothing to warm: all atoms are fixed, or the one atom there is needs constraints=0."
        )
    if constraints < 3 or system.fixed is not None:
        return
    force, velocity, mass = (np.asarray(x) for x in (state.force, system.velocity, system.mass))
    total, size = (np.abs(x).sum() for x in (force.sum(axis=0), force))
    typical = np.sqrt(mass * float(dynamics.kT)).sum()
    # forces in a crystal are all rounding: they count if a step of them is felt
    if total > 1e-3 * size and total * float(dynamics.dt) > 1e-6 * typical:
        raise ValueError(
            f"The forces do not add up to zero, so momentum is not conserved: {name}(..., constraints=0) counts the "
            "three degrees of freedom that it has."
        )
    drift, kinetic = np.sum((mass @ velocity) ** 2) / mass.sum() / 2, np.sum(mass[:, None] * velocity**2) / 2
    if drift > 1e-6 * kinetic:
        raise ValueError(
            f"The system moves as a whole, and {name} would take that for heat: remove the total momentum, as "
            "draw_velocities does."
        )
