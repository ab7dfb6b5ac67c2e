"""Frequencies along paths of wave vectors."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from ...solvers._report._panels import color, INK, label, legend, MUTED, panels, with_unit
from .._system import System


@dataclasses.dataclass(frozen=True)
class Bands:
    """Frequencies along the straight legs of a path.

    - `x` (legs, points): length of the path [1/length], with the factor 2 π. `q` (legs, points, 3): wave vectors, in
      reciprocal vectors of the cell. `frequencies` (legs, points, 3n), ascending at each wave vector.
    - `corners`: (x, name) of each.
    """

    x: np.ndarray
    q: np.ndarray
    frequencies: np.ndarray
    corners: tuple[tuple[float, str], ...]

    def plot(self, *, scale: float = 1.0, unit: str = "", style: Any = "-", name: str = "", ax: Any = None) -> Any:
        """Draw the bands, by matplotlib (`pip install kinax[plot]`), into `ax` or a new figure; returns the axes.

        Frequencies are multiplied by `scale`, such as `METAL.picosecond / (2 * np.pi)` for `unit` "THz". `name` stands
        in the legend; draw a second crystal into the same `ax`, in the next color, to compare.
        """
        panel = panels(1, ax, size=(5.6, 3.6))[0]
        drawn = len({line.get_color() for line in panel.get_lines() if line.get_gid() == "bands"})
        for x, frequencies in zip(self.x, self.frequencies, strict=True):
            lines = panel.plot(x, scale * frequencies, style, color=color(drawn), lw=1.4)
            for line in lines:
                line.set_gid("bands")
        if name:
            panel.plot([], [], style, color=color(drawn), lw=1.4, label=name)
        if not drawn:
            places, names = zip(*self.corners, strict=True)
            for place in places:
                panel.axvline(place, color=MUTED, lw=0.7, zorder=0)
            panel.axhline(0, color=MUTED, lw=0.7, zorder=0)
            panel.set_xticks(places, labels=names, color=INK)
            panel.set_xlim(self.x[0, 0], self.x[-1, -1])
            label(panel, "", with_unit("frequency", unit))
        panel.grid(False)  # also where a second crystal is drawn
        legend(panel)
        return panel


def band_path(system: System) -> list[tuple[str, tuple[float, float, float]] | None]:
    """The customary path through the zone of this cell, for `Phonons.bands`, by ASE (`pip install kinax[md]`).

    It follows W. Setyawan and S. Curtarolo, Comput. Mater. Sci. 49, 299 (2010), doi:10.1016/j.commatsci.2010.05.010.
    """
    try:
        from ase.cell import Cell
    except ImportError as error:
        raise ImportError("The customary paths come from ASE: pip install kinax[md]") from error
    path = Cell(np.asarray(system.space.cell, float)).bandpath(npoints=0, pbc=system.space.axes)
    lines = path.path.split(",")
    names = [n for line in lines for n in ["", *_names(line)]][1:]
    return [(name.replace("G", "Γ"), _vector(path.special_points[name])) if name else None for name in names]


def _vector(x: Any) -> tuple[float, float, float]:
    return float(x[0]), float(x[1]), float(x[2])


def _names(line: str) -> list[str]:
    """Letters, each with the digits that follow it."""
    names: list[str] = []
    for sign in line:
        if sign.isdigit():
            names[-1] += sign
        else:
            names.append(sign)
    return names


def along_path(frequencies: Callable[[Any], Any], corners: Any, points: int, reciprocal: np.ndarray) -> Bands:
    """Evaluate at wave vectors between each two corners; `reciprocal` (3, 3) has the reciprocal vectors as rows."""
    corners = list(corners)
    legs = [(a, b) for a, b in zip(corners, corners[1:], strict=False) if a is not None and b is not None]
    if not legs or points < 2:
        raise ValueError(
            f"A path needs two corners at least, with 2 points or more from one to the next, not {points}."
        )
    ends = np.array([[a[1], b[1]] for a, b in legs], float)
    if ends.shape[1:] != (2, 3):
        raise ValueError("corners must be pairs of a name and a wave vector of three numbers, or None for a break.")
    share = np.linspace(0, 1, points)[None, :, None]
    q = ends[:, :1] * (1 - share) + ends[:, 1:] * share
    lengths = np.linalg.norm((ends[:, 1] - ends[:, 0]) @ reciprocal, axis=1)
    start = np.concatenate([[0.0], np.cumsum(lengths)])
    x = start[:-1, None] + lengths[:, None] * share[0, :, 0]
    marks = [(0.0, legs[0][0][0])]
    for k, (first, last) in enumerate(legs):
        if first[0] != marks[-1][1]:
            marks[-1] = (marks[-1][0], f"{marks[-1][1]}|{first[0]}")
        marks.append((float(start[k + 1]), last[0]))
    return Bands(x, q, np.asarray(frequencies(q)), tuple(marks))
