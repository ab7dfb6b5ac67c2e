"""Motion at constant energy."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from ...solvers import compiled, parameter
from .._potential import AbstractPotential
from ._dynamics import AbstractDynamics, Dynamics
from ._steps import check_positive, drifted, kicked


class VelocityVerlet(AbstractDynamics):
    r"""Constant energy (NVE): $v \mathrel{+}= \frac{h}{2} F/m$, $x \mathrel{+}= h v$, $v \mathrel{+}= \frac{h}{2} F/m$.

    `dt` $h$ [time]. Of order 2, time-reversible, symplectic; one force a step. `potential` gives the forces. Source:
    W. C. Swope et al., J. Chem. Phys. 76, 637 (1982), doi:10.1063/1.442716.
    """

    potential: AbstractPotential
    dt: Any = parameter()

    def __check_init__(self) -> None:
        check_positive(self, "dt")

    def __call__(self, state: Dynamics) -> Dynamics:
        """One step."""
        return _verlet(self, state, self.dt)

    def initial_control(self, state: Dynamics, key: PRNGKeyArray | None) -> None:
        """Nothing."""

    @compiled
    def conserved(self, state: Dynamics) -> Array:
        """Kinetic plus potential energy."""
        return state.system.kinetic_energy + self.potential_energy(state)


class Yoshida4(AbstractDynamics):
    r"""Constant energy, of order 4: three steps of `VelocityVerlet` with $w_1 h, w_0 h, w_1 h$; three forces a step.

    `dt` $h$ [time]. Source: H. Yoshida, Phys. Lett. A 150, 262 (1990), doi:10.1016/0375-9601(90)90092-3.
    """

    potential: AbstractPotential
    dt: Any = parameter()

    def __check_init__(self) -> None:
        check_positive(self, "dt")

    def __call__(self, state: Dynamics) -> Dynamics:
        """One step."""
        outer = 1 / (2 - 2 ** (1 / 3))
        return _composed(self, state, [outer])

    def initial_control(self, state: Dynamics, key: PRNGKeyArray | None) -> None:
        """Nothing."""

    @compiled
    def conserved(self, state: Dynamics) -> Array:
        """Kinetic plus potential energy."""
        return state.system.kinetic_energy + self.potential_energy(state)


class Yoshida6(AbstractDynamics):
    """Constant energy, of order 6: seven steps of `VelocityVerlet`, the solution A of Yoshida; seven forces a step.

    `dt` [time]. Source: H. Yoshida, Phys. Lett. A 150, 262 (1990), doi:10.1016/0375-9601(90)90092-3.
    """

    potential: AbstractPotential
    dt: Any = parameter()

    def __check_init__(self) -> None:
        check_positive(self, "dt")

    def __call__(self, state: Dynamics) -> Dynamics:
        """One step."""
        return _composed(self, state, [0.784513610477560, 0.235573213359357, -1.17767998417887])

    def initial_control(self, state: Dynamics, key: PRNGKeyArray | None) -> None:
        """Nothing."""

    @compiled
    def conserved(self, state: Dynamics) -> Array:
        """Kinetic plus potential energy."""
        return state.system.kinetic_energy + self.potential_energy(state)


def _verlet(dynamics: Any, state: Dynamics, h: Any) -> Dynamics:
    system = kicked(state.system, state.force, h / 2)
    state = dynamics.moved(state, drifted(system, h))
    system = kicked(state.system, state.force, h / 2)
    return state.replace(system=system)


def _composed(dynamics: Any, state: Dynamics, outer: list[float]) -> Dynamics:
    """Verlet steps of these fractions of dt, then of the rest, then of these again in reverse."""
    fractions = np.array([*outer, 1 - 2 * sum(outer), *outer[::-1]])
    steps = dynamics.dt * jnp.asarray(fractions, dynamics.dt.dtype)
    last = jax.lax.scan(lambda state, h: (_verlet(dynamics, state, h), None), state, steps)[0]
    count = state.log.steps + 1  # all of these are one
    step = jnp.minimum(last.log.unstable_step, count)
    log = last.log._replace(steps=count, unstable_step=step)
    return eqx.tree_at(lambda s: s.log, last, log)
