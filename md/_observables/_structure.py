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
    reciprocal = 2 * np.pi * np.linalg.inv(frame.cell).T
    most = np.floor(edges[-1] * np.linalg.norm(frame.cell, axis=1) / (2 * np.pi)).astype(int)
    grid = np.stack(np.meshgrid(*(np.arange(-m, m + 1) for m in most), indexing="ij"), axis=-1).reshape(-1, 3)
    grid = grid[len(grid) // 2 + 1 :]  # of k and -k one
    wave = grid @ reciprocal
    length = np.linalg.norm(wave, axis=1)
    chosen = (length >= edges[0]) & (length < edges[-1])
    bins = np.searchsorted(edges, length[chosen], side="right") - 1
    phase = frame.position @ wave[chosen].T
    power = (weight @ np.cos(phase)) ** 2 + (weight @ np.sin(phase)) ** 2
    counts, sums = (np.bincount(bins, w, edges.size - 1) for w in (None, power))
    return np.where(counts > 0, sums / np.maximum(counts, 1) / np.sum(weight**2), np.nan)
