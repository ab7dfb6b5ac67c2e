"""`rollout`: apply a simulator n times."""

import logging
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, PyTree

from ._adjoint import AbstractAdjoint, Checkpointed
from ._loop import Recording
from ._programs import seldom_collecting
from ._progress import ticker
from ._results import RESULTS
from ._simulator import AbstractCautious, AbstractMaintained, AbstractSimulator
from ._solution import finish, Solution
from ._tree import all_finite, difference, is_concrete, is_float, leaf_name, refuse_nonfinite
from ._types import State, strong

_LOG = logging.getLogger(__name__)
_SEGMENTS, _SEGMENT = 16, 1000  # at most so many, of at least so many steps
_TICKS = 50  # per run: a host callback costs tens of microseconds


@seldom_collecting()
def rollout(
    simulator: Callable[[State], State],
    state: State,
    n: int,
    *,
    save_every: int = 1,
    observe: Callable[[State], PyTree] | None = None,
    adjoint: AbstractAdjoint = Checkpointed(),  # noqa: B008
    throw: bool = True,
    progress: bool = False,
) -> Solution[State]:
    r"""Iterate $s_{k+1} = f_\theta(s_k)$ for `n` steps from `state` and keep every `save_every`-th state.

    - `simulator`: an `AbstractSimulator`, or any function `state -> state` (its times then count steps).
    - `state`: a PyTree of arrays. For a batch of states or simulators put `jax.vmap` around this call.
    - `n`: the number of steps, `save_every` of which lie between two saves; the initial state is not saved.
    - `observe`: what to keep of a state, e.g. `lambda s: s.energy`, so that trajectories need not be stored.
    - `adjoint`: how to differentiate: `Checkpointed()`, `Unrolled()`, `Forward()`, `Implicit()`.
    - `throw`: raise if the last state is NaN or infinite; otherwise look at `solution.result`.
    - `progress`: show a progress bar; also from under `jit` and in notebooks.

    Returns a `Solution`: `ts` (since the start) and `ys` have `n // save_every` entries; `state` is the last state.
    Raises ValueError for input that cannot be right, RuntimeError if the run fails and `throw`.
    """
    if not callable(simulator):
        raise ValueError(f"simulator must be a callable state -> state, not {simulator!r}.")
    if not isinstance(adjoint, AbstractAdjoint):
        raise ValueError(f"adjoint must be one of kinax's (Checkpointed(), Unrolled(), ...), not {adjoint!r}.")
    _check_counts(n, save_every)
    n, save_every = int(n), int(save_every)
    state = jax.tree.map(lambda x: x if eqx.is_array(x) or not eqx.is_array_like(x) else jnp.asarray(x), state)
    _refuse_other_than_arrays(state)
    refuse_nonfinite(state, "state")
    if isinstance(simulator, AbstractCautious) and is_concrete((simulator, state)):
        simulator.check(state)
    tick = ticker(n) if progress else None
    stats = {"num_steps": np.asarray(n)}
    if isinstance(simulator, AbstractMaintained):
        _check_upkeep(adjoint)
        observe = simulator.view if observe is None else observe
        how = (save_every, observe, adjoint, tick)
        last, ys, result, stats["num_repeats"] = _run_maintained(simulator, state, n, how)
        stats |= simulator.facts(last)
    else:
        last, ys, result = _run(simulator, state, n, save_every, observe, adjoint, tick)
    # What follows is not worth compiling: it would add a third to the first call of a small simulator.
    seen = simulator.view(last) if isinstance(simulator, AbstractMaintained) else last
    if throw and is_concrete(seen):
        finite = all(np.isfinite(np.asarray(x)).all() for x in jax.tree.leaves(seen) if is_float(x))
        result = result if finite else RESULTS.nonfinite_state
    else:
        result = RESULTS.where(all_finite(seen), result, RESULTS.nonfinite_state)
    solution = Solution(ts=_times(simulator, n, save_every), ys=ys, state=last, stats=stats, result=result)
    return finish(solution, throw)


def _run_maintained(simulator: Any, state: Any, n: int, how: tuple[Any, ...]) -> tuple[Any, PyTree, RESULTS, Any]:
    """In segments, each repeated until it is right; in one piece if traced. Last state, saves, verdict, repetitions."""
    save_every, _, _, tick = how
    if not is_concrete((simulator, state)):
        last, ys, result = _run(simulator, state, n, *how)
        return last, ys, _verdict(simulator, last, result), np.asarray(0)
    saves = n // save_every
    # few segments, because a last one of another length is compiled on its own; one, if a bar counts its steps
    per_segment = saves if tick is not None else -(-saves // max(1, min(_SEGMENTS, n // _SEGMENT)))
    parts, repeats = [], 0
    while True:
        now = min(saves, per_segment)
        last, ys, result = _run(simulator, state, now * save_every, *how)
        result = _verdict(simulator, last, result)
        if result != RESULTS.successful:
            larger = simulator.grow(state, last)
            if larger is not None:
                if repeats == 0:
                    _LOG.warning("rollout: repeating a segment of %d steps. %s", now * save_every, RESULTS[result])
                state, repeats = larger, repeats + 1
                continue
        parts.append(ys)
        state, saves = last, saves - now
        if saves == 0 or result != RESULTS.successful:
            break
    return last, _padded(parts, n // save_every), result, np.asarray(repeats)


def _verdict(simulator: Any, last: Any, result: RESULTS) -> RESULTS:
    found = simulator.verify(last)
    return RESULTS.where(found == RESULTS.successful, result, found)


def _padded(parts: list[PyTree], saves: int) -> PyTree:
    """The segments' saves in one, the last one repeated in place of those that a failure has cost."""
    if len(parts) == 1 and len(jax.tree.leaves(parts[0])) and jax.tree.leaves(parts[0])[0].shape[0] == saves:
        return parts[0]
    whole = jax.tree.map(lambda *xs: jnp.concatenate(xs), *parts)
    more = lambda x: saves - x.shape[0]
    return jax.tree.map(lambda x: jnp.concatenate([x, jnp.repeat(x[-1:], more(x), axis=0)]) if more(x) else x, whole)


def _check_upkeep(adjoint: AbstractAdjoint) -> None:
    if isinstance(adjoint, Checkpointed) and adjoint.checkpoints is not None:
        raise ValueError("A simulator with upkeep (neighbor lists) needs Checkpointed() without a number.")


def _times(simulator: Callable[[State], State], n: int, save_every: int) -> Array:
    """Steps done at each save, times `dt` if the simulator has one."""
    steps = np.arange(save_every, n + 1, save_every)
    if not isinstance(simulator, AbstractSimulator):
        return jnp.asarray(steps)
    if not is_concrete(simulator.dt):
        return jnp.asarray(steps, simulator.dt.dtype) * simulator.dt
    dt = np.asarray(strong(jnp.asarray(simulator.dt)))
    return jnp.asarray(steps.astype(dt.dtype) * dt)


@eqx.filter_jit
def _run(simulator, state, n, save_every, observe, adjoint, tick):
    state = jax.tree.map(strong, state)
    tick_every = max(1, -(-n // _TICKS)) if tick is not None else n
    recording = Recording(
        observe=_whole_state if observe is None else observe,
        saves=n // save_every,
        save_every=save_every,
        tick=tick,
        tick_every=tick_every,
    )
    try:
        return adjoint.run(simulator, state, recording)
    except (
        TypeError,
        ValueError,
    ):  # JAX's words for a state that changes are hard to read: find the leaf, if that is the reason
        _check_step(simulator, state)
        raise


def _whole_state(state: State) -> State:
    return state


def _check_counts(n: Any, save_every: Any) -> None:
    for name, value in (("n", n), ("save_every", save_every)):
        if isinstance(value, bool) or not isinstance(value, int | np.integer):
            raise ValueError(f"{name} must be an integer known before compilation, not {value!r}.")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, not {value}.")
    if n % save_every:
        lower = n // save_every * save_every
        near = f"n = {lower} or n = {lower + save_every}" if lower else f"n = {save_every}"
        raise ValueError(f"save_every = {save_every} does not divide n = {n}; use {near}, or another save_every.")


def _refuse_other_than_arrays(state: PyTree) -> None:
    if all(map(eqx.is_array, jax.tree.leaves(state))):
        return
    for path, leaf in jtu.tree_leaves_with_path(state):
        if not eqx.is_array(leaf):
            name = leaf_name(path, "state")
            raise ValueError(f"{name} is {leaf!r}; a state holds arrays only, structure belongs in the simulator.")


def _check_step(simulator: Callable[[State], State], state: State) -> None:
    found = difference(eqx.filter_eval_shape(simulator, state), jax.eval_shape(lambda: state), "simulator(state)")
    if found is not None:
        raise ValueError(f"A simulator must return what the state given to it looks like, but {found}.")
