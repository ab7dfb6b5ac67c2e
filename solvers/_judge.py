"""Solvers that can tell whether an equation may be solved from a start."""

import abc
from typing import Any, NamedTuple

import equinox as eqx
from jaxtyping import Array, PyTree

from ._results import RESULTS


class Verdict(NamedTuple):
    """Whether a solve may begin, and facts for its statistics."""

    result: RESULTS
    facts: dict[str, Array]


class AbstractJudge(eqx.Module):
    """A solver that `integrate` asks before it begins."""

    @abc.abstractmethod
    def judge(self, terms: Any, t0: Any, y0: PyTree, args: PyTree, tolerances: tuple[Any, Any]) -> Verdict:
        """Whether this solver can solve `terms` from `y0`."""


def verdict_on(solver: Any, terms: Any, t0: Any, y0: PyTree, args: PyTree, tolerances: tuple[Any, Any]) -> Verdict:
    """What a solver says of a start; most have no opinion."""
    if isinstance(solver, AbstractJudge):
        return solver.judge(terms, t0, y0, args, tolerances)
    return Verdict(RESULTS.successful, {})
