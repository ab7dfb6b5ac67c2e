"""Angles between bonds."""

from typing import Any

import numpy as np
import scipy

from .._system import System
from ._average import Curve
from ._frames import Frame, frames
from ._radial import over_frames


def angle_distribution(systems: System, cutoff: Any, edges: Any) -> Curve:
    r"""How often an atom sees two others, both nearer than `cutoff` [length], under an angle: a density [1/rad].

    `systems` is one system or a trajectory; `edges` (bins + 1,) the limits of the bins [rad]. Over 0 to π it integrates
    to 1. By chance the density is $\sin(\theta) / 2$. Raises ValueError if no atom has two neighbors.
    """
    edges = np.asarray(edges, float)
    if edges.ndim != 1 or edges.size < 2 or edges[0] < 0 or edges[-1] > np.pi + 1e-9 or not (np.diff(edges) > 0).all():
        raise ValueError("edges must be at least two angles in rising order, from 0 to pi.")
    cutoff = float(cutoff)
    if not cutoff > 0:
        raise ValueError(f"cutoff must be positive, got {cutoff}.")
    angles = [_angles(frame, cutoff) for frame in frames(systems)]
    total = np.mean([a.size for a in angles])
    if total == 0:
        raise ValueError(f"No atom has two neighbors nearer than {cutoff}: take a larger cutoff.")
    series = np.array([np.histogram(a, edges)[0] for a in angles]) / (total * np.diff(edges))
    mean = over_frames(series)
    return Curve((edges[1:] + edges[:-1]) / 2, mean.mean, mean.error, mean.samples, "angle [rad]", "density [1/rad]")


def _angles(frame: Frame, cutoff: float) -> np.ndarray:
    """All angles at all atoms."""
    places, _ = frame.images(cutoff)
    near = scipy.spatial.KDTree(frame.position).sparse_distance_matrix(
        scipy.spatial.KDTree(places), cutoff, output_type="ndarray"
    )
    near = near[near["i"] != near["j"]]  # atoms come first among the places
    near = near[np.argsort(near["i"], kind="stable")]
    directions = (places[near["j"]] - frame.position[near["i"]]) / near["v"][:, None]
    found = np.bincount(near["i"], minlength=len(frame.position))
    rank = np.arange(len(near)) - np.repeat(np.cumsum(found) - found, found)
    table = np.zeros((len(found), max(2, found.max(initial=0)), 3))
    table[near["i"], rank] = directions
    first, second = np.triu_indices(table.shape[1], k=1)
    cosines = np.sum(table[:, first] * table[:, second], axis=-1)
    return np.arccos(np.clip(cosines[second[None, :] < found[:, None]], -1, 1))
