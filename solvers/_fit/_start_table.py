"""What became of every start of a fit."""

from typing import Any, NamedTuple

import equinox as eqx
import numpy as np
from jaxtyping import Float, Int

from .._codes import message_of
from .._search import SearchState
from .._table import html_table, text_table

_SAME = 1e-4  # how far costs of one optimum may differ


class Failure(NamedTuple):
    """The trial points of one start at which one experiment's simulation failed."""

    start: int
    experiment: str
    times: int
    first_step: int
    last_step: int
    reason: str


class Optimum(NamedTuple):
    """Starts that ended at the same point."""

    z: Float[np.ndarray, " p"]
    cost: float
    starts: tuple[int, ...]


class StartTable(eqx.Module):
    """Where every start began and ended, in coordinates.

    - `z0`, `z`: first and last points; `cost`: the cost there (a huge penalty where the start itself failed).
    - `verdict`: how it ended, as a code of `RESULTS` (0: converged).
    - `failures`: trial points at which simulations failed, as counts by start and experiment, and when and why.
    """

    z0: Float[np.ndarray, "n p"]
    z: Float[np.ndarray, "n p"]
    cost: Float[np.ndarray, " n"]
    gradient_norm: Float[np.ndarray, " n"]
    num_steps: Int[np.ndarray, " n"]
    num_evaluations: Int[np.ndarray, " n"]
    num_jacobians: Int[np.ndarray, " n"]
    verdict: Int[np.ndarray, " n"]
    failure_count: Int[np.ndarray, "n e"]
    failure_first: Int[np.ndarray, "n e"]
    failure_last: Int[np.ndarray, "n e"]
    failure_reason: Int[np.ndarray, "n e"]
    experiments: tuple[str, ...] = eqx.field(static=True)

    @property
    def best(self) -> int:
        """The start that ended lowest, among those that converged if any did."""
        converged = self.verdict == 0
        return int(np.argmin(np.where(converged | ~converged.any(), self.cost, np.inf)))

    @property
    def missed(self) -> int | None:
        """The start that ended lowest, if that is clearly lower than `best`: it did not converge."""
        lowest = int(np.argmin(self.cost))
        gap = self.cost[self.best] - self.cost[lowest]
        return lowest if gap > _SAME * max(1, abs(self.cost[self.best])) else None

    @property
    def order(self) -> Int[np.ndarray, " n"]:
        """The starts by final cost: a waterfall."""
        return np.argsort(self.cost, kind="stable")

    def failures(self) -> list[Failure]:
        """Which start, which experiment, how often, when, why; by start."""
        rows = np.argwhere(self.failure_count > 0)
        return [
            Failure(
                start=int(i),
                experiment=self.experiments[k],
                times=int(self.failure_count[i, k]),
                first_step=int(self.failure_first[i, k]),
                last_step=int(self.failure_last[i, k]),
                reason=message_of(self.failure_reason[i, k]),
            )
            for i, k in rows
        ]

    def __str__(self) -> str:
        return f"{text_table(_HEAD, self._rows(), _LEFT)}\n{self._more()}"

    def _repr_html_(self) -> str:
        return f"{html_table(_HEAD, self._rows(), _LEFT)}<p>{self._more()}</p>"

    def _rows(self) -> list[tuple[str, ...]]:
        """The starts that ended lowest."""
        ended = lambda i: message_of(self.verdict[i]).split(". ")[0] or "converged"
        numbers = (self.num_steps, self.num_evaluations, self.failure_count.sum(axis=1))
        return [(str(i), f"{self.cost[i]:.6g}", *(str(x[i]) for x in numbers), ended(i)) for i in self.order[:_SHOWN]]

    def _more(self) -> str:
        shown = f", the {_SHOWN} lowest of them above" if self.cost.size > _SHOWN else ""
        return f"{self.cost.size} starts{shown}; {int((self.verdict == 0).sum())} converged."

    def optima(self, cost_tolerance: float = _SAME, tolerance: float = 1e-2) -> list[Optimum]:
        """Converged starts that ended at the same point, merged; the best first.

        Two are the same if their costs differ by at most `cost_tolerance` (relative, and absolute for costs below 1)
        and every coordinate by at most `tolerance` (likewise).
        """
        merged: list[tuple[int, list[int]]] = []
        for i in self.order:
            if self.verdict[i] != 0:
                continue
            for first, members in merged:
                near = abs(self.cost[i] - self.cost[first]) <= cost_tolerance * max(1, abs(self.cost[first]))
                apart = np.abs(self.z[i] - self.z[first]) > tolerance * np.maximum(1, np.abs(self.z[first]))
                if near and not apart.any():
                    members.append(int(i))
                    break
            else:
                merged.append((int(i), [int(i)]))
        return [Optimum(z=self.z[i], cost=float(self.cost[i]), starts=tuple(members)) for i, members in merged]


_HEAD, _LEFT, _SHOWN = ("start", "cost", "steps", "evaluations", "failures", "ended"), ("ended",), 20


def start_table(z0: Float[np.ndarray, "n p"], states: SearchState, limit: int, names: tuple[str, ...]) -> StartTable:
    """The table of finished searches; `limit` is the code for those that ran out of steps."""
    s: Any = states.standing  # on the host
    return StartTable(
        z0=np.asarray(z0),
        z=s.z,
        cost=s.cost,
        gradient_norm=s.gradient_norm,
        num_steps=s.num_steps,
        num_evaluations=s.num_evaluations,
        num_jacobians=s.num_jacobians,
        verdict=np.where(s.done, s.verdict, limit).astype(np.int32),
        failure_count=s.failures.count,
        failure_first=s.failures.first_step,
        failure_last=s.failures.last_step,
        failure_reason=s.failures.reason,
        experiments=names,
    )
