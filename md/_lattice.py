"""Crystals to start from."""

from typing import Any

import numpy as np

from ..solvers._host import all_on_host, namespace
from ._space import Periodic, times, Triclinic
from ._system import System

_FACES = [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)]
_DIAMOND = [*_FACES, *((x + 0.25, y + 0.25, z + 0.25) for x, y, z in _FACES)]


def fcc(cells: int | tuple[int, int, int], spacing: float, *, mass: Any = 1.0, species: Any = 0) -> System:
    """Face-centered cubic crystal at rest: 4 atoms in each cubic cell of edge `spacing` [length].

    `cells` along each axis, or one number for all; a number density $n$ has spacing $(4/n)^{1/3}$.
    """
    return _crystal(_FACES, cells, spacing, mass, species)


def diamond(cells: int | tuple[int, int, int], spacing: float, *, mass: Any = 1.0, species: Any = 0) -> System:
    """Diamond crystal at rest: 8 atoms in each cubic cell of edge `spacing` [length]."""
    return _crystal(_DIAMOND, cells, spacing, mass, species)


def simple_cubic(cells: int | tuple[int, int, int], spacing: float, *, mass: Any = 1.0, species: Any = 0) -> System:
    """Simple cubic crystal at rest: one atom in each cell of edge `spacing` [length]."""
    return _crystal(_FACES[:1], cells, spacing, mass, species)


def repeat(system: System, cells: int | tuple[int, int, int]) -> System:
    """The system so many times along each axis of its box, which grows with it; one cell after the other, itself first.

    One along axes that are open. Differentiable by the positions and the cell.
    """
    counts, space = _counts(cells), system.space
    if any(count > 1 and not periodic for count, periodic in zip(counts, space.axes, strict=True)):
        raise ValueError(f"cells = {counts}, but the axes that are periodic are {space.axes}: give 1 for the others.")
    system, xp = all_on_host(system), namespace(system)
    space, corners = system.space, xp.asarray(_corners(counts), system.position.dtype)
    position = (times(corners, space.cell) + system.position[None, :, :]).reshape(-1, 3)
    if isinstance(space, Periodic):
        space = Periodic(lengths=space.lengths * xp.asarray(counts, space.lengths.dtype), axes=space.axes)
    elif isinstance(space, Triclinic):
        space = Triclinic(cell=space.cell * xp.asarray(counts, space.cell.dtype)[:, None], axes=space.axes)
    copies = lambda x: xp.tile(x, (len(corners), *[1] * (x.ndim - 1)))
    return System(
        position,
        space,
        velocity=copies(system.velocity),
        mass=copies(system.mass),
        species=copies(system.species),
        image=copies(system.image),
        fixed=None if system.fixed is None else copies(system.fixed),
    )


def _crystal(basis: list[Any], cells: Any, spacing: float, mass: Any, species: Any) -> System:
    counts = _counts(cells)
    position = (_corners(counts) + np.asarray(basis, float)).reshape(-1, 3) * spacing
    return System(position, Periodic(lengths=np.asarray(counts) * float(spacing)), mass=mass, species=species)


def _counts(cells: Any) -> tuple[int, int, int]:
    counts = (cells,) * 3 if isinstance(cells, int) else cells
    if len(counts) != 3 or min(counts) < 1:
        raise ValueError(f"cells must be one whole number of at least 1, or three, not {cells!r}.")
    return counts


def _corners(counts: tuple[int, int, int]) -> np.ndarray:
    """Of the cells (cells, 1, 3), numbered from 0 along each axis."""
    return np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 1, 3)
