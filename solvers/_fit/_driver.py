"""Runs searches from many starts in segments, so that they can be watched, saved, interrupted and resumed."""

import sys
import time
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from .._checkpoint import Keeper, Terminated, termination
from .._ensemble import ensemble
from .._search import AbstractMethod, AbstractObjective, advance, SearchState
from ._progress import Reporter

_SEGMENT_SECONDS = 0.5  # how long nothing is shown, and how late SIGTERM is heard


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


class Machine(eqx.Module):
    """Where and how wide searches run; the numbers depend on the width alone, and on that by rounding only."""

    batch_size: int = eqx.field(static=True)
    devices: Sequence[Any] | None = eqx.field(static=True)

    def run(self, fn: Any, members: Any) -> Any:
        """`fn` for every member, as arrays on the host."""
        found = ensemble(fn, members, batch_size=self.batch_size, devices=self.devices)
        return jax.tree.map(np.array, found.values)


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
    begin = _Begin(objective, method)
    stored = keeper.restore()
    if stored is None:
        states = machine.run(begin, points)
    else:
        states = jax.tree.unflatten(jax.tree.structure(jax.eval_shape(begin, points[0])), stored)
    segment, limit = 8, jnp.asarray(max_steps, jnp.int32)
    with termination(keeper.active) as asked:
        try:
            while (left := _unfinished(states, max_steps)).size:
                start = time.perf_counter()
                step = _Advance(objective, method, jnp.asarray(segment, jnp.int32), limit)
                moved = machine.run(step, jax.tree.map(lambda x: x[left], states))
                states = jax.tree.map(lambda all, some: _replaced(all, left, some), states, moved)
                seconds = time.perf_counter() - start
                segment = int(np.clip(segment * _SEGMENT_SECONDS / max(seconds, 1e-9), 1, min(8 * segment, 2**30)))
                reporter.show(states.standing)
                keeper.save_now_and_then(jax.tree.leaves(states))
                if asked.is_set():
                    break
        finally:
            if sys.exc_info()[0] in (None, KeyboardInterrupt):
                keeper.save(jax.tree.leaves(states))
    if asked.is_set():
        raise Terminated("Asked to terminate: the fit is saved in its checkpoint, run the same call again to go on.")
    return states


def _unfinished(states: SearchState, max_steps: int) -> np.ndarray:
    return np.flatnonzero(~states.standing.done & (states.standing.num_steps < max_steps))


def _replaced(whole: np.ndarray, rows: np.ndarray, new: np.ndarray) -> np.ndarray:
    whole = whole.copy()  # an interruption must not see half of it
    whole[rows] = new
    return whole
