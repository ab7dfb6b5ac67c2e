"""Runs searches from many starts in segments, so that they can be watched, saved, interrupted and resumed."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._checkpoint import in_segments, Keeper
from .._search import AbstractMethod, AbstractObjective, advance, SearchState
from ._machine import Machine
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
    num_steps: Int[Array, ""]
    max_steps: Int[Array, ""]

    def __call__(self, state: SearchState) -> SearchState:
        return advance(self.method, self.objective, state, self.num_steps, self.max_steps)


def search_all(
    objective: AbstractObjective,
    method: AbstractMethod,
    points: Float[Array, "n p"],
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
    points: Float[Array, "n p"]
    max_steps: int
    machine: Machine
    reporter: Reporter

    def first(self, stored: list[np.ndarray] | None) -> SearchState:
        """The states that were stored, or those of the first few searches."""
        if stored is None:
            return self._begun(slice(self.machine.lanes))
        shape = jax.eval_shape(_Begin(self.objective, self.method), self.points[0])
        return jax.tree.unflatten(jax.tree.structure(shape), stored)

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
        count = lambda x: jnp.asarray(x, jnp.int32)
        step = _Advance(self.objective, self.method, count(num_steps), count(self.max_steps))
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
