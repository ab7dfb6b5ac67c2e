"""Fits read back from files."""

import dataclasses
import html
import os
import warnings
from typing import Any, overload

import jax
import numpy as np

from .._problem import fingerprint, Problem
from .._report import read_archive, versions
from ._fit import result_of
from ._result import FitResult
from ._start_table import StartTable


@dataclasses.dataclass(frozen=True)
class FitRecord:
    """A saved fit without its model, which is code: what was found, from which data, by what.

    - `about`: parameters, cost, failures, how the search was asked for, versions, and digests (SHA-256) of data,
      model, parameters and formula.
    - `arrays`: `z`, `values`, `covariance`, `starts/cost`, `data/EXPERIMENT/...` and so on.

    The file is a zip archive of one JSON and `.npy` arrays: other programs can read it, too.
    """

    about: dict[str, Any]
    arrays: dict[str, np.ndarray]

    @property
    def values(self) -> dict[str, float]:
        """The fitted values by name."""
        return dict(zip(self.names, self.arrays["values"].tolist(), strict=True))

    @property
    def standard_errors(self) -> dict[str, float]:
        """Their standard errors by name."""
        return dict(zip(self.names, self.arrays["standard_errors"].tolist(), strict=True))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the parameters that were searched for."""
        return tuple(row["name"] for row in self.about["parameters"] if row["vary"])

    @property
    def starts(self) -> StartTable:
        """What became of every start."""
        table = {name.removeprefix("starts/"): x for name, x in self.arrays.items() if name.startswith("starts/")}
        return StartTable(**table, experiments=tuple(self.about["experiments"]))

    @property
    def data(self) -> dict[str, np.ndarray]:
        """The arrays in the data by experiment and place."""
        return {name.removeprefix("data/"): x for name, x in self.arrays.items() if name.startswith("data/")}

    def __str__(self) -> str:
        made = ", ".join(f"{name} {version}" for name, version in self.about["versions"].items())
        digest = self.about["fingerprint"]["data"][:16]
        return f"{self.about['summary']}\nSaved {self.about['saved']}; data {digest}; {made}."

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


@overload
def load_fit(path: str | os.PathLike[str]) -> FitRecord:
    """What the file holds."""


@overload
def load_fit(path: str | os.PathLike[str], problem: Problem) -> FitResult:
    """The fit again."""


def load_fit(path: str | os.PathLike[str], problem: Problem | None = None) -> FitRecord | FitResult:
    """Read what `FitResult.save` wrote. No code in the file is executed: there is none.

    With the `problem` that was fitted it becomes a `FitResult` again: the cost at the best point is computed anew
    and compared with the saved one; a warning tells if it differs by more than rounding. Without, it is a `FitRecord`.

    Raises ValueError for a damaged file, and for a problem whose data, model, parameters or formula are others. After
    a change of JAX's version formulas cannot be compared; then the cost must agree.
    """
    about, arrays = read_archive(path)
    record = FitRecord(about, arrays)
    try:
        table, found, saved = record.starts, about["fingerprint"], float(arrays["cost"])
        same_jax = about["versions"]["jax"] == versions()["jax"]
        dtype, recipe = about["dtype"], about["recipe"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{str(path)!r} is not a saved fit, or it is damaged: {error}.") from error
    if problem is None:
        return record
    here = fingerprint(problem)
    different = [part for part in here if here[part] != found.get(part)]
    if set(different) - {"formula"} or (different and same_jax):
        precision = f" Its numbers are {dtype}, those here {problem.start().dtype}." * (dtype != problem.start().dtype)
        raise ValueError(
            f"{str(path)!r} holds a fit of another problem: it differs in {', '.join(different)}.{precision} "
            "load_fit(path) without a problem shows what it is."
        )
    result = result_of(problem, table, recipe)
    cost = float(result.cost)
    if not np.isclose(cost, saved, rtol=float(np.sqrt(np.finfo(result.z.dtype).eps)), atol=0):
        text = f"The cost at the saved fit is {cost:.10g} here, but {saved:.10g} in {str(path)!r}"
        made = f"written with jax {about['versions']['jax']}, this is {jax.__version__}"
        if different:
            raise ValueError(f"{text} ({made}): the formula is another one, or computed differently.")
        warnings.warn(f"{text} ({made}).", stacklevel=2)
    return result
