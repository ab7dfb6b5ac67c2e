"""Profiles and posteriors."""

from typing import Any, TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float

from ._panels import color, INK, label, legend, MUTED, panels, pyplot, SMALL, squeeze, with_unit

if TYPE_CHECKING:
    from .._fit import FitResult

_DRAWS = 1000  # of each chain, drawn as a line


def plot_profiles(result: "FitResult", profiles: Any, ax: Any) -> Any:
    """The profiles, their parabolas, and the intervals that they cut out."""
    threshold = profiles.threshold
    axes = panels(len(profiles), ax, columns=min(4, max(2, len(profiles))), size=(2.9, 2.4))
    names = list(result.names)
    for panel, p in zip(axes, profiles, strict=True):
        low, high = p.interval
        panel.axhline(threshold, color=INK, lw=0.8, ls=(0, (4, 3)), label=f"{100 * profiles.level:g} % threshold")
        panel.plot(*_parabola(result, names.index(p.name), 2 * threshold), color=MUTED, lw=1.2, label="linearized")
        panel.plot(p.values, p.costs, "o-", color=color(0), ms=3.5, lw=1.6, mew=0, label="profile")
        panel.plot([p.value], [0], "o", color=INK, ms=5, zorder=3, label="fit")
        span = p.values[-1] - p.values[0]
        panel.set_xlim(p.values[0] - 0.05 * span, p.values[-1] + 0.05 * span)
        panel.set_ylim(-0.05 * threshold, 1.6 * threshold)
        left, right = panel.get_xlim()
        panel.axvspan(max(low, left), min(high, right), color=color(0), alpha=0.1, lw=0)
        label(panel, with_unit(p.name, p.unit), "cost above the fit's" if panel is axes[0] else "")
        panel.locator_params(axis="x", nbins=5)
        if not p.is_closed:
            panel.set_title(p.remark(), fontsize=SMALL - 2, color=MUTED, loc="left", wrap=True)
    if ax is None:
        handles, words = axes[0].get_legend_handles_labels()
        axes[0].figure.legend(
            handles, words, loc="outside upper left", ncols=4, frameon=False, fontsize=SMALL, labelcolor=INK
        )
    else:
        legend(axes[0])
    return squeeze(axes)


def _parabola(result: "FitResult", k: int, height: float) -> tuple[np.ndarray, np.ndarray]:
    """What the linearized problem says of a profile up to a height: values, and costs above the fit's."""
    errors = result.coordinate_errors
    if not np.isfinite(errors[k]) or result.at_bound[k]:
        return np.array([]), np.array([])
    half = float(np.sqrt(2 * height / result.scatter)) * errors[k]
    offsets = jnp.linspace(-half, half, 101, dtype=result.z.dtype)

    def value(offset: Float[Array, ""]) -> Float[Array, ""]:
        return result.problem.values(result.z.at[k].add(offset))[k]

    return np.asarray(jax.vmap(value)(offsets)), height * np.asarray(offsets / half) ** 2


def plot_trace(result: "FitResult", posterior: Any, ax: Any) -> Any:
    """Each parameter's marginal density, by chain, and its draws in order; ticks where a trajectory diverged."""
    labels = posterior.problem.layout.labels()
    if ax is None:
        size = (7.4, 1.45 * len(labels) + 0.4)
        _, ax = pyplot().subplots(len(labels), 2, figsize=size, width_ratios=(2, 3), layout="constrained")
    axes = panels(2 * len(labels), ax)
    best = result.values
    for k, (name, unit) in enumerate(labels):
        left, right = axes[2 * k : 2 * k + 2]
        for chain, draws in enumerate(posterior.values[:, :, k]):
            shown = np.unique(np.linspace(0, draws.size - 1, min(draws.size, _DRAWS)).astype(int))
            right.plot(shown, draws[shown], color=color(chain), lw=0.5, alpha=0.8)
            if np.ptp(draws) > 0:
                grid = np.linspace(draws.min(), draws.max(), 200)
                left.plot(grid, scipy.stats.gaussian_kde(draws[shown])(grid), color=color(chain), lw=1.3)
        diverged = np.flatnonzero(posterior.diverged.any(axis=0))
        right.plot(diverged, np.full(diverged.size, 0.03), "|", color=INK, ms=6, transform=right.get_xaxis_transform())
        if name in best:
            left.axvline(best[name], color=INK, lw=0.9, ls=(0, (4, 3)))
        left.set_yticks([])
        left.spines["left"].set_visible(False)
        left.set_ylim(0, None)
        left.locator_params(axis="x", nbins=5)
        label(left, with_unit(name, unit))
        label(right, "draw" if k == len(labels) - 1 else "")
    return squeeze(axes)
