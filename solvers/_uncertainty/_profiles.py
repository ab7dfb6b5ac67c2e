"""What `profile` returns: profiles, intervals, a table."""

import html
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

from .._codes import message_of
from .._table import html_table, text_table
from ._walk import AT_BOUND, FAILED, FLAT, JUMP, OUT_OF_POINTS


class Profile(eqx.Module):
    """The profile of one parameter, from the lowest value to the highest.

    - `value`: the fitted one. `values`: those at which all other parameters were fitted again.
    - `costs`: by how much the cost lies above the fit's there. `path`: the values of all parameters there, so that
      one sees which of them make up for the change.
    - `interval`: infinite where the profile stays flat, the bound where it meets one, NaN where it is not known
      because simulations fail. `remark()` tells.
    - `reasons`, `failures`: why the walks down and up ended, and how the last simulation that failed did, as codes.
    - `unfinished`: fits on the way that did not converge; the costs there are upper bounds.
    """

    name: str = eqx.field(static=True)
    unit: str = eqx.field(static=True)
    value: float
    values: Float[np.ndarray, " m"]
    costs: Float[np.ndarray, " m"]
    path: Float[np.ndarray, "m p"]
    interval: tuple[float, float]
    reasons: tuple[int, int]
    failures: tuple[int, int]
    unfinished: int

    @property
    def is_closed(self) -> bool:
        """Whether both ends are where the profile crosses the threshold."""
        return not set(self.reasons) & {AT_BOUND, FLAT, FAILED, OUT_OF_POINTS}

    def remark(self) -> str:
        """What the ends of the interval are, if not where the profile crosses the threshold."""
        sides = zip(("below", "above"), (self.values[0], self.values[-1]), self.reasons, self.failures, strict=True)
        remarks = [text for side in sides if (text := _remark(*side))]
        if self.unfinished:
            remarks.append(f"{self.unfinished} fit(s) on the way did not converge")
        return "; ".join(remarks)


def _remark(side: str, last: float, reason: int, failure: int) -> str:
    if reason == AT_BOUND:
        return f"open {side}: its bound"
    if reason == FLAT:
        return f"no end {side}: under the threshold as far as {last:.4g}"
    if reason == FAILED:
        return f"not known {side}: simulations fail beyond {last:.4g} ({message_of(failure).split('. ')[0]})"
    if reason == OUT_OF_POINTS:
        return f"not known {side}: no end after as many points as allowed, at {last:.4g}"
    return f"a jump {side}" if reason == JUMP else ""


class Profiles(eqx.Module):
    """Profiles by parameter: `profiles["k"]`, `for p in profiles`.

    - `names`: of all parameters: the columns of each `path`.
    - `level`: of the intervals; `threshold`: the cost difference at their ends.
    - `num_evaluations`: of the cost, in all.
    - `better`: where a walk found a lower cost than the fit's, by `drop`, the values there:
      `fit(problem, starts=UserStarts([profiles.better]))` goes on from them. The intervals still belong to the fit.
    """

    profiles: tuple[Profile, ...]
    names: tuple[str, ...] = eqx.field(static=True)
    level: float
    threshold: float
    num_evaluations: int
    drop: float
    better: dict[str, Any] | None

    def __getitem__(self, name: str) -> Profile:
        for one in self.profiles:
            if one.name == name:
                return one
        raise KeyError(f"No profile of {name!r}; there are {[one.name for one in self.profiles]}.")

    def __iter__(self):
        return iter(self.profiles)

    def __len__(self) -> int:
        return len(self.profiles)

    @property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The confidence intervals by name."""
        return {one.name: one.interval for one in self.profiles}

    def summary(self) -> str:
        """A table: parameter, unit, value, interval, remarks."""
        return "\n".join([text_table(self._head(), self._rows(), _LEFT), *([self.remark()] if self.drop else [])])

    def remark(self) -> str:
        """What to do about a lower cost, if one was found."""
        if self.better is None:
            return ""
        return (
            f"A walk found a cost lower than the fit's by {self.drop:.4g}: the fit is not at the optimum, and the "
            "intervals are not those of the best fit. Fit again from there: "
            "fit(problem, starts=UserStarts([profiles.better]))."
        )

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return html_table(self._head(), self._rows(), _LEFT) + (
            f"<p>{html.escape(self.remark())}</p>" if self.drop else ""
        )

    def _head(self) -> tuple[str, ...]:
        return "parameter", "unit", "value", f"{100 * self.level:g} % profile interval", ""

    def _rows(self) -> list[tuple[str, ...]]:
        return [
            (p.name, p.unit, f"{p.value:.6g}", f"[{p.interval[0]:.6g}, {p.interval[1]:.6g}]", p.remark()) for p in self
        ]


_LEFT = ("unit", "")
