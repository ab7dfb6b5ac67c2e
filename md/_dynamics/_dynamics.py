"""What every integrator shares: its state, its neighbor list, its forces."""

import abc
from typing import Any, NamedTuple, TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PRNGKeyArray

from ...solvers import AbstractMaintained, compiled, RESULTS
from ...solvers._host import as_array
from .._measure import check_species, force_of
from .._neighbors import AbstractNeighbors, AllPairs, neighbor_list
from .._potential import AbstractPotential
from .._system import System

if TYPE_CHECKING:  # pyright counts an eqx.AbstractVar as a constructor argument
    from typing import ClassVar as AbstractVar
else:
    from equinox import AbstractVar

_MOST, _AT_REST = 100, 10  # steps between refreshes: at most, and where nothing moves yet
_REBUILD = 7  # what a refresh costs, in forces: measured, see docs/md-notes.md


class Log(NamedTuple):
    """Steps done since the start, and the first step and atom that went wrong (-1: none), whole numbers.

    An atom goes wrong that, in one step, becomes NaN or moves farther than the potential reaches.
    """

    steps: Any
    unstable_step: Any
    unstable_atom: Any


class Dynamics(eqx.Module):
    """What a step needs: the system, the force on each atom (n, 3), the neighbors, and what the integrator carries.

    `control` is the integrator's own (a key, the chain of a thermostat, ...); `log` counts steps and notes the first
    atom that went wrong. Made by `integrator.start(system)`.
    """

    system: System
    force: Array
    neighbors: AbstractNeighbors
    control: Any
    log: Log
    every: int = eqx.field(static=True)

    def replace(
        self, *, system: Any = None, force: Any = None, neighbors: Any = None, control: Any = None
    ) -> "Dynamics":
        """The state with some of it exchanged."""
        return Dynamics(
            self.system if system is None else system,
            self.force if force is None else force,
            self.neighbors if neighbors is None else neighbors,
            self.control if control is None else control,
            self.log,
            self.every,
        )


class AbstractDynamics(AbstractMaintained[Dynamics]):
    """An integrator: a simulator whose state is a `Dynamics`.

    To add one, write `__call__` (call `moved` wherever positions, or the box, have changed and the force is needed
    next), `initial_control` and `conserved`; `dt` [time] and `potential` are fields.
    """

    potential: AbstractVar[AbstractPotential]

    @abc.abstractmethod
    def initial_control(self, state: Dynamics, key: PRNGKeyArray | None) -> Any:
        """What the integrator carries at the start, where the state has none yet.

        A ValueError if it needs a key and there is none, or if the system does not suit it.
        """

    @abc.abstractmethod
    def conserved(self, state: Dynamics) -> Array:
        """What exact motion would keep constant [energy]."""

    def start(
        self,
        system: System,
        *,
        key: PRNGKeyArray | None = None,
        neighbors: AbstractNeighbors | None = None,
        skin: float | None = None,
        every: int | None = None,
    ) -> Dynamics:
        """The state to run from; call it outside `jit`, unless `neighbors` are given.

        - `skin`, `every`: the margin of the neighbor list [length] and the steps between its refreshes. Not given, the
          margin is what should cost least at the speed of the fastest atom, and the list is refreshed before that atom
          could use half of it up; `rollout` corrects what proves wrong.
        """
        check_species(self.potential, system)
        reach = self.potential.reach
        if neighbors is None:
            reach = float(reach) or 1.0
            neighbors = neighbor_list(system, reach, skin=_best_skin(system, reach, self.dt) if skin is None else skin)
        if every is None:
            every = _steps_between(system, neighbors, reach, self.dt)
        if not (isinstance(every, int) and every >= 1):
            raise ValueError(f"every must be a whole number of steps of at least 1, not {every!r}.")
        log = Log(*(as_array(k, jnp.int32) for k in (0, -1, -1)))
        state = Dynamics(system, force_of(self.potential, system, neighbors), neighbors, None, log, every)
        return state.replace(control=self.initial_control(state, key))

    def moved(self, state: Dynamics, system: System, *, force: Any = None) -> Dynamics:
        """The state one step on, after atoms (or the box) have moved, with the force there unless it is given."""
        log = _logged(state, system, self.potential.reach)
        force = self.potential.force(system, state.neighbors) if force is None else force
        neighbors = state.neighbors.watch(system.space, system.position)
        return Dynamics(system, force, neighbors, state.control, log, state.every)

    @compiled
    def potential_energy(self, state: Dynamics) -> Array:
        """Potential energy of the state."""
        return self.potential.total(state.system, state.neighbors)

    def every(self, state: Dynamics) -> int:
        """As the state has it."""
        return state.every

    def refresh(self, state: Dynamics) -> Dynamics:
        """Atoms back into the box, and a list of where they are now."""
        system = state.system.wrapped()
        return state.replace(system=system, neighbors=state.neighbors.refresh(system))

    @compiled
    def verify(self, state: Dynamics) -> RESULTS:
        """Whether the neighbors were all there at every step, and no atom moved farther in one than forces reach."""
        standing = state.neighbors.fault(self.potential.reach)
        short = RESULTS.where(
            _has_collapsed(state, self.potential.reach), RESULTS.box_collapsed, RESULTS.capacity_exceeded
        )
        late = RESULTS.where(standing.moved, RESULTS.refresh_too_late, RESULTS.successful)
        cause = standing.moved & (state.every > 1)  # and if not, refreshing more often is no cure
        late = RESULTS.where((state.log.unstable_step < 0) | cause, late, RESULTS.step_too_long)
        return RESULTS.where(standing.full, short, late)

    def grow(self, state: Dynamics, failed: Dynamics) -> Dynamics | None:
        """More room in the list, or a refresh after fewer steps, as many as the motion that was met allows."""
        reach = float(self.potential.reach)
        met = failed.neighbors
        standing = _fault(met, reach)
        neighbors, every = state.neighbors, state.every
        if bool(standing.full):
            if bool(_has_collapsed(failed, reach)):
                return None
            neighbors = neighbors.grown(state.system, met, reach)
        elif every == 1 or not bool(standing.moved):
            return None
        else:
            margin = float(neighbors.cutoff) - reach
            used = float(neighbors.cutoff) - float(met.slack)
            share = margin / used if np.isfinite(used) else 0.5
            every = max(1, min(every - 1, int(0.95 * share * every)))
        return Dynamics(state.system, state.force, neighbors, state.control, state.log, every)

    def facts(self, state: Dynamics) -> dict[str, Array]:
        """The first step, counted from `start`, and atom that went wrong; -1 if none did."""
        return {"unstable_step": state.log.unstable_step, "unstable_atom": state.log.unstable_atom}

    def view(self, state: Dynamics) -> System:
        """The system."""
        return state.system


def _logged(state: Dynamics, system: System, reach: Any) -> Log:
    """The log after a step that has taken the atoms to where they are in `system`."""
    reach, way = jax.lax.stop_gradient((reach, system.position - state.system.position))
    farthest = jnp.asarray(jnp.where(reach > 0, reach, jnp.inf), way.dtype)
    index = jnp.arange(system.mass.size, dtype=jnp.int32)
    far = ~(jnp.sum(way**2, axis=1) <= farthest**2)  # NaN is far
    atom = jnp.min(jnp.where(far, index, index.size))
    steps, step, known = state.log
    first = (step < 0) & (atom < index.size)
    return Log(steps + 1, jnp.where(first, steps + 1, step), jnp.where(first, atom, known))


@compiled
def _fault(neighbors: AbstractNeighbors, reach: Any) -> Any:
    return neighbors.fault(reach)


@compiled
def _has_collapsed(state: Dynamics, reach: Any) -> Array:
    """Whether the box has become narrower than half the reach of the potential."""
    widths = state.system.space.widths
    return jnp.min(widths) < jnp.asarray(reach, widths.dtype) / 2


def _best_skin(system: System, reach: float, dt: Any) -> float | None:
    """The skin s that costs least, if known: (reach + s)^3 pairs (1 + c / s), c / s the share of the refreshes."""
    fastest = _fastest(system, dt)
    if fastest is None:
        return None
    c = 2 * _REBUILD * fastest
    return float(np.clip((np.sqrt(c**2 + 3 * c * reach) - c) / 3, reach / 10, reach / 2))


def _fastest(system: System, dt: Any) -> float | None:
    """How far the fastest atom flies in a step; None where that is not known, or nothing moves yet."""
    if isinstance(system.velocity, Tracer) or isinstance(dt, Tracer):
        return None
    way = float(np.sqrt(np.max(np.sum(np.asarray(system.velocity) ** 2, axis=1)))) * float(dt)
    return way if 0 < way < np.inf else None


def _steps_between(system: System, neighbors: AbstractNeighbors, reach: Any, dt: Any) -> int:
    """After how many steps the fastest atom, flying straight, has used up half the skin."""
    if isinstance(neighbors, AllPairs):
        return _MOST
    fastest = _fastest(system, dt)
    if fastest is None or isinstance(reach, Tracer):
        return _AT_REST
    margin = float(neighbors.cutoff) - float(reach)
    return int(np.clip(margin / 2 / fastest, 1, _MOST))
