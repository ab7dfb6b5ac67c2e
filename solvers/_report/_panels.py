"""Colors and axes for all pictures, given to each artist by itself: no global style is read or changed."""

from collections.abc import Sequence
from typing import Any

import numpy as np

# M. Okabe and K. Ito's colors, which the color-blind tell apart; the yellow is left out: too light for lines
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
INK, MUTED, FAINT = "#222222", "#767676", "#e4e4e4"
SMALL = 9


def color(number: int) -> str:
    """A color for each member of a list."""
    return COLORS[number % len(COLORS)]


def pyplot() -> Any:
    """matplotlib.pyplot, or how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Plots need matplotlib: pip install kinax[plot]") from error
    return plt


def panels(number: int, ax: Any, *, columns: int = 3, size: tuple[float, float] = (3.4, 2.6)) -> list[Any]:
    """Axes for this many panels: those given, or a new figure's."""
    if ax is not None:
        axes = list(np.ravel(np.asarray(ax, dtype=object)))
        if len(axes) != number:
            raise ValueError(f"ax holds {len(axes)} axes, but this picture has {number} panels: pass as many, or None.")
    else:
        columns = min(columns, number)
        rows = -(-number // columns)
        plt = pyplot()
        figure, grid = plt.subplots(
            rows, columns, figsize=(size[0] * columns, size[1] * rows), layout="constrained", squeeze=False
        )
        axes = list(grid.ravel())
        for empty in axes[number:]:
            figure.delaxes(empty)
        axes = axes[:number]
    for one in axes:
        tidy(one)
    return axes


def tidy(ax: Any) -> None:
    """Two spines, a faint grid behind the data, small ticks."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.spines[["left", "bottom"]].set_color(MUTED)
    ax.tick_params(colors=MUTED, labelcolor=INK, labelsize=SMALL)
    ax.grid(True, color=FAINT, lw=0.7)
    ax.set_axisbelow(True)


def label(ax: Any, x: str = "", y: str = "", title: str = "") -> None:
    """Axis labels and a title at the left."""
    ax.set_xlabel(x, fontsize=SMALL + 1, color=INK)
    ax.set_ylabel(y, fontsize=SMALL + 1, color=INK)
    if title:
        ax.set_title(title, fontsize=SMALL + 1, color=INK, loc="left")


def legend(ax: Any, columns: int = 1) -> None:
    """A legend without a frame, if anything in the picture has a name."""
    if ax.get_legend_handles_labels()[0]:
        ax.legend(frameon=False, fontsize=SMALL, labelcolor=INK, ncols=columns)


def squeeze(axes: Sequence[Any]) -> Any:
    """One panel as it is, several as an array."""
    if len(axes) == 1:
        return axes[0]
    array = np.empty(len(axes), dtype=object)
    array[:] = axes
    return array


def with_unit(name: str, unit: str) -> str:
    """`name [unit]`."""
    return f"{name} [{unit}]" if unit else name
