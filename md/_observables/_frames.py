"""Trajectories as NumPy arrays, and images of atoms around a box."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from ...solvers import compiled
from .._system import System


@dataclasses.dataclass(frozen=True)
class Frame:
    """One configuration: position (n, 3) inside the cell (3, 3), species (n,)."""

    position: np.ndarray
    cell: np.ndarray
    axes: tuple[bool, bool, bool]
    species: np.ndarray

    def images(self, reach: float) -> tuple[np.ndarray, np.ndarray]:
        """All atoms and every image within `reach` of the cell: places (e, 3) and owners (e,), the atoms first."""
        into = np.linalg.inv(self.cell)
        margin = reach * np.linalg.norm(into, axis=0)
        along, owner = self.position @ into, np.arange(len(self.position))
        for axis in np.flatnonzero(self.axes):
            unit, most = np.eye(3)[axis], int(np.floor(margin[axis])) + 1
            steps = [s for s in range(-most, most + 1) if s]
            moved = np.concatenate([along + s * unit for s in steps])
            near = (moved[:, axis] >= -margin[axis]) & (moved[:, axis] <= 1 + margin[axis])
            along = np.concatenate([along, moved[near]])
            owner = np.concatenate([owner, np.tile(owner, len(steps))[near]])
        places = along @ self.cell
        places[: len(self.position)] = self.position  # so that atoms are at no distance from themselves
        return places, owner


def frames(systems: System) -> Iterator[Frame]:
    """The configurations of a trajectory, `solution.ys`, or the one of a system."""
    if systems.position.ndim == 2:
        systems = jax.tree.map(lambda x: x[None], systems)
    inside = _inside(systems)
    position, cell = (np.asarray(x, float) for x in inside)
    species = np.asarray(systems.species)
    for k in range(len(position)):
        yield Frame(position[k], cell[k], systems.space.axes, species[k])


@compiled
def _inside(systems: System) -> Any:
    return jax.vmap(lambda s: (s.wrapped().position, s.space.cell))(systems)


def trajectory(ts: Any, systems: System, blocks: int) -> tuple[float, int]:
    """The time between two frames and the frames of each block; ValueError unless there are enough, evenly spaced."""
    if systems.position.ndim != 3:
        shape = systems.position.shape
        raise ValueError(f"A trajectory is needed, `solution.ys` of a rollout; positions have the shape {shape}.")
    return spacing(ts, systems.position.shape[0], blocks)


def spacing(ts: Any, count: int, blocks: int) -> tuple[float, int]:
    """As `trajectory`, for any series of `count` entries."""
    ts = np.asarray(ts, float)
    if ts.shape != (count,):
        raise ValueError(f"ts has shape {ts.shape}, expected ({count},): a time for each frame.")
    if blocks < 2 or count // blocks < 4:
        raise ValueError(f"{count} frames are too few for {blocks} blocks: at least 2 blocks of at least 4 are needed.")
    steps = np.diff(ts)
    if not np.allclose(steps, steps[0], rtol=1e-3) or steps[0] <= 0:
        raise ValueError("ts must rise evenly: save every so many steps, in one run.")
    return float(np.mean(steps)), count // blocks
