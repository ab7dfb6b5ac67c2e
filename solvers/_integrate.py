"""`integrate`: continuous time, through diffrax."""

import os
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree

from ._adjoint import AbstractAdjoint, solve_with
from ._checkpoint import as_checkpoint, Checkpoint
from ._codes import promoted
from ._diagnosis import culprit
from ._diffeqsolve import diffeqsolve
from ._host import on_host
from ._judge import verdict_on
from ._presets import nonstiff
from ._programs import seldom_collecting
from ._results import RESULTS
from ._resumable import Plan, solve_in_segments
from ._setup import controller_for, terms_of
from ._solution import finish, Solution, TimeState
from ._stall import StallGuard
from ._times import as_times, check_times, save_times
from ._tree import all_finite, is_concrete, is_float, refuse_nonfinite, refuse_other_than_floats
from ._types import AnyArray, inexact_asarray, RealScalarLike, strong


@seldom_collecting()
def integrate(
    vector_field: Callable[..., PyTree] | PyTree[diffrax.AbstractTerm],
    y0: PyTree,
    ts: ArrayLike | Sequence[RealScalarLike],
    *,
    args: PyTree = None,
    solver: diffrax.AbstractSolver | None = None,
    rtol: RealScalarLike = 1e-6,
    atol: RealScalarLike = 1e-8,
    t0: RealScalarLike | None = None,
    dt0: RealScalarLike | None = None,
    stepsize_controller: diffrax.AbstractStepSizeController | None = None,
    adjoint: AbstractAdjoint | diffrax.AbstractAdjoint | None = None,
    events: diffrax.Event | None = None,
    saveat: diffrax.SaveAt | None = None,
    max_steps: int = 100_000,
    progress_meter: diffrax.AbstractProgressMeter = diffrax.NoProgressMeter(),  # noqa: B008
    callback: Callable[[Any, PyTree], None] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    throw: bool = True,
) -> Solution[TimeState]:
    r"""Solve $\mathrm{d}y/\mathrm{d}t = f(t, y, \mathrm{args})$ from `y0` and save the solution at the times `ts`.

    A thin verb over `diffrax.diffeqsolve`: whatever diffrax takes, this takes.

    - `vector_field`: a function `f(t, y, args)` whose value has the structure, shapes and dtypes of `y`, or
      diffrax's own terms (`MultiTerm(ODETerm(..), ControlTerm(..))` for an SDE, `ControlTerm` for a CDE), or, with
      `solver=stiff()`, a `MassTerm` or `ResidualTerm` for differential-algebraic equations.
    - `y0`: the initial state, a PyTree of float arrays.
    - `ts`: times that never decrease; the first is the start, unless `t0` is given. Under `jax.vmap` every member
      has its own; ragged ones are padded with NaN (`pad_times`).
    - `solver`: `nonstiff()` (default), `stiff()`, or any diffrax solver.
    - `rtol`, `atol`: tolerances of the local error; the error at the end is usually 1 to 100 times as large.
    - `dt0`: the first step, or the step of `stepsize_controller=diffrax.ConstantStepSize()`.
    - `args`: passed to `vector_field`; a Python number in it is compiled in, an array is not.
    - `adjoint`: `Checkpointed()` (default; forward and reverse mode), `Forward()` (forward mode), `Unrolled()` (any
      order of both, slower), or one of diffrax's.
    - `events`: a `diffrax.Event`; it ends the solve, `solution.state.t` is when, later `ys` are infinite.
    - `saveat`: a `diffrax.SaveAt` instead of saving at `ts`, e.g. `SaveAt(dense=True)` for `solution.evaluate(t)`.
    - `callback`: a function (t, y), called on the host with arrays after each accepted step, also under `jit` and
      `vmap` and for the step in which an event ends the solve. It changes no number; forward mode needs `Forward()`.
    - `checkpoint`: a file, or a `Checkpoint`, in which a solve of hours is saved now and then; the same call goes on
      from there, to the same bits. For known values, without `adjoint`, `events` and `saveat`.
    - `throw`: raise if the solve fails; otherwise look at `solution.result`.

    Raises ValueError for input that cannot be right, RuntimeError if the solve fails and `throw`.
    """
    y0, times, t0, dt0 = _checked(y0, ts, t0, dt0, (rtol, atol))
    tolerances = on_host(rtol, times.dtype), on_host(atol, times.dtype)
    machinery = _Machinery(
        solver, stepsize_controller, tolerances, adjoint, events, saveat, max_steps, progress_meter, callback
    )
    keep = as_checkpoint(checkpoint)
    if keep is not None:
        return finish(_resumable(vector_field, y0, times, t0, dt0, args, machinery, keep), throw)
    given = _Given(vector_field, y0, times, t0, dt0, args, machinery)
    found = _solve(given)
    if throw and is_concrete(found.result) and found.result == RESULTS.stalled:
        found = _diagnosed(found, given)
    return finish(found, throw)


def _checked(y0: PyTree, ts: Any, t0: Any, dt0: Any, tolerances: tuple[Any, Any]) -> tuple[PyTree, Array, Any, Any]:
    """Start and times as arrays; refuses what cannot be right, as far as values can be looked at."""
    rtol, atol = tolerances
    y0 = jax.tree.map(inexact_asarray, y0)
    refuse_nonfinite(y0, "y0")
    times = as_times(ts, _time_dtype(y0))
    t0, dt0 = (None if time is None else jnp.asarray(time, times.dtype) for time in (t0, dt0))
    check_times(times, t0)
    if is_concrete((rtol, atol)) and not (rtol > 0 and atol >= 0):
        raise ValueError(f"Tolerances must be positive, not rtol = {rtol}, atol = {atol}.")
    if dt0 is not None and is_concrete(dt0) and not dt0 > 0:
        raise ValueError(f"dt0 must be positive, not {dt0}.")
    return y0, times, t0, dt0


class _Machinery(NamedTuple):
    """How to solve, as the user gave it; looked at once per compilation."""

    solver: diffrax.AbstractSolver | None
    controller: diffrax.AbstractStepSizeController | None
    tolerances: tuple[AnyArray, AnyArray]
    adjoint: AbstractAdjoint | diffrax.AbstractAdjoint | None
    events: diffrax.Event | None
    saveat: diffrax.SaveAt | None
    max_steps: int
    progress_meter: diffrax.AbstractProgressMeter
    callback: Callable[[Any, PyTree], None] | None


class _Given(NamedTuple):
    """What a solution depends on."""

    vector_field: Any
    y0: PyTree
    ts: Float[Array, " t"]
    t0: RealScalarLike | None
    dt0: RealScalarLike | None
    args: PyTree
    machinery: _Machinery


@eqx.filter_jit
def _solve(given: _Given) -> Solution[TimeState]:
    return solve_with(given.machinery.adjoint, _run, given)


def _run(adjoint: diffrax.AbstractAdjoint, given: _Given) -> Solution[TimeState]:
    vector_field, y0, ts, t0, dt0, args, machinery = given
    refuse_other_than_floats(y0, "y0")
    y0, ts = jax.tree.map(strong, (y0, ts))
    times = save_times(ts, t0)
    solver = nonstiff() if machinery.solver is None else machinery.solver
    limited = isinstance(adjoint, diffrax.BacksolveAdjoint | diffrax.ImplicitAdjoint)
    controller = controller_for(solver, machinery.controller, machinery.tolerances, dt0, machinery.callback)
    guarded = isinstance(controller, diffrax.AbstractAdaptiveStepSizeController) and not limited
    plain = machinery.saveat is None and machinery.events is None
    saveat = diffrax.SaveAt(ts=times.ts) if machinery.saveat is None else machinery.saveat
    if not limited:
        saveat = eqx.tree_at(lambda s: s.controller_state, saveat, guarded)
        saveat = saveat if plain else _with_end(saveat)
    terms = terms_of(vector_field, times.t0, y0, args)
    begin = verdict_on(solver, terms, times.t0, y0, args, machinery.tolerances)
    inner = diffeqsolve(
        terms,
        solver,
        times.t0,
        times.t1,
        dt0,
        y0,
        args,
        saveat=saveat,
        stepsize_controller=StallGuard(controller) if guarded else controller,  # pyright: ignore[reportCallIssue]
        adjoint=adjoint,
        event=machinery.events,
        max_steps=_positive(machinery.max_steps),
        progress_meter=machinery.progress_meter,
        throw=False,
    )
    if plain or limited:
        saved_ts, saved_ys = inner.ts, inner.ys
        end_t, end_y = inner.ts[-1], jax.tree.map(lambda y: y[-1], inner.ys)  # pyright: ignore
    else:
        (saved_ts, end_ts), (saved_ys, end_ys) = inner.ts, inner.ys  # pyright: ignore[reportGeneralTypeIssues]
        end_t, end_y = end_ts[0], jax.tree.map(lambda y: y[0], end_ys)
    stalled_at = inner.controller_state[1] if guarded else jnp.asarray(jnp.inf, times.t1.dtype)  # pyright: ignore
    verdict = RESULTS.where(stalled_at < times.t1, RESULTS.stalled, promoted(inner.result))
    if begin.result is not RESULTS.successful:
        verdict = RESULTS.where(begin.result == RESULTS.successful, verdict, begin.result)
    return Solution(
        ts=times.restore(saved_ts) if machinery.saveat is None else saved_ts,  # pyright: ignore[reportArgumentType]
        ys=saved_ys,
        state=TimeState(t=jnp.minimum(end_t, stalled_at), y=end_y),
        stats={k: v for k, v in inner.stats.items() if k != "max_steps"} | begin.facts,
        result=RESULTS.where(times.valid & all_finite(y0), verdict, RESULTS.invalid_input),
        interpolation=inner.interpolation,
        event_mask=inner.event_mask,
    )


def _diagnosed(found: Solution[TimeState], given: _Given) -> Solution[TimeState]:
    """A solve that stalled, with the number of the derivative that was not finite, if that is why."""
    vector_field, machinery, ts = given.vector_field, given.machinery, given.ts
    if machinery.saveat is not None or not callable(vector_field) or isinstance(vector_field, diffrax.AbstractTerm):
        return found
    machinery = machinery._replace(saveat=diffrax.SaveAt(t1=True), callback=None)
    end = _solve(given._replace(machinery=machinery)).state  # once more, for the state that it stalled in
    span = jnp.maximum(jnp.abs(end.t), jnp.max(jnp.abs(jnp.where(jnp.isfinite(ts), ts, 0))))
    place = culprit(lambda t, y: vector_field(t, y, given.args), end.t, end.y, span)
    if place < 0:
        return found
    stats = found.stats | {"nonfinite_component": place}
    return Solution(ts=found.ts, ys=found.ys, state=end, stats=stats, result=RESULTS.nonfinite_field)


def _resumable(vector_field, y0, ts, t0, dt0, args, machinery, keep):
    """In segments, on the host."""
    given = dict(adjoint=machinery.adjoint, events=machinery.events, saveat=machinery.saveat)
    refused = [name for name, value in given.items() if value is not None]
    if refused or not is_concrete((vector_field, y0, ts, t0, dt0, args)):
        raise ValueError(
            f"A solve with checkpoint= runs on the host, for known values: leave out {', '.join(refused)}."
            if refused
            else "A solve with checkpoint= runs on the host, for known values: call it outside jit, vmap and grad."
        )
    refuse_other_than_floats(y0, "y0")
    times = save_times(ts, t0)
    solver = nonstiff() if machinery.solver is None else machinery.solver
    controller = controller_for(solver, machinery.controller, machinery.tolerances, dt0, machinery.callback)
    if not isinstance(controller, diffrax.AbstractAdaptiveStepSizeController):
        raise ValueError("checkpoint= needs steps that adapt; constant ones are `rollout` of a `FixedStep`.")
    guarded: Any = StallGuard(controller)  # pyright: ignore[reportCallIssue]
    terms = terms_of(vector_field, times.t0, y0, args)
    begin = verdict_on(solver, terms, times.t0, y0, args, machinery.tolerances)
    plan = Plan(terms, solver, guarded, args, times, jnp.asarray(_positive(machinery.max_steps)), begin)
    return solve_in_segments(plan, y0, dt0, keep)


def _with_end(saveat: diffrax.SaveAt) -> diffrax.SaveAt:
    """What the user saves, and the last time and state beside it."""
    return eqx.tree_at(lambda s: s.subs, saveat, (saveat.subs, diffrax.SubSaveAt(t1=True)), is_leaf=lambda x: x is None)


def _positive(max_steps: Any) -> int:
    if not isinstance(max_steps, int) or max_steps < 1:
        raise ValueError(f"max_steps must be a positive integer, not {max_steps!r}.")
    return max_steps


def _time_dtype(y0: PyTree) -> Any:
    """The real dtype that goes with the state's."""
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(y0) if is_float(leaf)]
    return jnp.finfo(np.result_type(*dtypes)).dtype if dtypes else None
