"""Averages of correlated series, with the error that the correlation leaves them."""

import dataclasses
from typing import Any

import numpy as np

from ...solvers._report._panels import color, label, legend, panels


@dataclasses.dataclass(frozen=True)
class Average:
    """An average: `mean`, its standard `error`, and how many independent `samples` the series is worth."""

    mean: Any
    error: Any
    samples: Any

    def __str__(self) -> str:
        if np.ndim(self.mean):
            return f"Average of shape {np.shape(self.mean)}"
        return f"{self.mean:.6g} +- {self.error:.2g} ({self.samples:.0f} samples)"


@dataclasses.dataclass(frozen=True)
class Curve:
    """An average at each `x` (k,): `mean` (..., k), its standard `error` and the independent `samples` behind it.

    `x_label` and `y_label` say what they are.
    """

    x: np.ndarray
    mean: Any
    error: Any
    samples: Any
    x_label: str
    y_label: str

    def plot(self, *, names: Any = None, ax: Any = None) -> Any:
        """Draw the curve and two standard errors to each side, by matplotlib (`pip install kinax[plot]`).

        `names` for the elements, where there is a curve for each pair of species. Into `ax` or a new figure; returns
        the axes.
        """
        panel = panels(1, ax, size=(5.6, 3.6))[0]
        if self.mean.ndim == 1:
            curves = {"": ()}
        else:
            names = list(range(self.mean.shape[0])) if names is None else list(names)
            curves = {f"{names[a]}-{names[b]}": (a, b) for a in range(len(names)) for b in range(a, len(names))}
        for k, (name, index) in enumerate(curves.items()):
            mean, error = self.mean[index], np.nan_to_num(self.error[index])
            panel.fill_between(self.x, mean - 2 * error, mean + 2 * error, color=color(k), alpha=0.2, lw=0)
            panel.plot(self.x, mean, color=color(k), lw=1.6, label=name or None)
        label(panel, self.x_label, self.y_label)
        legend(panel)
        return panel


def average(series: Any) -> Average:
    r"""The mean over the first axis of a stationary series (t, ...), and what its correlation in time leaves of it.

    The number of independent samples is $t / \tau$ with $\tau = 1 + 2 \sum_k \rho_k$, the autocorrelations summed while
    those of neighboring pairs of lags stay positive and fall; the error is $s (\tau / t)^{1/2}$. A series shorter than
    some 20 $\tau$ gives errors that are too small. Source: C. J. Geyer, Statist. Sci. 7, 473 (1992), section 3.3,
    doi:10.1214/ss/1177011137.

    A constant series has the error 0. Raises ValueError for fewer than 4 entries, NaN or infinities.
    """
    series = np.asarray(series, float)
    if series.ndim == 0 or series.shape[0] < 4:
        raise ValueError(f"A series of shape {series.shape} is too short for an average with an error: 4 at least.")
    if not np.isfinite(series).all():
        raise ValueError(f"The series is NaN or infinite at entry {np.argwhere(~np.isfinite(series))[0].tolist()}.")
    n, mean = series.shape[0], series.mean(axis=0)
    spread = series - mean
    varies = np.ptp(series, axis=0) > 1e-12 * np.abs(series).max(axis=0)
    covariance = autocorrelation(spread) * (np.arange(n, 0, -1) / n).reshape(-1, *[1] * mean.ndim)
    pairs = covariance[0 : n - 1 : 2] + covariance[1:n:2]
    kept = np.minimum.accumulate(np.where(np.logical_and.accumulate(pairs > 0, axis=0), pairs, 0), axis=0)
    first = np.where(varies, covariance[0], 1)
    time = np.where(varies, np.maximum(2 * kept.sum(axis=0) / first - 1, 1 / n), 1)
    error = np.where(varies, np.sqrt(first * time / (n - 1)), 0)
    return Average(mean, error, n / time)


def autocorrelation(series: np.ndarray) -> np.ndarray:
    """Products of entries (t, ...) that are k apart, averaged over all starts, for each k; by Fourier transforms."""
    n = series.shape[0]
    spectrum = np.abs(np.fft.rfft(series, 2 * n, axis=0)) ** 2
    sums = np.fft.irfft(spectrum, 2 * n, axis=0)[:n]
    return sums / np.arange(n, 0, -1).reshape(-1, *[1] * (series.ndim - 1))
