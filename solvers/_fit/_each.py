"""`fit_each`: the same fit for many data sets, one by one."""

import dataclasses
import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float, PRNGKeyArray, PyTree
from tqdm.auto import tqdm

from .._checkpoint import as_checkpoint, in_segments, Keeper, Pace
from .._codes import message_of
from .._problem import AbstractLoss, fingerprint, Parameter
from .._programs import digest, seldom_collecting
from .._table import html_table, text_table
from ._fit import as_problem, Method, Plan, plan_for, result_of
from ._machine import Machine
from ._methods import method_digest
from ._result import FitResult
from ._start_table import StartTable
from ._starts import AbstractStarts


class Fits(eqx.Module):
    """Fits of many data sets by name: `fits["patient 7"]` is a `FitResult`; `len(fits)`, `for name in fits`.

    - `values`, `standard_errors`: a row for each data set, in the order of `names`; a column for each of `parameters`.
    - `costs`, `converged`: of each data set.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    results: tuple[FitResult, ...]

    def __getitem__(self, name: str) -> FitResult:
        if name not in self.names:
            raise KeyError(f"No data set {name!r}; there are {', '.join(self.names)}.")
        return self.results[self.names.index(name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def __len__(self) -> int:
        return len(self.names)

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters' names."""
        return self.results[0].names

    @property
    def values(self) -> Float[np.ndarray, "n p"]:
        """The fitted values."""
        return np.stack([list(result.values.values()) for result in self.results])

    @property
    def standard_errors(self) -> Float[np.ndarray, "n p"]:
        """Their standard errors."""
        return np.stack([list(result.standard_errors.values()) for result in self.results])

    @property
    def costs(self) -> Float[np.ndarray, " n"]:
        """The costs at the best points."""
        return np.asarray([float(result.cost) for result in self.results])

    @property
    def converged(self) -> Bool[np.ndarray, " n"]:
        """Whether the best search of each ended at an optimum."""
        return np.asarray([result.starts.verdict[result.starts.best] == 0 for result in self.results])

    def summary(self) -> str:
        """A table: a line for each data set, with its values, their errors, and how the search ended."""
        return f"{text_table(self._head(), self._rows(), _LEFT)}\n{self._more()}"

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return f"{html_table(self._head(), self._rows(), _LEFT)}<p>{html.escape(self._more())}</p>"

    def _head(self) -> tuple[str, ...]:
        return "data set", *self.parameters, "cost", "ended"

    def _rows(self) -> list[tuple[str, ...]]:
        rows = []
        for name, result in zip(self.names, self.results, strict=True):
            pairs = zip(result.values.values(), result.standard_errors.values(), strict=True)
            cells = [f"{value:.5g} ± {error:.2g}" if np.isfinite(error) else f"{value:.5g}" for value, error in pairs]
            ended = message_of(result.starts.verdict[result.starts.best]).split(". ")[0] or "converged"
            rows.append((name, *cells, f"{float(result.cost):.6g}", ended))
        return rows

    def _more(self) -> str:
        return f"{len(self)} data sets; {int(self.converged.sum())} converged."


_LEFT = ("data set", "ended")


@seldom_collecting()
def fit_each(
    model: Any,
    residuals: Callable[[Any, Any], PyTree],
    data: Mapping[Any, PyTree],
    *,
    parameters: Sequence[Parameter],
    loss: AbstractLoss | None = None,
    method: Method | None = None,
    starts: int | AbstractStarts = 1,
    key: PRNGKeyArray | None = None,
    max_steps: int = 1000,
    checkpoint: Any = None,
    progress: bool = True,
) -> Fits:
    """Fit the same parameters to each data set by itself: `fit(model, residuals, data[name], ...)` for every name.

    Data sets of one shape share one compiled program, so that a further one costs what its arithmetic costs. Where data
    sets share parameters, take `fit` with `Experiments`; inside a program, `jax.vmap(estimate)`.

    - `data`: data sets by name, each as `fit` takes it. Arguments that are not named here are those of `fit`.
    - `checkpoint`: a path, or a `Checkpoint`: what was fitted is saved now and then, and the same call goes on from
      there, to the same bits.
    - `progress`: a bar, if it takes more than a second.

    A data set whose search does not converge, or whose simulation fails at the start, does not end the others: its
    `result` says so, and the table.

    Raises ValueError or TypeError for what cannot be right in any data set, or a checkpoint of something else;
    RuntimeError if `residuals` raised.
    """
    if not isinstance(data, Mapping) or not data:
        raise ValueError(f"fit_each takes a non-empty mapping from names to data sets, not {type(data).__name__}.")
    names = tuple(str(name) for name in data)
    if len(set(names)) < len(names):
        raise ValueError(f"fit_each: names must differ as text, but they are {', '.join(names)}.")
    plans = tuple(
        plan_for(as_problem(model, residuals, one, parameters, loss), method, starts, key, max_steps)
        for one in data.values()
    )
    saved = as_checkpoint(checkpoint)
    keeper = Keeper(saved, {} if saved is None else _belongs(plans))
    with tqdm(total=len(plans), unit="fit", desc="fit_each", disable=not progress, delay=1.0, leave=False) as bar:
        results = _fitted(plans, keeper, bar)
    return Fits(names, results)


def _fitted(plans: tuple[Plan, ...], keeper: Keeper, bar: Any) -> tuple[FitResult, ...]:
    """Those that a checkpoint holds, and then the others."""
    found: dict[int, FitResult] = {}

    def move(tables: list[StartTable], amount: int) -> tuple[list[StartTable], int]:
        begun = len(tables)
        for number in range(begun, min(begun + amount, len(plans))):
            found[number] = plans[number].found(Machine(None, None), Keeper(None, {}), progress=False)
            tables = [*tables, found[number].starts]
            bar.update(number + 1 - bar.n)
        return tables, len(tables) - begun

    tables = _tables(keeper.restore(), plans[0].problem.experiments)
    tables = in_segments(keeper, tables, move, lambda tables: len(tables) == len(plans), Pace())
    for number, (plan, table) in enumerate(zip(plans, tables, strict=True)):
        if number not in found:
            found[number] = result_of(plan.problem, table, plan.recipe)
    return tuple(found[number] for number in range(len(plans)))


def _tables(stored: list[np.ndarray] | None, experiments: tuple[str, ...]) -> list[StartTable]:
    """The tables that were stored, one after the other."""
    if stored is None:
        return []
    size = len(dataclasses.fields(StartTable)) - 1
    return [StartTable(*stored[k : k + size], experiments=experiments) for k in range(0, len(stored), size)]


def _belongs(plans: tuple[Plan, ...]) -> dict[str, str]:
    """What a checkpoint of these fits belongs to."""
    first = plans[0]
    return {
        "kind": "fit_each",
        **fingerprint(first.problem),
        "data": digest([plan.problem.data for plan in plans]),
        "method": method_digest(first.method, first.problem),
        "starts": digest([plan.recipe for plan in plans[:1]]),
    }
