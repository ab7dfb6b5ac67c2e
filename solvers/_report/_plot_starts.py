"""What the starts came to, and how the parameters hang together."""

from typing import Any, TYPE_CHECKING

import numpy as np

from ._panels import color, INK, label, legend, MUTED, panels, SMALL

if TYPE_CHECKING:
    from .._fit import FitResult

_MOST = 12  # parameters for which the numbers of a matrix are still readable


def plot_waterfall(result: "FitResult", ax: Any) -> Any:
    """The starts' final costs above the best one, in order; one color for each of the best optima."""
    starts = result.starts
    began = ~((starts.failure_count > 0) & (starts.failure_first == 0)).any(axis=1)  # step 0 is the start itself
    order = np.array([i for i in starts.order if began[i]], int)
    if not order.size:
        raise ValueError("The simulation failed at every start: there is no waterfall.")
    best = starts.cost[order[0]]
    height = starts.cost - best
    near = 1e-4 * max(1.0, abs(float(best)))  # what `optima` merges
    (ax,) = panels(1, ax, size=(5.2, 3.2))
    rank = {int(i): k + 1 for k, i in enumerate(order)}
    ax.plot(range(1, order.size + 1), height[order], color=MUTED, lw=0.7, zorder=1)
    optima = starts.optima()
    for k, optimum in enumerate(optima):
        members = list(optimum.starts)
        named = f"cost {optimum.cost:.5g}: {len(members)} start{'s' * (len(members) > 1)}" if k < 4 else None
        shade = color(k) if k < 4 else MUTED
        ax.plot(
            [rank[i] for i in members], height[members], "o", color=shade, ms=5.5, mec="white", mew=0.5, label=named
        )
    lost = [i for i in order if starts.verdict[i] != 0]
    if lost:
        ax.plot([rank[int(i)] for i in lost], height[lost], "x", color=INK, ms=5, label=f"not converged: {len(lost)}")
    if not began.all():
        ax.plot([], [], " ", label=f"simulation failed at the start: {int((~began).sum())}")
    if height[order].max() > 10 * near:
        ax.set_yscale("symlog", linthresh=near, linscale=0.5)
    ax.set_xlim(0.5, order.size + 0.5)
    ax.xaxis.get_major_locator().set_params(integer=True)
    ax.grid(False, axis="x")
    label(ax, "start, in order of its final cost", "cost above the best")
    legend(ax)
    return ax


def plot_correlation(result: "FitResult", ax: Any) -> Any:
    """The correlation matrix of the parameters; empty where an error is infinite or unknown."""
    matrix = np.asarray(result.correlation)
    size = matrix.shape[0]
    side = float(np.clip(1.6 + 0.45 * size, 3.0, 9.0))
    (ax,) = panels(1, ax, size=(side + 0.8, side))
    image = ax.imshow(matrix, cmap="RdBu_r", vmin=-1, vmax=1)
    ax.grid(False)
    ax.spines[["left", "bottom"]].set_visible(False)
    ax.tick_params(length=0)
    slant = {"rotation": 40, "ha": "right", "rotation_mode": "anchor"} if max(map(len, result.names)) > 3 else {}
    ax.set_xticks(range(size), result.names, **slant)
    ax.set_yticks(range(size), result.names)
    if size <= _MOST:
        for i, j in np.ndindex(size, size):
            value = matrix[i, j]
            text = "" if np.isnan(value) else f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
            ax.text(
                j, i, text, ha="center", va="center", fontsize=SMALL - 1, color="white" if abs(value) > 0.6 else INK
            )
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, ticks=[-1, 0, 1])
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize=SMALL, length=0)
    bar.set_label("correlation", fontsize=SMALL, color=INK)
    return ax
