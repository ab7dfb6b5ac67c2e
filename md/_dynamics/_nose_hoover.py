"""Constant temperature by a chain of thermostats."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from ...solvers import compiled, parameter
from .._potential import AbstractPotential
from ._bath import check_modes
from ._dynamics import AbstractDynamics, Dynamics
from ._steps import check_positive, drifted, in_dtype_of, kicked

_OUTER = 1 / (2 - 2 ** (1 / 3))
_FRACTIONS = np.array([_OUTER, 1 - 2 * _OUTER, _OUTER])  # Suzuki and Yoshida, of order 4


class Chain(eqx.Module):
    r"""Thermostats $\eta_k$, each of which has the one before it as its system: positions and velocities (m,).

    The first, of mass $f kT \tau^2$, acts on f modes, the others, of mass $kT \tau^2$, on one.
    """

    position: Any
    velocity: Any

    @staticmethod
    def at_rest(length: int, dtype: Any) -> "Chain":
        """All zero."""
        return Chain(jnp.zeros(length, dtype), jnp.zeros(length, dtype))

    def advanced(self, doubled: Any, modes: Any, scale: tuple[Any, Any], h: Any) -> tuple["Chain", Any]:
        """After the time h beside f `modes` of the kinetic energy `doubled` / 2, and the factor of their velocities.

        `scale`: kT and tau. Exactly reversed by negated velocities.
        """
        kT = scale[0]
        mass, length = self._masses(modes, scale), self.velocity.size

        def part(carry, h):
            position, velocity, factor = carry
            v = [velocity[k] for k in range(length)]

            def push(k):
                heat = doubled * factor**2 - modes * kT if k == 0 else mass[k - 1] * v[k - 1] ** 2 - kT
                drag = jnp.exp(-h / 4 * v[k + 1]) if k + 1 < length else 1
                v[k] = (v[k] * drag + h / 2 * heat / mass[k]) * drag

            for k in reversed(range(length)):
                push(k)
            factor, position = factor * jnp.exp(-h * v[0]), position + h * jnp.stack(v)
            for k in range(length):
                push(k)
            return (position, jnp.stack(v), factor), None

        start = self.position, self.velocity, jnp.ones_like(kT)
        (position, velocity, factor), _ = jax.lax.scan(part, start, h * jnp.asarray(_FRACTIONS, kT.dtype))
        return Chain(position, velocity), factor

    def energy(self, modes: Any, scale: tuple[Any, Any]) -> Array:
        """What the chain adds to the conserved energy."""
        moving = jnp.sum(self._masses(modes, scale) * self.velocity**2) / 2
        return moving + scale[0] * (modes * self.position[0] + jnp.sum(self.position[1:]))

    def _masses(self, modes: Any, scale: tuple[Any, Any]) -> Array:
        kT, tau = scale
        return kT * tau**2 * jnp.ones_like(self.velocity).at[0].set(modes)


class NoseHoover(AbstractDynamics):
    r"""Constant temperature (NVT), deterministic: $\dot v = F/m - \dot\eta_1 v$ with a chain of thermostats,
    $Q_1 \ddot\eta_1 = \sum_i m_i v_i^2 - f kT - Q_1 \dot\eta_1 \dot\eta_2$,
    $Q_k \ddot\eta_k = Q_{k-1} \dot\eta_{k-1}^2 - kT - Q_k \dot\eta_k \dot\eta_{k+1}$.

    `kT` [energy], `relaxation` $\tau$ [time] with $Q_1 = f kT \tau^2$ and $Q_k = kT \tau^2$, `dt` [time], `length` of
    the chain. Of order 2, time-reversible; the chain moves by half a step, in three parts of order 4, before and after
    a step of `VelocityVerlet`. Stiff, small or harmonic systems are not sampled right with a length of 1.
    `constraints`: how many components of momentum the potential conserves, 3, or 0 with an external force (fixed atoms
    are counted by themselves). Raises ValueError for a system that moves as a whole, and external forces without
    constraints=0. Source: G. J. Martyna, M. E. Tuckerman, D. J. Tobias and M. L. Klein, Mol. Phys. 87, 1117 (1996),
    doi:10.1080/00268979600100761.
    """

    potential: AbstractPotential
    kT: Any = parameter()
    relaxation: Any = parameter()
    dt: Any = parameter()
    length: int = eqx.field(static=True, default=3)
    constraints: int = eqx.field(static=True, default=3)

    def __check_init__(self) -> None:
        check_positive(self, "kT", "relaxation", "dt")
        check_length(self)

    def __call__(self, state: Dynamics) -> Dynamics:
        """One step."""
        state = self._thermalized(state)
        system = drifted(kicked(state.system, state.force, self.dt / 2), self.dt)
        state = self.moved(state, system)
        return self._thermalized(state.replace(system=kicked(state.system, state.force, self.dt / 2)))

    def _thermalized(self, state: Dynamics) -> Dynamics:
        kT, tau, dt = in_dtype_of(state.system, self.kT, self.relaxation, self.dt)
        modes = state.system.degrees_of_freedom(constraints=self.constraints)
        chain, factor = state.control.advanced(2 * state.system.kinetic_energy, modes, (kT, tau), dt / 2)
        return state.replace(system=state.system.replace(velocity=factor * state.system.velocity), control=chain)

    def initial_control(self, state: Dynamics, key: PRNGKeyArray | None) -> Chain:
        """A chain at rest."""
        check_modes(self, state)
        return Chain.at_rest(self.length, state.system.position.dtype)

    @compiled
    def conserved(self, state: Dynamics) -> Array:
        r"""$K + U + \sum_k Q_k \dot\eta_k^2 / 2 + f kT \eta_1 + kT \sum_{k>1} \eta_k$."""
        modes = state.system.degrees_of_freedom(constraints=self.constraints)
        bath = state.control.energy(modes, in_dtype_of(state.system, self.kT, self.relaxation))
        return state.system.kinetic_energy + self.potential_energy(state) + bath


def check_length(dynamics: Any) -> None:
    """The chain has a whole number of thermostats."""
    length = dynamics.length
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise ValueError(f"{type(dynamics).__name__}.length must be a whole number of at least 1, not {length!r}.")
