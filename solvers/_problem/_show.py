"""What a problem looks like, as text and as HTML."""

import html
from typing import Any, TYPE_CHECKING

import numpy as np

from .._table import html_table, text_table
from ._layout import Entry
from ._transform import Identity

if TYPE_CHECKING:
    from ._problem import Problem

_HEAD = ("parameter", "unit", "start", "bounds", "scale", "prior", "")
_LEFT = ("unit", "bounds", "scale", "prior", "")


def as_text(problem: "Problem") -> str:
    """A heading and a table of parameters."""
    return f"{_heading(problem)}\n{text_table(_HEAD, _rows(problem), _LEFT)}"


def as_html(problem: "Problem") -> str:
    """The same for a notebook."""
    return f"<p>{html.escape(_heading(problem))}</p>{html_table(_HEAD, _rows(problem), _LEFT)}"


def _heading(problem: "Problem") -> str:
    layout, names = problem.layout, problem.experiments
    kinds = [("fixed", len(layout.fixed)), ("tied", len(layout.tied))]
    others = "".join(f", {number} {kind}" for kind, number in kinds if number)
    where = f"{len(names)} experiments ({', '.join(names)})" if len(names) > 1 else "1 experiment"
    loss = "" if type(problem.loss).__name__ == "Squares" else f", loss {type(problem.loss).__name__}"
    return (
        f"Problem: {type(layout.model).__name__}, residuals {getattr(problem.residuals, '__name__', '')}; "
        f"{problem.start().size} coordinates{others}; {where}, {problem.num_data} data{loss}"
    )


def _rows(problem: "Problem") -> list[tuple[str, ...]]:
    layout = problem.layout
    rows = [_row(entry, "") for entry in layout.free]
    rows += [_row(entry, "fixed") for entry in layout.fixed]
    rows += [(entry.name, entry.unit, "", "", "", "", "tied") for entry in layout.tied]
    return rows


def _row(entry: Entry, remark: str) -> tuple[str, ...]:
    transform = "" if isinstance(entry.transform, Identity) else type(entry.transform).__name__
    copies = [remark] if remark else []
    copies += ["one per experiment"] if entry.experiments is not None else []
    name = entry.name + (str(list(entry.shape)) if entry.shape else "")
    return name, entry.unit, _short(entry.start), _bounds(entry), transform, _prior(entry.prior), ", ".join(copies)


def _bounds(entry: Entry) -> str:
    """Every interval that occurs, or the first three."""
    pairs = list(dict.fromkeys(zip(np.ravel(entry.lower).tolist(), np.ravel(entry.upper).tolist(), strict=True)))
    if not np.isfinite(pairs).any():
        return ""
    return ", ".join([f"[{low:.6g}, {high:.6g}]" for low, high in pairs[:3]] + ["..."] * (len(pairs) > 3))


def _short(x: Any) -> str:
    values = [f"{v:.5g}" for v in np.unique(np.asarray(x))]
    return values[0] if len(values) == 1 else f"{values[0]} to {values[-1]}"


def _prior(prior: Any) -> str:
    if prior is None:
        return ""
    fields = ", ".join(_short(value) for value in vars(prior).values())
    return f"{type(prior).__name__}({fields})"
