"""The parameters of a problem, one row for each number."""

from collections.abc import Iterator
from typing import NamedTuple, TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from .._problem import Problem

if TYPE_CHECKING:
    from .._fit import FitResult


class Row(NamedTuple):
    """One number: where it starts and may go, and what it became; NaN where that is not known."""

    name: str
    unit: str
    value: float
    standard_error: float
    initial: float
    lower: float
    upper: float
    vary: bool
    tied: bool


def rows_of(source: "Problem | FitResult") -> list[Row]:
    """All parameters: those searched for, then the fixed and the tied ones.

    Before a fit the values are the initial ones, without errors.
    """
    if isinstance(source, Problem):
        problem, z, errors = source, source.start(), {}
    else:
        problem, z, errors = source.problem, source.z, source.standard_errors
    layout = problem.layout
    values = np.asarray(problem.values(z)).tolist()
    initial, lower, upper = (list(_flat(problem, field)) for field in ("start", "lower", "upper"))
    rows = [
        Row(name, unit, values[k], errors.get(name, np.nan), initial[k], lower[k], upper[k], True, False)
        for k, (name, unit) in enumerate(layout.labels())
    ]
    for row, first in zip(layout.derived(z), layout.derived(problem.start()), strict=True):
        value, before = float(row.value), float(first.value)
        rows.append(Row(row.label, row.unit, value, np.nan, before, -np.inf, np.inf, False, row.is_tied))
    return rows


def _flat(problem: Problem, field: str) -> Iterator[float]:
    """A field of the free parameters, one number for each coordinate."""
    for entry in problem.layout.free:
        yield from np.ravel(jnp.broadcast_to(getattr(entry, field), entry.start.shape)).tolist()
