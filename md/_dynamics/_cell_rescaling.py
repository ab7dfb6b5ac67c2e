"""Constant pressure by random changes of the box."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ...solvers import compiled, parameter
from .._measure import virial
from .._potential import AbstractPotential
from .._system import System
from ._bath import check_modes, less_heat, new_bath
from ._dynamics import AbstractDynamics, Dynamics
from ._rescaling import check_motion, random_factor
from ._shape import AbstractShape, check_box, check_pressure, exponential, Isotropic, motion_tensor
from ._steps import check_positive, drifted, in_dtype_of, kicked


class Piston(NamedTuple):
    """What `CellRescaling` carries: the key, the energy that bath and piston have given, the virial (3, 3)."""

    key: Any
    heat: Any
    virial: Any


class CellRescaling(AbstractDynamics):
    r"""Constant temperature and pressure (NPT): `VelocityRescaling`, and a random walk of the box. In each step
    positions and cell are multiplied by $e^\varepsilon$ and velocities by $e^{-\varepsilon}$ with the strain

    $$\varepsilon = \frac{\beta}{3 \tau_p} (P - P_0) h + \sqrt{\frac{2 \beta kT h}{3 V \tau_p}} \, R,$$

    $P$ the instantaneous pressure tensor and $R$ (3, 3) normal, both as far as `shape` allows.

    - `kT` [energy], `pressure` $P_0$ [energy/length³], `dt` $h$ [time].
    - `relaxation` [time] of the temperature, `box_relaxation` $\tau_p$ [time], `compressibility` $\beta$
      [length³/energy]: a rough value will do, because it sets how fast the box responds, not how it is distributed.
    - `shape`: `Isotropic()`, `Anisotropic()` or `Flexible()`.
    - `constraints`: as in `VelocityRescaling`.

    Volumes are distributed as $V^{f/3}$ times what interactions make of $e^{-P_0 V / kT}$, cells $h$ as
    $(\det h)^{-2} dh$ times that if flexible. One force and one virial a step; the walk has an error of order
    $h / \tau_p$. Fixed atoms keep their place relative to the box. Raises ValueError for a box that is not periodic
    along all axes, or cannot shear if it has to, and what `VelocityRescaling` raises. Source: M. Bernetti and G. Bussi,
    J. Chem. Phys. 153, 114107 (2020), doi:10.1063/5.0020514; for other shapes V. Del Tatto, P. Raiteri, M. Bernetti
    and G. Bussi, Appl. Sci. 12, 1139 (2022), doi:10.3390/app12031139.
    """

    potential: AbstractPotential
    kT: Any = parameter()
    pressure: Any = parameter()
    relaxation: Any = parameter()
    box_relaxation: Any = parameter()
    compressibility: Any = parameter()
    dt: Any = parameter()
    shape: AbstractShape = Isotropic()
    constraints: int = eqx.field(static=True, default=3)

    def __check_init__(self) -> None:
        check_positive(self, "kT", "relaxation", "box_relaxation", "compressibility", "dt")
        check_pressure(self)

    def __call__(self, state: Dynamics) -> Dynamics:
        """One step."""
        key, heating, straining = jax.random.split(state.control.key, 3)
        kT, share = in_dtype_of(state.system, self.kT, self.dt / self.relaxation)
        system = drifted(kicked(state.system, state.force, self.dt / 2), self.dt / 2)
        before = system.kinetic_energy
        factor = random_factor(system, kT, share, constraints=self.constraints, key=heating)
        system = system.replace(velocity=factor * system.velocity)
        strain = self._strain(system, state.control.virial, straining)
        slowed = jnp.matmul(system.velocity, exponential(-strain), precision="highest")
        system = system.deformed(exponential(strain)).replace(velocity=slowed)
        heat = state.control.heat + system.kinetic_energy - before
        state = self.moved(state, drifted(system, self.dt / 2))
        later = virial(self.potential, state.system, state.neighbors)
        work = jnp.sum((state.control.virial + later) / 2 * strain)
        system = kicked(state.system, state.force, self.dt / 2)
        return state.replace(system=system, control=Piston(key, heat + work, later))

    def _strain(self, system: System, virial: Any, key: PRNGKeyArray) -> Array:
        volume = system.space.volume
        rate = self.compressibility / self.box_relaxation / 3 * self.dt
        rate, kT, target = in_dtype_of(system, rate, self.kT, self.pressure)
        excess = (motion_tensor(system) - virial) / volume - target * jnp.eye(3, dtype=target.dtype)
        noise = jnp.sqrt(2 * rate * kT / volume) * jax.random.normal(key, (3, 3), target.dtype)
        return self.shape.allowed(rate * excess + noise)

    def initial_control(self, state: Dynamics, key: PRNGKeyArray | None) -> Piston:
        """The key, nothing given yet, and the virial."""
        check_box(self, state.system)
        check_modes(self, state)
        check_motion(self, state)
        return Piston(*new_bath(self, state, key), virial(self.potential, state.system, state.neighbors))

    @compiled
    def conserved(self, state: Dynamics) -> Array:
        """Kinetic plus potential energy, less the heat and work that came from bath and piston."""
        return less_heat(self, state)
