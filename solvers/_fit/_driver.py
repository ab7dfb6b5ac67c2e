"""Runs searches from many starts in segments, so that they can be watched, saved, interrupted and resumed."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float, Int

from .._checkpoint import in_segments, Keeper
from .._remembered import Remembered
from .._search import AbstractMethod, AbstractObjective, advance, SearchState
from .._signature import signature_of
from ._machine import Machine, raising
from ._progress import Reporter

_shapes: Remembered[Any, SearchState] = Remembered(64)  # to find them takes longer than a small search


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
    num_steps: Int[Array, ""]
    max_steps: Int[Array, ""]

    def __call__(self, state: SearchState) -> SearchState:
        return advance(self.method, self.objective, state, self.num_steps, self.max_steps)


class _Go(eqx.Module):
    """A search alone: both, in one program."""

    begin: _Begin
    advance: _Advance

    def __call__(self, state: SearchState) -> SearchState:
        standing = state.standing
        begun = jax.lax.cond(standing.num_evaluations > 0, lambda: state, lambda: self.begin(standing.z))
        return self.advance(begun)


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
    searches = _Searches(objective, method, points, max_steps, machine, reporter)
    return in_segments(keeper, searches.first(keeper.restore()), searches.move, searches.are_done)


@dataclasses.dataclass(frozen=True)
class _Searches:
    """The searches of one fit. Their states are stacked, those that have begun, in the order of the points."""

    objective: AbstractObjective
    method: AbstractMethod
    points: Float[np.ndarray, "n p"]
    max_steps: int
    machine: Machine
    reporter: Reporter

    def first(self, stored: list[np.ndarray] | None) -> SearchState:
        """The states that were stored, or those of the first few searches."""
        if stored is None and len(self.points) > 1:
            return self._begun(slice(self.machine.lanes))
        begin = _Begin(self.objective, self.method)
        shape = _shapes.get(signature_of(begin), lambda: eqx.filter_eval_shape(begin, self.points[0]))
        if stored is not None:
            return jax.tree.unflatten(jax.tree.structure(shape), stored)
        blank = jax.tree.map(lambda x: np.zeros((1, *x.shape), x.dtype), shape)
        return eqx.tree_at(lambda s: s.standing.z, blank, self.points)

    def are_done(self, states: SearchState) -> bool:
        """Whether all have begun and ended."""
        return states.standing.done.size == len(self.points) and not self._left(states).size

    def move(self, states: SearchState, amount: int) -> tuple[SearchState, int]:
        """Begin about `amount` searches, or take about as many steps; always enough to keep the machine busy."""
        begun = states.standing.done.size
        count = max(amount // self.machine.lanes, 1) * self.machine.lanes
        if begun < len(self.points):
            new = self._begun(slice(begun, begun + count))
            states, done = jax.tree.map(lambda *both: np.concatenate(both), states, new), new.standing.done.size
        else:
            left = self._left(states)
            behind = np.argsort(states.standing.num_steps[left], kind="stable")[:count]
            states, done = self._advanced(states, left[behind], max(amount // left.size, 1))
        self.reporter.show(states.standing)
        return states, done

    def _begun(self, some: slice) -> SearchState:
        return self.machine.run(_Begin(self.objective, self.method), self.points[some], _place)

    def _advanced(self, states: SearchState, some: np.ndarray, num_steps: int) -> tuple[SearchState, int]:
        count = lambda x: jax.device_put(np.int32(x))
        step = _Advance(self.objective, self.method, count(num_steps), count(self.max_steps))
        if len(self.points) == 1:  # needs no workers
            alone = jax.device_put(jax.tree.map(lambda x: x[0], states))
            moved = raising(_call, _Go(_Begin(self.objective, self.method), step), alone)
            return jax.tree.map(lambda x: np.asarray(x)[None], moved), num_steps
        moved = self.machine.run(step, jax.tree.map(lambda x: x[some], states), _place)
        return jax.tree.map(lambda all, new: _replaced(all, some, new), states, moved), some.size * num_steps

    def _left(self, states: SearchState) -> np.ndarray:
        return np.flatnonzero(~states.standing.done & (states.standing.num_steps < self.max_steps))


@eqx.filter_jit
def _call(search: _Go, state: SearchState) -> SearchState:
    return search(state)


def _place(states: SearchState) -> np.ndarray:
    return np.asarray(states.standing.z)


def _replaced(whole: np.ndarray, rows: np.ndarray, new: np.ndarray) -> np.ndarray:
    whole = whole.copy()  # an interruption must not see half of it
    whole[rows] = new
    return whole
