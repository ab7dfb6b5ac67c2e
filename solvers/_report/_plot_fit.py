"""The data and what the fit predicts for them; residuals."""

from collections.abc import Callable
from typing import Any, TYPE_CHECKING

import jax
import numpy as np
import scipy
from jaxtyping import PyTree

from .._problem import Observed
from ._panels import color, COLORS, INK, label, legend, MUTED, panels, pyplot, SMALL, squeeze
from ._quantile import band, normal_scores
from ._recordings import columns, labels, Recording, recordings, trees

if TYPE_CHECKING:
    from .._fit import FitResult

_BAND, _LINE = 0.2, 1.8


def plot_fit(
    result: "FitResult",
    observe: Callable[[Any], PyTree] | None,
    ts: Any,
    experiments: list[str],
    level: float,
    ax: Any,
) -> Any:
    """Points for the data; a line and a band for what is predicted: one panel for each experiment."""
    if (observe is None) != (ts is None):
        raise ValueError("plot.fit takes `observe` and the times `ts` at which it returns values together, or neither.")
    shown = [recordings(result, name) for name in experiments]
    if observe is None and not any(r.observed for records in shown for r in records):
        return plot_residuals(result, experiments, ax)
    wide = len(experiments) == 1
    axes = panels(len(experiments), ax, size=(6.2, 3.6) if wide else (3.4, 2.7))
    timed = all(r.is_timed for records in shown for r in records)
    names, kinds = [], set()
    for panel, experiment, records in zip(axes, experiments, shown, strict=True):
        kinds |= _draw_data(panel, records)
        if observe is None:
            names = _draw_predictions(panel, records, level)
        else:
            names = _draw_curves(panel, *result.predict(observe, experiment), np.asarray(ts), result.student(level))
        first = panel is axes[0]
        value = names[0] if len(names) == 1 and names[0] and not names[0].isdigit() else "value"
        label(panel, "time" if timed else "datum", value if first else "", "" if wide else experiment)
    band = f"{100 * level:g} % of data, as predicted" if observe is None else f"{100 * level:g} % confidence"
    _explain(axes[0], names, kinds, band, ax is None)
    return squeeze(axes)


def plot_residuals(result: "FitResult", experiments: list[str], ax: Any) -> Any:
    """Residuals in units of their standard deviation, in the order of the data, and against normal quantiles."""
    scores = {name: _scores(result, tree) for name, tree in trees(result).items() if name in experiments}
    if ax is None:
        figure, pair = pyplot().subplots(
            1, 2, figsize=(6.8, 3.2), width_ratios=(5, 3), sharey=True, layout="constrained"
        )
        ax = pair
    left, right = panels(2, ax)
    offset = 0
    for k, (name, values) in enumerate(scores.items()):
        x = offset + np.arange(values.size)
        left.plot(x, values, "o", color=color(k), ms=4, mec="white", mew=0.5, label=name)
        offset += values.size
    for panel in (left, right):
        panel.axhline(0, color=INK, lw=0.8)
    left.axhspan(-2, 2, color=MUTED, alpha=0.12, lw=0)
    label(left, "datum", "residual / standard deviation")
    if 1 < len(scores) <= len(COLORS):
        legend(left)
    everyone = np.sort(np.concatenate(list(scores.values())))
    everyone = everyone[np.isfinite(everyone)]
    normal = scipy.special.ndtri((np.arange(everyone.size) + 0.5) / max(everyone.size, 1))
    right.plot(normal, normal, color=INK, lw=0.8)
    right.plot(normal, everyone, "o", color=MUTED, ms=3, mew=0)
    label(right, "standard normal quantile")
    return squeeze([left, right])


def _scores(result: "FitResult", tree: Any) -> np.ndarray:
    """The residuals of one experiment, flat, scaled to unit standard deviation."""
    pieces = []
    for leaf in jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, Observed)):
        if isinstance(leaf, Observed):
            pieces.append(np.ravel(normal_scores(leaf)))
        elif np.issubdtype(np.asarray(leaf).dtype, np.floating):
            pieces.append(np.ravel(leaf) / np.sqrt(result.scatter))
    return np.concatenate(pieces)


def _draw_data(ax: Any, records: list[Recording]) -> set[str]:
    """Measured, censored and missing data, each with its mark; which marks there are."""
    kinds, number = set(), 0
    for r in records:
        for k in range(r.values.shape[1]):
            values, look = r.values[:, k], {"color": color(number), "ls": "none", "zorder": 3}
            limits = {"v": r.below, "^": r.above}
            flags = {mark: np.zeros(values.shape, bool) if f is None else f[:, k] for mark, f in limits.items()}
            flags["o"] = ~(flags["v"] | flags["^"])
            for mark, chosen in flags.items():
                chosen = chosen & np.isfinite(values)
                if chosen.any():
                    kinds.add(mark)
                    face = {"mfc": "white"} if mark != "o" else {"mec": "white", "mew": 0.6}
                    ax.plot(r.xs[chosen], values[chosen], mark, ms=6, **face, **look)
                    if mark == "o" and r.sd is not None:
                        ax.errorbar(
                            r.xs[chosen],
                            values[chosen],
                            r.sd[chosen, k],
                            fmt="none",
                            ecolor=color(number),
                            elinewidth=1,
                        )
            missing = np.isnan(values) & ~np.isnan(r.xs)
            if missing.any():
                kinds.add("|")
                ax.plot(
                    r.xs[missing], np.full(missing.sum(), 0.02), "|", ms=8, transform=ax.get_xaxis_transform(), **look
                )
            number += 1
    return kinds


def _draw_predictions(ax: Any, records: list[Recording], level: float) -> list[str]:
    """The median of the distribution that is predicted at the data, and the quantiles that enclose `level` of it."""
    names: list[str] = []
    for r in records:
        if r.observed is None:
            continue
        low, middle, high = band(r.observed, level)
        for k, name in enumerate(labels(r.label, r.values.shape[1])):
            _draw_band(ax, r.xs, (low[:, k], middle[:, k], high[:, k]), color(len(names)))
            names.append(name)
    return names


def _draw_curves(ax: Any, curve: PyTree, error: PyTree, ts: np.ndarray, reach: float) -> list[str]:
    """`observe`'s values, and their confidence band."""
    names: list[str] = []
    for (path, y), e in zip(jax.tree_util.tree_leaves_with_path(curve), jax.tree.leaves(error), strict=True):
        y, e = columns(y), columns(e)
        if y.shape[0] != ts.size:
            raise ValueError(f"observe(model) returned {y.shape[0]} rows for {ts.size} times: one for each is needed.")
        for k, name in enumerate(labels(jax.tree_util.keystr(path, simple=True, separator="."), y.shape[1])):
            half = reach * e[:, k]
            _draw_band(ax, ts, (y[:, k] - half, y[:, k], y[:, k] + half), color(len(names)))
            names.append(name)
    return names


def _draw_band(ax: Any, xs: np.ndarray, lines: tuple[np.ndarray, np.ndarray, np.ndarray], shade: str) -> None:
    low, middle, high = lines
    ax.fill_between(xs, low, high, color=shade, alpha=_BAND, lw=0)
    ax.plot(xs, middle, color=shade, lw=_LINE)


def _explain(ax: Any, names: list[str], kinds: set[str], band: str, outside: bool) -> None:
    """One legend: a color for each quantity, a mark for each kind of datum."""
    plt = pyplot()
    shade = COLORS[0] if len(names) < 2 else MUTED
    line = lambda **look: plt.Line2D([], [], ls="none", color=shade, **look)
    handles = [plt.Line2D([], [], color=color(k), lw=_LINE, label=name) for k, name in enumerate(names)]
    handles = handles if len(names) > 1 else [plt.Line2D([], [], color=shade, lw=_LINE, label="fit")]
    handles.append(plt.Rectangle((0, 0), 1, 1, color=shade, alpha=_BAND, lw=0, label=band))
    words = {"o": "data", "v": "at most", "^": "at least", "|": "not measured"}
    for mark, word in words.items():
        face = {"mfc": "white"} if mark in "v^" else {}
        if mark in kinds:
            handles.append(line(marker=mark, ms=6, label=word, **face))
    if outside:
        ax.figure.legend(
            handles=handles, loc="outside upper left", frameon=False, fontsize=SMALL, ncols=len(handles), labelcolor=INK
        )
    else:
        ax.legend(handles=handles, frameon=False, fontsize=SMALL, labelcolor=INK)
