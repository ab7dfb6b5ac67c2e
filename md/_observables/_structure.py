"""The static structure factor."""

from typing import Any

import numpy as np

from .._system import System
from ._average import Curve
from ._frames import Frame, frames
from ._radial import over_frames


def structure_factor(systems: System, edges: Any, *, weights: Any = 1.0) -> Curve:
    r"""$S(k) = \left| \sum_i b_i e^{i k \cdot r_i} \right|^2 / \sum_i b_i^2$, averaged over the k between two edges.

    `systems` is one system or a trajectory in a box with three periodic axes; only wave vectors that fit into the box
    are taken, k = 0 never. `edges` (bins + 1,) [1/length]; a bin without wave vectors is NaN: the smallest |k| is about
    2 π / L. `weights` b: a number for all, or one for each species (scattering lengths).
    """
    edges = np.asarray(edges, float)
    if edges.ndim != 1 or edges.size < 2 or edges[0] < 0 or not (np.diff(edges) > 0).all():
        raise ValueError("edges must be at least two wave numbers in rising order, from 0 or above.")
    if not all(systems.space.axes):
        raise ValueError("The structure factor needs a box that is periodic along all three axes.")
    kinds = int(np.max(systems.species)) + 1
    weights = np.asarray(weights, float)
    if weights.shape not in ((), (kinds,)):
        raise ValueError(f"weights has shape {weights.shape}, expected one number or ({kinds},): one for each species.")
    weights = np.broadcast_to(weights, (kinds,))
    series = np.array([_shells(frame, edges, weights[frame.species]) for frame in frames(systems)])
    known = np.isfinite(series).all(axis=0)
    mean = over_frames(np.where(known, series, 0))
    blank = lambda x: np.where(known, x, np.nan)
    middle = (edges[1:] + edges[:-1]) / 2
    return Curve(middle, blank(mean.mean), blank(mean.error), mean.samples, "wave number", "S(k)")


def _shells(frame: Frame, edges: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """S(k) averaged over the wave vectors of each bin; a plane of them at a time, as a product of matrices."""
    into = np.linalg.inv(frame.cell)
    most = np.floor(edges[-1] * np.linalg.norm(frame.cell, axis=1) / (2 * np.pi)).astype(int)
    orders = [np.arange(-m, m + 1) for m in most]
    along = frame.position @ into
    x, y, z = (np.exp(2j * np.pi * along[:, k, None] * orders[k]) for k in range(3))
    a, b, c = 2 * np.pi * into.T
    plane = orders[1][:, None, None] * b + orders[2][None, :, None] * c
    counts, sums = np.zeros(edges.size - 1), np.zeros(edges.size - 1)
    for h in range(most[0] + 1):
        power = np.abs((y * (weight * x[:, most[0] + h])[:, None]).T @ z) ** 2
        length = np.linalg.norm(h * a + plane, axis=-1)
        chosen = (length >= edges[0]) & (length < edges[-1]) & (length > 0)
        bins = np.searchsorted(edges, length[chosen], side="right") - 1
        copies = 1 if h == 0 else 2  # of k and -k, equal, one plane stands for both
        counts += copies * np.bincount(bins, minlength=edges.size - 1)
        sums += copies * np.bincount(bins, power[chosen], minlength=edges.size - 1)
    return np.where(counts > 0, sums / np.maximum(counts, 1) / np.sum(weight**2), np.nan)
