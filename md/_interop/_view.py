"""Atoms in three dimensions, in a notebook or on a web page."""

import io
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .._system import System
from .._units import METAL, Units
from ._ase import to_atoms
from ._extxyz import extxyz_writer

_ARGON = 3.4  # Å


def view(
    systems: System,
    elements: Sequence[str],
    *,
    units: Units = METAL,
    size: tuple[int, int] = (500, 400),
    frames_per_second: float = 15.0,
) -> Any:
    """A picture of a system, or a film of a trajectory (`solution.ys`), that the mouse turns: a py3Dmol view.

    As the last line of a notebook's cell it is shown; `.write_html(path)` makes a page of it. `elements`: the symbols
    of the species, which give colors and radii; `REDUCED` lengths are drawn as if 1 were 3.4 Å. `size` in pixels. The
    box is that of the first frame. Needs py3Dmol and ASE (`pip install kinax[md]`); the picture fetches 3Dmol.js.
    """
    is_film = systems.position.ndim == 3
    every = jax.tree.map(lambda x: np.asarray(x) if is_film else np.asarray(x)[None], systems)
    scale = _ARGON if units.length is None else 1.0
    text, atoms = io.StringIO(), []
    for k in range(len(every.position)):
        one = to_atoms(jax.tree.map(lambda x: x[k], every), elements, units=units)  # noqa: B023
        one.set_cell(one.cell * scale, scale_atoms=True)
        one.positions *= 1.0 if any(one.pbc) else scale
        atoms.append(one)
    extxyz_writer()(text, atoms, columns=["symbols", "positions"])
    picture = _py3dmol().view(width=size[0], height=size[1])
    if is_film:
        picture.addModelsAsFrames(text.getvalue(), "xyz")
        picture.animate({"loop": "forward", "interval": 1000 / frames_per_second})
    else:
        picture.addModel(text.getvalue(), "xyz")
    picture.setStyle({"sphere": {"scale": 0.45}})
    for start, end in _edges(atoms[0]):
        picture.addLine({"start": start, "end": end, "color": "gray"})
    picture.zoomTo()
    return picture


def _edges(atoms: Any) -> list[tuple[dict[str, float], dict[str, float]]]:
    """The twelve edges of the cell; none in open space."""
    if not any(atoms.pbc):
        return []
    point = lambda corner: dict(zip("xyz", map(float, corner @ np.asarray(atoms.cell)), strict=True))
    corners = [np.array(c) for c in np.ndindex(2, 2, 2)]
    return [(point(a), point(b)) for a in corners for b in corners if np.sum(b - a) == 1 and np.min(b - a) == 0]


def _py3dmol() -> Any:
    try:
        import py3Dmol
    except ImportError as error:
        raise ImportError("Views need py3Dmol: pip install kinax[md]") from error
    return py3Dmol
