"""Solves that take hours: in segments of steps, saved now and then, resumed to the same bits."""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from ._checkpoint import Checkpoint, in_segments, Keeper, Pace
from ._codes import as_result, code_of, promoted
from ._judge import Verdict
from ._programs import digest, formula_digest
from ._results import RESULTS
from ._solution import Solution, TimeState
from ._times import SaveTimes


class Plan(NamedTuple):
    """A solve: what, how, and when to save; the verdict on the start."""

    terms: PyTree
    solver: diffrax.AbstractSolver
    controller: diffrax.AbstractAdaptiveStepSizeController
    args: PyTree
    times: SaveTimes
    max_steps: Array
    begin: Verdict


class _Walk(NamedTuple):
    """Everything that the next step depends on, and what has been saved so far."""

    t: Array
    t_next: Array
    y: PyTree
    solver_state: PyTree
    controller_state: PyTree
    made_jump: Array
    saved: Array  # how many of the times
    ys: PyTree
    steps: Array
    accepted: Array
    code: Array


def solve_in_segments(plan: Plan, y0: PyTree, dt0: Any, checkpoint: Checkpoint) -> Solution[TimeState]:
    """The solution, from the beginning or from where the checkpoint's file ends."""
    plan = plan._replace(solver=_with_tolerances(plan.solver, plan.controller))
    keeper = Keeper(checkpoint, _belongs(plan, y0, dt0))
    walk = jax.tree.map(np.asarray, eqx.filter_jit(_first)(plan, y0, dt0))
    stored = keeper.restore()
    if stored is not None:
        walk = jax.tree.unflatten(jax.tree.structure(walk), stored)
        if walk.code == code_of(RESULTS.max_steps_reached) and walk.steps < plan.max_steps:
            walk = walk._replace(code=np.zeros_like(walk.code))  # there are more now

    def move(walk: _Walk, amount: int) -> tuple[_Walk, int]:
        moved = _moved(plan, jax.tree.map(jnp.asarray, walk), jnp.asarray(amount, jnp.int32))
        moved = jax.tree.map(np.asarray, moved)
        return moved, max(int(moved.steps - walk.steps), 1)

    return _solution(plan, in_segments(keeper, walk, move, lambda walk: not bool(_goes_on(plan, walk)), Pace()))


def _with_tolerances(solver: Any, controller: Any) -> Any:
    """An implicit solver with the tolerances of the controller, where it has none of its own: as diffrax does."""
    if not isinstance(solver, diffrax.AbstractImplicitSolver):
        return solver
    names = [n for n in ("rtol", "atol", "norm") if _is_open(getattr(solver.root_finder, n))]
    of = lambda holder: tuple(getattr(holder, name) for name in names)
    return eqx.tree_at(lambda s: of(s.root_finder), solver, of(controller))


def _is_open(setting: Any) -> bool:
    """Whether diffrax leaves a setting to the controller."""
    return not callable(setting) and not eqx.is_array_like(setting)


def _belongs(plan: Plan, y0: PyTree, dt0: Any) -> dict[str, str]:
    """What the arrays in a file belong to."""
    arrays, rest = eqx.partition(plan, eqx.is_array)
    step = lambda arrays, y0: eqx.filter(
        _step(eqx.combine(arrays, rest), _first(eqx.combine(arrays, rest), y0, dt0)), eqx.is_array
    )
    return {
        "kind": "integrate",
        "start and times": digest((y0, plan.times, dt0)),
        "parameters": digest((plan.terms, plan.args)),
        "tolerances": digest((plan.solver, plan.controller)),
        "formula": formula_digest(step, arrays, y0),
    }


def _first(plan: Plan, y0: PyTree, dt0: Any) -> _Walk:
    terms, solver, times = plan.terms, plan.solver, plan.times
    t_next, controller_state = plan.controller.init(
        terms, times.t0, times.t1, y0, dt0, plan.args, solver.func, solver.error_order(terms)
    )
    t_next = jnp.minimum(jnp.asarray(t_next, times.t1.dtype), times.t1)
    none = jnp.asarray(0, jnp.int32)
    walk = _Walk(
        t=times.t0,
        t_next=t_next,
        y=y0,
        solver_state=solver.init(terms, times.t0, t_next, y0, plan.args),
        controller_state=controller_state,
        made_jump=jnp.asarray(False),
        saved=none,
        ys=jax.tree.map(lambda y: jnp.full((len(times.ts), *y.shape), jnp.inf, y.dtype), y0),
        steps=none,
        accepted=none,
        code=code_of(plan.begin.result),
    )
    return _saved(plan, walk, lambda t: y0)


@eqx.filter_jit
def _moved(plan: Plan, walk: _Walk, amount: Array) -> _Walk:
    """At most `amount` steps further; their number is data, so that segments of any length run the same program."""
    last = walk.steps + amount
    return jax.lax.while_loop(
        lambda walk: _goes_on(plan, walk) & (walk.steps < last), lambda walk: _step(plan, walk), walk
    )


def _goes_on(plan: Plan, walk: _Walk) -> Array:
    return (walk.t < plan.times.t1) & (walk.code == 0)


def _step(plan: Plan, walk: _Walk) -> _Walk:
    terms, solver, times = plan.terms, plan.solver, plan.times
    order: Any = solver.error_order(terms)
    y, error, dense, solver_state, result = solver.step(
        terms, walk.t, walk.t_next, walk.y, plan.args, walk.solver_state, walk.made_jump
    )
    keep, t, t_next, made_jump, controller_state, verdict = plan.controller.adapt_step_size(
        walk.t, walk.t_next, walk.y, y, plan.args, error, order, walk.controller_state
    )
    kept = lambda new, old: jax.tree.map(lambda a, b: jnp.where(keep, a, b), new, old)
    steps = walk.steps + 1
    codes = jnp.where(keep, code_of(promoted(result)), 0), code_of(promoted(verdict))
    stalled = jnp.isinf(t)  # the guard's way to say so
    code = jnp.where(codes[0] != 0, codes[0], codes[1])
    code = jnp.where(stalled, code_of(RESULTS.stalled), code)
    code = jnp.where((code == 0) & (steps >= plan.max_steps), code_of(RESULTS.max_steps_reached), code)
    reached = jnp.minimum(jnp.where(stalled, walk.t, t), times.t1)
    near = 10 * jnp.finfo(times.t1.dtype).eps * jnp.abs(times.t1 - times.t0)
    moved = _Walk(
        t=reached,
        t_next=jnp.where(t_next > times.t1 - near, times.t1, t_next),
        y=kept(y, walk.y),
        solver_state=kept(solver_state, walk.solver_state),
        controller_state=controller_state,
        made_jump=jnp.where(keep, made_jump, walk.made_jump),
        saved=walk.saved,
        ys=walk.ys,
        steps=steps,
        accepted=walk.accepted + jnp.asarray(keep, jnp.int32),
        code=jnp.where(reached >= times.t1, jnp.where(code == code_of(RESULTS.max_steps_reached), 0, code), code),
    )
    return _saved(plan, moved, solver.interpolation_cls(t0=walk.t, t1=walk.t_next, **dense).evaluate)


def _saved(plan: Plan, walk: _Walk, at: Callable[[Array], PyTree]) -> _Walk:
    """With the states at the times that have been passed."""
    ts = plan.times.ts

    def due(walk: _Walk) -> Array:
        return (walk.saved < len(ts)) & (ts[jnp.minimum(walk.saved, len(ts) - 1)] <= walk.t)

    def save(walk: _Walk) -> _Walk:
        ys = jax.tree.map(lambda ys, y: ys.at[walk.saved].set(y), walk.ys, at(ts[walk.saved]))
        return walk._replace(ys=ys, saved=walk.saved + 1)

    return jax.lax.while_loop(due, save, walk)


def _solution(plan: Plan, walk: _Walk) -> Solution[TimeState]:
    walk = jax.tree.map(jnp.asarray, walk)
    stats = {
        "num_steps": walk.steps,
        "num_accepted_steps": walk.accepted,
        "num_rejected_steps": walk.steps - walk.accepted,
    }
    return Solution(
        ts=plan.times.restore(plan.times.ts),
        ys=walk.ys,
        state=TimeState(t=walk.t, y=walk.y),
        stats=stats | plan.begin.facts,
        result=as_result(walk.code),
    )
