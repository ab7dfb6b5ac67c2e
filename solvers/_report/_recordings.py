"""What a problem's data look like over time, as far as that can be known without knowing the model."""

from typing import Any, NamedTuple, TYPE_CHECKING

import jax
import numpy as np

from .._problem import Observed, TimeSeries

if TYPE_CHECKING:
    from .._fit import FitResult


class Recording(NamedTuple):
    """Columns of data over a common axis; `observed` is what is predicted for them, if that is a distribution."""

    label: str
    is_timed: bool
    xs: Any
    values: Any
    sd: Any
    below: Any
    above: Any
    observed: Observed | None


def recordings(result: "FitResult", experiment: str) -> list[Recording]:
    """The measurements that `residuals` returned, or else the time series (or the pair of arrays) in the data."""
    data = result.problem.data[experiment]
    series = [x for _, x in _leaves(data, TimeSeries) if isinstance(x, TimeSeries)]
    observed = [(name, x) for name, x in _leaves(trees(result)[experiment], Observed) if isinstance(x, Observed)]
    if observed:
        return [_of_observed(name, x, series) for name, x in observed]
    if series:
        return [_of_series(name, x) for name, x in _leaves(data, TimeSeries) if isinstance(x, TimeSeries)]
    if isinstance(data, tuple | list) and len(data) == 2 and all(np.ndim(x) >= 1 for x in data):
        xs, values = (np.asarray(x) for x in data)
        if xs.ndim == 1 and values.shape[0] == xs.size and np.issubdtype(values.dtype, np.floating):
            return [Recording("", True, xs, columns(values), None, None, None, None)]
    return []


def trees(result: "FitResult") -> dict[str, Any]:
    """What `residuals` returns at the fit, by experiment."""
    names = result.problem.experiments
    found = result.residuals
    return {name: found[name] for name in names} if len(names) > 1 else dict.fromkeys(names, found)


def columns(x: Any) -> Any:
    """Times along the first axis, everything else along the second."""
    x = np.asarray(x)
    return x.reshape(len(x), -1) if x.ndim else x.reshape(1, 1)


def labels(name: str, number: int) -> list[str]:
    """A label for each column."""
    return [name] if number == 1 else [f"{name}[{k}]" if name else f"column {k}" for k in range(number)]


def _of_series(name: str, x: TimeSeries) -> Recording:
    sd, below, above = (
        None if y is None else columns(np.broadcast_to(y, x.values.shape)) for y in (x.sd, x.below, x.above)
    )
    return Recording(name, True, np.asarray(x.ts), columns(x.values), sd, below, above, None)


def _of_observed(name: str, x: Observed, series: list[TimeSeries]) -> Recording:
    """With the times of the time series that holds the same values; without one the data are numbered."""
    same = [
        s for s in series if s.values.shape == x.values.shape and np.array_equal(s.values, x.values, equal_nan=True)
    ]
    xs = np.asarray(same[0].ts) if same else np.arange(x.values.shape[0] if x.values.ndim else 1)
    spread = lambda y: None if y is None else columns(np.broadcast_to(y, x.values.shape))
    return Recording(name, bool(same), xs, columns(x.values), None, spread(x.below), spread(x.above), x)


def _leaves(tree: Any, kind: type) -> list[tuple[str, Any]]:
    found = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: isinstance(x, kind))
    return [(jax.tree_util.keystr(path, simple=True, separator="."), x) for path, x in found]
