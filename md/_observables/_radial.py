"""The radial distribution function."""

import itertools
from typing import Any

import numpy as np
import scipy

from .._system import System
from ._average import Average, average, Curve
from ._frames import Frame, frames


def radial_distribution(systems: System, edges: Any) -> Curve:
    r"""$g_{ab}(r)$ for all pairs of species: how many atoms b are at r from an atom a, over what chance would give.

    `systems` is one system or a trajectory, `edges` (bins + 1,) the limits of the bins [length]; the mean is (s, s,
    bins). Right for every box and beyond half of it, where images count. By chance: atoms spread evenly along the
    periodic axes, $N_a (N_b - \delta_{ab})$ pairs; along open axes they stay where they are, so that in a slab or a
    sheet $g \to 1$ too. Pairs of species without atoms are NaN.

    Raises ValueError in open space, where chance has no density.
    """
    edges = np.asarray(edges, float)
    if edges.ndim != 1 or edges.size < 2 or edges[0] < 0 or not (np.diff(edges) > 0).all():
        raise ValueError("edges must be at least two distances in rising order, from 0 or above.")
    if not any(systems.space.axes):
        raise ValueError("g(r) needs a density, which atoms in open space do not have: use a periodic box or slab.")
    shells = [_pairs(frame, edges) for frame in frames(systems)]
    found, expected = (np.array(x) for x in zip(*shells, strict=True))
    some = expected.sum(axis=0) > 0
    series = found / np.where(some, expected.mean(axis=0), 1)  # a ratio of means, not a mean of ratios
    mean = over_frames(np.where(some, series, 0))
    blank = lambda x: np.where(some, x, np.nan)
    middle = (edges[1:] + edges[:-1]) / 2
    return Curve(middle, blank(mean.mean), blank(mean.error), mean.samples, "distance", "g(r)")


def over_frames(series: np.ndarray) -> Average:
    """The average over frames; its error is NaN if there are too few."""
    if len(series) >= 4:
        return average(series)
    mean = series.mean(axis=0)
    return Average(mean, np.full_like(mean, np.nan), np.full_like(mean, len(series)))


def _pairs(frame: Frame, edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Ordered pairs in each shell (s, s, bins), those that are there and those expected by chance."""
    places, owner = frame.images(edges[-1])
    kinds = int(frame.species.max()) + 1
    of = lambda k: frame.position[frame.species == k]
    found, expected = (np.zeros((kinds, kinds, edges.size - 1)) for _ in range(2))
    present = [k for k in range(kinds) if len(of(k))]
    here = {k: scipy.spatial.KDTree(of(k)) for k in present}
    there = {k: scipy.spatial.KDTree(places[frame.species[owner] == k]) for k in present}
    for a, b in itertools.product(present, present):
        found[a, b] = np.diff(here[a].count_neighbors(there[b], edges))
        expected[a, b] = _by_chance(frame, of(a), of(b), edges, a == b)
    return found, expected


def _by_chance(frame: Frame, first: np.ndarray, second: np.ndarray, edges: np.ndarray, same: bool) -> np.ndarray:
    """Pairs in each shell if atoms were spread evenly along the periodic axes, and only along these."""
    along = frame.cell[list(frame.axes)]
    measure = np.sqrt(np.linalg.det(along @ along.T))  # volume, area or length
    dimensions = len(along)
    if dimensions == 3:
        return (len(first) * (len(second) - same) / measure) * np.diff(4 / 3 * np.pi * edges**3)
    basis = np.linalg.qr(along.T)[0]
    across = [x - x @ basis @ basis.T for x in (first, second)]
    counts = np.zeros(edges.size)
    for k, x in enumerate(across[0]):
        others = np.delete(across[1], k, axis=0) if same else across[1]
        apart = np.sum((others - x) ** 2, axis=1)
        rest = np.maximum(edges[:, None] ** 2 - apart[None, :], 0)
        counts += np.sum(np.pi * rest if dimensions == 2 else 2 * np.sqrt(rest), axis=1)
    return np.diff(counts) / measure
