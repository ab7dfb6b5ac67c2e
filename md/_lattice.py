"""Crystals to start from."""

from typing import Any

import numpy as np

from ._space import Periodic
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


def _crystal(basis: list[Any], cells: Any, spacing: float, mass: Any, species: Any) -> System:
    counts = (cells,) * 3 if isinstance(cells, int) else cells
    if len(counts) != 3 or min(counts) < 1:
        raise ValueError(f"cells must be one whole number of at least 1, or three, not {cells!r}.")
    corners = np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), axis=-1).reshape(-1, 1, 3)
    position = (corners + np.asarray(basis, float)).reshape(-1, 3) * spacing
    return System(position, Periodic(lengths=np.asarray(counts) * float(spacing)), mass=mass, species=species)
