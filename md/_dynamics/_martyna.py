"""Constant pressure by a box with inertia."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ...solvers import compiled, parameter
from .._measure import virial
from .._potential import AbstractPotential
from .._system import System
from ._bath import check_modes
from ._dynamics import AbstractDynamics, Dynamics
from ._nose_hoover import Chain, check_length
from ._shape import AbstractShape, check_box, check_pressure, exponential, Isotropic, motion_tensor
from ._steps import check_positive, drifted, in_dtype_of, kicked


class MovingBox(NamedTuple):
    """What `MartynaTobiasKlein` carries: the rate of strain (3, 3), the virial (3, 3), and two chains."""

    rate: Any
    virial: Any
    bath: Chain
    box_bath: Chain


class MartynaTobiasKlein(AbstractDynamics):
    r"""Constant temperature and pressure (NPT), deterministic: the box $h$ moves with a rate of strain $\nu$,

    $$\dot x = v + x \nu, \quad \dot v = F/m - v \left(\nu + \tfrac{1}{f} \mathrm{tr} \, \nu\right) - \dot\eta v, \quad
    \dot h = h \nu, \quad W \dot \nu = V (P - P_0) + \tfrac{2K}{f} - W \dot\xi \nu,$$

    with the instantaneous pressure tensor $P$, as far as `shape` allows, and a Nosé-Hoover chain each for the f degrees
    of freedom of the atoms ($\eta$) and those of the box ($\xi$).

    - `kT` [energy], `pressure` $P_0$ [energy/length³], `dt` [time], `length` of both chains.
    - `relaxation` $\tau$ [time] of the temperature, `box_relaxation` $\tau_b$ [time] of the box:
      $W = (f + 3) kT \tau_b^2 / 3$, and chains as in `NoseHoover`.
    - `shape`: `Isotropic()`, `Anisotropic()` or `Flexible()`.
    - `constraints`: as in `NoseHoover`.

    Volumes and cells are distributed as with `CellRescaling`. Of order 2, time-reversible, one force and one virial a
    step: chains, box, kick, half the strain, drift, half the strain, kick, box, chains. Fixed atoms keep their place
    relative to the box. Raises ValueError for a box that is not periodic along all axes, or cannot shear if it has to,
    and what `NoseHoover` raises. Source: G. J. Martyna, D. J. Tobias and M. L. Klein, J. Chem. Phys. 101, 4177 (1994),
    doi:10.1063/1.467468; M. E. Tuckerman et al., J. Phys. A 39, 5629 (2006), doi:10.1088/0305-4470/39/19/S18.
    """

    potential: AbstractPotential
    kT: Any = parameter()
    pressure: Any = parameter()
    relaxation: Any = parameter()
    box_relaxation: Any = parameter()
    dt: Any = parameter()
    shape: AbstractShape = Isotropic()
    length: int = eqx.field(static=True, default=3)
    constraints: int = eqx.field(static=True, default=3)

    def __check_init__(self) -> None:
        check_positive(self, "kT", "relaxation", "box_relaxation", "dt")
        check_pressure(self)
        check_length(self)

    def __call__(self, state: Dynamics) -> Dynamics:
        """One step."""
        state = self._pushed(self._thermalized(state))
        system = self._kicked(state)
        (h,) = in_dtype_of(system, self.dt)
        half = exponential(h / 2 * state.control.rate)
        state = self.moved(state, drifted(system.deformed(half), h).deformed(half))
        state = state.replace(system=self._kicked(state))
        later = virial(self.potential, state.system, state.neighbors)
        return self._thermalized(self._pushed(state.replace(control=state.control._replace(virial=later))))

    def _thermalized(self, state: Dynamics) -> Dynamics:
        """Both chains for half a step."""
        system, control = state.system, state.control
        kT, tau, tau_box, h = in_dtype_of(system, self.kT, self.relaxation, self.box_relaxation, self.dt / 2)
        bath, slow = control.bath.advanced(2 * system.kinetic_energy, self._modes(system), (kT, tau), h)
        moving = self._inertia(system) * jnp.sum(control.rate**2)
        box_bath, slow_box = control.box_bath.advanced(moving, self._box_modes(system), (kT, tau_box), h)
        control = MovingBox(slow_box * control.rate, control.virial, bath, box_bath)
        return state.replace(system=system.replace(velocity=slow * system.velocity), control=control)

    def _pushed(self, state: Dynamics) -> Dynamics:
        """The rate of strain changed by the pressure for half a step."""
        system, control = state.system, state.control
        target, h = in_dtype_of(system, self.pressure, self.dt / 2)
        even = 2 * system.kinetic_energy / self._modes(system) - system.space.volume * target
        push = motion_tensor(system) - control.virial + even * jnp.eye(3, dtype=target.dtype)
        rate = control.rate + h * self.shape.allowed(push) / self._inertia(system)
        return state.replace(control=control._replace(rate=rate))

    def _kicked(self, state: Dynamics) -> System:
        """Velocities changed by the forces and the strain for half a step."""
        system, rate = state.system, state.control.rate
        (h,) = in_dtype_of(system, self.dt / 2)
        both = rate + jnp.trace(rate) / self._modes(system) * jnp.eye(3, dtype=h.dtype)
        slow = exponential(-h / 2 * both)
        slowed = lambda s: s.replace(velocity=jnp.matmul(s.velocity, slow, precision="highest"))
        return slowed(kicked(slowed(system), state.force, h))

    def _modes(self, system: System) -> Array:
        return system.degrees_of_freedom(constraints=self.constraints)

    def _box_modes(self, system: System) -> Array:
        return jnp.asarray(self.shape.modes, system.position.dtype)

    def _inertia(self, system: System) -> Array:
        kT, tau = in_dtype_of(system, self.kT, self.box_relaxation)
        return (self._modes(system) + 3) * kT * tau**2 / 3

    def initial_control(self, state: Dynamics, key: PRNGKeyArray | None) -> MovingBox:
        """A box and chains at rest."""
        check_box(self, state.system)
        check_modes(self, state)
        dtype = state.system.position.dtype
        chain = Chain.at_rest(self.length, dtype)
        now = virial(self.potential, state.system, state.neighbors)
        return MovingBox(jnp.zeros((3, 3), dtype), now, chain, chain)

    @compiled
    def conserved(self, state: Dynamics) -> Array:
        r"""$K + U + P_0 V + W \, \mathrm{tr} \, \nu^2 / 2$ and the energies of both chains."""
        system, control = state.system, state.control
        kT, tau, tau_box, target = in_dtype_of(system, self.kT, self.relaxation, self.box_relaxation, self.pressure)
        energy = system.kinetic_energy + self.potential_energy(state) + target * system.space.volume
        energy += self._inertia(system) * jnp.sum(control.rate**2) / 2
        energy += control.bath.energy(self._modes(system), (kT, tau))
        return energy + control.box_bath.energy(self._box_modes(system), (kT, tau_box))
