"""Runs searches from many starts in segments, so that they can be watched, saved, interrupted and resumed."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int

from .._checkpoint import in_segments, Keeper, Pace
from .._programs import quick_options, Remembered, signature_of
from .._search import AbstractMethod, AbstractObjective, advance, SearchState
from .._types import AnyArray
from ._machine import Machine, raising
from ._progress import Reporter


class _Begin(eqx.Module):
    """A search's first state."""

    objective: AbstractObjective
    method: AbstractMethod

    def __call__(self, z: Float[Array, " p"]) -> SearchState:
        return self.method.init(self.objective, z)


class _Advance(eqx.Module):
    """Some steps of a search. Their number is data, so that segments of any length run the same program."""

    objective: AbstractObjective
    method: AbstractMethod
    num_steps: Int[AnyArray, ""]
    max_steps: Int[AnyArray, ""]

    def __call__(self, state: SearchState) -> SearchState:
        return advance(self.method, self.objective, state, self.num_steps, self.max_steps)


def _go(begin: _Begin, state: SearchState, num_steps: Int[Array, ""], max_steps: Int[Array, ""]) -> SearchState:
    """Begin, unless that is done, and take some steps, in one program."""
    standing = state.standing
    begun = jax.lax.cond(standing.num_evaluations > 0, lambda: state, lambda: begin(standing.z))
    return advance(begin.method, begin.objective, begun, num_steps, max_steps)


class _Kind:
    """What searches of one kind have in common: the shapes of a state, the program, and how long its steps take."""

    def __init__(self, begin: _Begin, z: Float[np.ndarray, " p"]):
        self._shapes, self.structure = jax.tree.flatten(eqx.filter_eval_shape(begin, z))
        self._z: int = jax.tree.unflatten(self.structure, range(len(self._shapes))).standing.z
        static = eqx.filter(begin, eqx.is_array, inverse=True)
        go = lambda numbers, state, counts: _go(eqx.combine(numbers, static), state, *counts)
        self._program = jax.jit(go, compiler_options=quick_options({jax.default_backend()}) or None)
        self.steps = 1  # of the next segment of the last fit

    def at(self, points: Float[np.ndarray, "n p"]) -> SearchState:
        """The states of searches that have not begun."""
        leaves = [np.zeros((len(points), *x.shape), x.dtype) for x in self._shapes]
        leaves[self._z] = points
        return jax.tree.unflatten(self.structure, leaves)

    def go(self, begin: _Begin, state: SearchState, num_steps: int, max_steps: int) -> SearchState:
        """A search alone, some steps further."""
        counts = np.asarray(num_steps, np.int32), np.asarray(max_steps, np.int32)
        return raising(self._program, eqx.filter(begin, eqx.is_array), state, counts)


_AT_ONCE = 30  # steps of a first segment at most
_kinds: Remembered[Any, _Kind] = Remembered(64)  # to find the shapes takes longer than a small search


def search_all(
    objective: AbstractObjective,
    method: AbstractMethod,
    points: Float[np.ndarray, "n p"],
    max_steps: int,
    machine: Machine,
    keeper: Keeper,
    reporter: Reporter,
) -> SearchState:
    """The last states of the searches from all points, stacked, on the host."""
    begin = _Begin(objective, method)
    kind = _kinds.get(signature_of(begin), lambda: _Kind(begin, points[0]))
    searches = _Searches(kind, begin, points, max_steps, machine, reporter)
    stored = keeper.restore()
    if stored is not None:
        first = jax.tree.unflatten(kind.structure, stored)
    elif len(points) == 1:
        first = kind.at(points)
    else:
        first = searches.begun(slice(machine.lanes))
    # the steps of another fit may be slower, and nothing shows while a segment runs
    pace = Pace(min(kind.steps, _AT_ONCE) if len(points) == 1 else 1)
    last = in_segments(keeper, first, searches.move, searches.are_done, pace)
    kind.steps = pace.amount
    return last


@dataclasses.dataclass(frozen=True)
class _Searches:
    """The searches of one fit. Their states are stacked, those that have begun, in the order of the points."""

    kind: _Kind
    begin: _Begin
    points: Float[np.ndarray, "n p"]
    max_steps: int
    machine: Machine
    reporter: Reporter

    def are_done(self, states: SearchState) -> bool:
        """Whether all have begun and ended."""
        return states.standing.done.size == len(self.points) and not self._left(states).size

    def move(self, states: SearchState, amount: int) -> tuple[SearchState, int]:
        """Begin about `amount` searches, or take about as many steps; always enough to keep the machine busy."""
        begun = states.standing.done.size
        count = max(amount // self.machine.lanes, 1) * self.machine.lanes
        if begun < len(self.points):
            new = self.begun(slice(begun, begun + count))
            states, done = jax.tree.map(lambda *both: np.concatenate(both), states, new), new.standing.done.size
        else:
            left = self._left(states)
            behind = np.argsort(states.standing.num_steps[left], kind="stable")[:count]
            states, done = self._advanced(states, left[behind], max(amount // left.size, 1))
        self.reporter.show(states.standing)
        return states, done

    def begun(self, some: slice) -> SearchState:
        """The first states of the searches from some points."""
        return self.machine.run(self.begin, self.points[some], _place)

    def _advanced(self, states: SearchState, some: np.ndarray, num_steps: int) -> tuple[SearchState, int]:
        if len(self.points) == 1:  # needs no workers
            alone = jax.tree.map(lambda x: x[0, ...], states)
            moved = self.kind.go(self.begin, alone, num_steps, self.max_steps)
            moved = jax.tree.map(lambda x: np.asarray(x)[None], moved)
            return moved, int(moved.standing.num_steps[0] - states.standing.num_steps[0])
        counts = np.asarray(num_steps, np.int32), np.asarray(self.max_steps, np.int32)
        step = _Advance(self.begin.objective, self.begin.method, *counts)
        moved = self.machine.run(step, jax.tree.map(lambda x: x[some], states), _place)
        return jax.tree.map(lambda all, new: _replaced(all, some, new), states, moved), some.size * num_steps

    def _left(self, states: SearchState) -> np.ndarray:
        return np.flatnonzero(~states.standing.done & (states.standing.num_steps < self.max_steps))


def _place(states: SearchState) -> np.ndarray:
    return np.asarray(states.standing.z)


def _replaced(whole: np.ndarray, rows: np.ndarray, new: np.ndarray) -> np.ndarray:
    whole = whole.copy()  # an interruption must not see half of it
    whole[rows] = new
    return whole
