"""Tables in and out, by pandas."""

from collections.abc import Sequence
from typing import Any, TYPE_CHECKING

import numpy as np

from .._problem import Experiments, Problem, TimeSeries
from .._report import band, labels, recordings, rows_of

if TYPE_CHECKING:
    from .._fit import FitResult


def from_pandas(
    frame: Any,
    *,
    time: str,
    values: str | Sequence[str],
    sd: str | Sequence[str] | None = None,
    below: str | Sequence[str] | None = None,
    above: str | Sequence[str] | None = None,
) -> TimeSeries:
    """Columns of a data frame as a `TimeSeries`, sorted by time; empty cells (NaN) were not measured.

    - `values`: a column, or several: then the values have the shape `(times, columns)`.
    - `sd`, `below`, `above`: columns with the noise, and with marks of limits, in the same order.

    Raises ValueError for columns that are not there, and for times or values that are not numbers.
    """
    return _series(frame, time, [_as_values(values), sd, below, above], None)


def experiments_from_pandas(
    frame: Any,
    *,
    experiment: str,
    time: str,
    values: str | Sequence[str],
    sd: str | Sequence[str] | None = None,
    below: str | Sequence[str] | None = None,
    above: str | Sequence[str] | None = None,
) -> Experiments:
    """A long data frame as `Experiments`: the rows with one value of the column `experiment` are one `TimeSeries`.

    Series are padded with NaN to the length of the longest, so that all run as one batch; the other columns are as in
    `from_pandas`. Conditions can be added: `Experiments({n: (x[n], doses[n]) for n in x.names})`.

    Raises ValueError as `from_pandas` does, and for a row without an experiment.
    """
    _check(frame, [experiment])
    if frame[experiment].isna().any():
        raise ValueError(f"Column {experiment!r} has an empty cell: every row needs an experiment.")
    parts = dict(iter(frame.groupby(frame[experiment].map(str), sort=False)))
    longest = max(map(len, parts.values()), default=0)
    chosen = [_as_values(values), sd, below, above]
    return Experiments({name: _series(part, time, chosen, longest) for name, part in parts.items()})


def to_pandas(source: "Problem | FitResult") -> Any:
    """A data frame with a row for each parameter.

    Columns: name, unit, value, standard_error, initial, lower, upper, vary, tied. Needs pandas:
    `pip install kinax[interop]`.
    """
    return _pandas().DataFrame(rows_of(source))


def fit_table(result: "FitResult", level: float = 0.95) -> Any:
    """A data frame with a row for each datum: experiment, series, time, value, predicted, lower, upper, limit.

    `predicted` is the median of the distribution that `residuals` returned as `Observed`, `lower` and `upper` enclose
    `level` of it; `limit` is "below" or "above" for censored data. `time` is the datum's number if no `TimeSeries` in
    the data has the same values. Raises ValueError if `residuals` returns plain residuals only, which do not tell
    what was predicted.
    """
    pandas, rows = _pandas(), []
    for experiment in result.problem.experiments:
        for r in recordings(result, experiment):
            if r.observed is None:
                continue
            low, middle, high = band(r.observed, level)
            for i, k in np.argwhere(~np.isnan(r.values)):
                limits = [
                    word
                    for word, flags in (("below", r.below), ("above", r.above))
                    if flags is not None and flags[i, k]
                ]
                numbers = (r.values[i, k], middle[i, k], low[i, k], high[i, k])
                name = labels(r.label, r.values.shape[1])[k]
                rows.append((experiment, name, float(r.xs[i]), *map(float, numbers), "".join(limits)))
    if not rows:
        raise ValueError("Plain residuals do not tell what was predicted: let residuals return Observed(...).")
    head = ("experiment", "series", "time", "value", "predicted", "lower", "upper", "limit")
    return pandas.DataFrame(rows, columns=list(head))


def _as_values(values: str | Sequence[str]) -> str | list[str]:
    return values if isinstance(values, str) else list(values)


def _series(frame: Any, time: str, chosen: list[Any], length: int | None) -> TimeSeries:
    """One series from a frame's columns, padded to a length."""
    names = [name for part in chosen if part is not None for name in ([part] if isinstance(part, str) else part)]
    _check(frame, [time, *names])
    frame = frame.sort_values(time, kind="stable")
    ts = _numbers(frame, time)
    if np.isnan(ts).any():
        raise ValueError(f"Column {time!r} has an empty cell: every row needs a time.")
    missing = (len(ts) if length is None else length) - len(ts)

    def column(part: Any, fill: Any) -> Any:
        if part is None:
            return None
        one = isinstance(part, str)
        table = np.stack([_numbers(frame, name) for name in ([part] if one else part)], axis=1)
        table = np.pad(table, ((0, missing), (0, 0)), constant_values=fill)
        return table[:, 0] if one else table

    values, sd, below, above = (column(part, fill) for part, fill in zip(chosen, (np.nan, 1.0, 0.0, 0.0), strict=True))
    flags = [None if x is None else x > 0 for x in (below, above)]
    return TimeSeries(np.pad(ts, (0, missing), constant_values=np.nan), values, sd=sd, below=flags[0], above=flags[1])


def _numbers(frame: Any, name: str) -> np.ndarray:
    column = frame[name]
    if not _pandas().api.types.is_numeric_dtype(column.dtype):
        raise ValueError(
            f"Column {name!r} is of type {column.dtype}, but must hold numbers: convert it, dates for example by "
            f"(frame[{name!r}] - frame[{name!r}].min()).dt.total_seconds()."
        )
    return column.to_numpy(float, na_value=np.nan)


def _check(frame: Any, names: list[str]) -> None:
    unknown = [name for name in names if name not in frame.columns]
    if unknown:
        raise ValueError(f"No column {', '.join(map(repr, unknown))}; there are {', '.join(map(str, frame.columns))}.")


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise ImportError("Data frames need pandas: pip install kinax[interop]") from error
    return pandas
