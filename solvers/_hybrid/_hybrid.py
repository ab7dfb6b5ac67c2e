"""`hybrid`: continuous time with transitions."""

import functools as ft
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, PyTree

from .._adjoint import AbstractAdjoint, solve_with
from .._codes import as_result, code_of
from .._diagnosis import culprit
from .._host import on_host
from .._presets import nonstiff
from .._programs import seldom_collecting
from .._results import RESULTS
from .._solution import finish, Solution, TimeState
from .._stall import finite_rms_norm, StallGuard
from .._times import as_times, check_times, save_times, SaveTimes
from .._tree import all_finite, difference, is_concrete, refuse_nonfinite
from .._types import AnyArray, RealScalarLike, strong
from ._locate import Flow
from ._segment import Machinery, segment, Standing
from ._transitions import AbstractGuarded, AbstractScheduled, AbstractTransition, Events, Guards, Stop
from ._watch import with_scan, with_tolerances


@seldom_collecting()
def hybrid(
    vector_field: Callable[..., PyTree],
    y0: PyTree,
    ts: ArrayLike | Sequence[RealScalarLike],
    *,
    transitions: AbstractTransition | Sequence[AbstractTransition],
    args: PyTree = None,
    solver: diffrax.AbstractSolver | None = None,
    rtol: RealScalarLike = 1e-6,
    atol: RealScalarLike = 1e-8,
    max_events: int = 100,
    t0: RealScalarLike | None = None,
    dt0: RealScalarLike | None = None,
    stepsize_controller: diffrax.AbstractStepSizeController | None = None,
    adjoint: AbstractAdjoint | diffrax.AbstractAdjoint | None = None,
    max_steps: int = 100_000,
    throw: bool = True,
) -> Solution[TimeState]:
    r"""Solve $\mathrm{d}y/\mathrm{d}t = f(t, y, \mathrm{args})$ with jumps: resets, mode switches, doses, bounces.

    `integrate` between transitions, each at its exact time; derivatives of all, event times included, in forward and
    reverse mode (second ones forward over forward, or over reverse mode with `adjoint=Unrolled()`).

    - `vector_field(t, y, args)`: the derivative of the float leaves of `y`, with None in place of the others.
      Trial steps go beyond guards: write `sqrt(maximum(y, 0))`.
    - `y0`: the initial state. Integers and booleans are modes and counters: only resets change them.
    - `transitions`: one or several `Crossing`, `Schedule`, `Doses`, `Stop`, or classes of one's own. Those that are due
      at one time happen in this order; among them are the other guards that a reset has carried across zero.
    - `max_events`: how many transitions there is room for; one more ends the run with `events_exhausted`. For the first
      n, let a reset count and `Stop(lambda t, y, args: y.count - (n - 0.5))`.
    - `max_steps`: between two transitions.
    - `ts`, `args`, `solver`, `rtol`, `atol`, `t0`, `dt0`, `stepsize_controller`, `adjoint`, `throw`: as for
      `integrate`. `dt0` is the first step after every transition.

    A transition scheduled at the end happens; whether a crossing exactly there does is decided by rounding.

    At the time of a transition, what is saved is the state after it; on the way, `ys` have the error of dense output,
    while `solution.state` and `solution.events` (what happened and when) have that of the solver. `solution.state` is
    the end, or where the run ended. Later `ys` are infinite (modes zero).

    A guard is looked at in eight points of every step and where a parabola through three of them comes near zero; two
    crossings that are closer than that can be missed: limit the step, as by
    `stepsize_controller=diffrax.PIDController(rtol, atol, dtmax=...)`.

    An event whose time means nothing ends the run with a verdict: `RESULTS.grazing`, `simultaneous`, `zeno`,
    `guard_at_start`, `events_exhausted`. The criterion is what a change of the state as large as `rtol` and `atol`
    would do.

    Raises ValueError for input that cannot be right, RuntimeError if the solve fails and `throw`.
    """
    _check_field(vector_field)
    transitions = (transitions,) if isinstance(transitions, AbstractTransition) else tuple(transitions)
    y0 = jax.tree.map(lambda x: strong(jnp.asarray(x)) if _is_number(x) else x, y0)
    dtype = _time_dtype(y0)
    times = as_times(ts, dtype)
    t0, dt0 = (None if time is None else jnp.asarray(time, dtype) for time in (t0, dt0))
    tolerances = on_host(rtol, dtype), on_host(atol, dtype)
    method = _Method(solver, stepsize_controller, tolerances, adjoint, max_events, max_steps)
    _check(y0, times, t0, transitions, method)
    return finish(_solve(_Given(vector_field, y0, times, t0, dt0, args, transitions, method)), throw)


class _Method(NamedTuple):
    """How to solve, as the user gave it."""

    solver: diffrax.AbstractSolver | None
    controller: diffrax.AbstractStepSizeController | None
    tolerances: tuple[AnyArray, AnyArray]
    adjoint: AbstractAdjoint | diffrax.AbstractAdjoint | None
    max_events: int
    max_steps: int


class _Given(NamedTuple):
    """What a solution depends on."""

    vector_field: Any
    y0: PyTree
    ts: Array
    t0: RealScalarLike | None
    dt0: RealScalarLike | None
    args: PyTree
    transitions: tuple[AbstractTransition, ...]
    method: _Method


@eqx.filter_jit
def _solve(given: _Given) -> Solution[TimeState]:
    return solve_with(given.method.adjoint, _run, given)


def _run(adjoint: diffrax.AbstractAdjoint, given: _Given) -> Solution[TimeState]:
    method = given.method
    times = save_times(jax.tree.map(strong, given.ts), given.t0)
    machinery = _machinery(given, times, adjoint)
    start = _start(given.y0, times, machinery)

    # A segment is computed again in the backward pass. prevent_cse: a scan is a barrier of its own.
    @ft.partial(jax.checkpoint, prevent_cse=False)
    def advance(now, k):
        idle = lambda now: (now, (jnp.full_like(now.t, jnp.inf), jnp.asarray(-1)))
        last = k == method.max_events
        return jax.lax.cond(eqxi.unvmap_any(now.result < 0), lambda now: segment(machinery, now, last), idle, now)

    end, (event_ts, which) = jax.lax.scan(advance, start, jnp.arange(method.max_events + 1))
    result, component = _diagnose(machinery, end)
    steps, accepted, rejected = end.steps
    return Solution(
        ts=times.restore(times.ts),
        ys=eqx.combine(*end.ys),
        state=TimeState(t=end.t, y=eqx.combine(end.y, end.fixed)),
        stats=dict(
            num_steps=steps,
            num_accepted_steps=accepted,
            num_rejected_steps=rejected,
            accumulation_time=end.accumulation,
            nonfinite_component=component,
        ),
        result=as_result(result),
        events=Events(ts=event_ts[:-1], which=which[:-1], count=jnp.sum(which >= 0)),
    )


def _machinery(given: _Given, times: SaveTimes, adjoint: diffrax.AbstractAdjoint) -> Machinery:
    vector_field, y0, _, _, dt0, args, transitions, method = given
    solver = nonstiff() if method.solver is None else method.solver
    rtol, atol = (jnp.asarray(x) for x in method.tolerances)
    controller = method.controller
    if controller is None:
        controller = diffrax.PIDController(rtol=rtol, atol=atol, norm=finite_rms_norm)
    if isinstance(controller, diffrax.ConstantStepSize) and dt0 is None:
        raise ValueError("diffrax.ConstantStepSize() needs the step: pass dt0=.")
    adaptive = isinstance(controller, diffrax.AbstractAdaptiveStepSizeController)
    if adaptive and not isinstance(solver, diffrax.AbstractAdaptiveSolver):
        raise ValueError(
            f"{type(solver).__name__} estimates no error, so steps cannot adapt. Pass "
            "stepsize_controller=diffrax.ConstantStepSize() and dt0=, or wrap it: diffrax.HalfSolver(solver)."
        )
    if isinstance(adjoint, diffrax.BacksolveAdjoint | diffrax.ImplicitAdjoint):
        raise ValueError(
            f"{type(adjoint).__name__} cannot see transitions; use Checkpointed(), Forward() or Unrolled()."
        )
    solver = with_tolerances(solver, rtol, atol, finite_rms_norm)
    guards = Guards(tuple(x for x in transitions if isinstance(x, AbstractGuarded)))
    moving, fixed = eqx.partition(y0, eqx.is_inexact_array)
    derivative = eqx.filter_eval_shape(vector_field, times.t0, y0, args)
    if any(isinstance(x, bool | int | float | complex) for x in jax.tree.leaves(derivative)):
        raise ValueError("The vector field returned a Python number; write jnp.asarray(...) around it.")
    found = difference(derivative, jax.eval_shape(lambda: moving), "vector_field(t, y, args)")
    if found is not None:
        raise ValueError(
            "The vector field must return the derivatives of the float leaves of y0, and None in place of the others "
            f"(integers and booleans are constant between events: write 10.0 for a number that moves), but {found}."
        )

    # the constant leaves go into the solve beside args
    full = lambda y, given: eqx.combine(y, given[1])
    field = lambda t, y, given: vector_field(t, full(y, given), given[0])
    seen = Guards(tuple(Stop(guard=_Whole(x.guard), direction=x.direction) for x in guards.members))
    flow = lambda fixed: Flow(with_scan(solver, "bounded"), field, seen, (args, fixed), (rtol, atol))
    return Machinery(
        transitions=transitions,
        guards=seen,
        flow=flow,
        user_args=args,
        ts=times.ts,
        end=times.t1,
        dt0=dt0,
        solver=solver,
        plain=with_scan(solver, "lax"),
        controller=StallGuard(controller) if adaptive else controller,  # pyright: ignore[reportCallIssue]
        stallable=adaptive,
        adjoint=adjoint,
        max_steps=method.max_steps,
    )


class _Whole(eqx.Module):
    """A guard that is given the constant leaves of the state beside args."""

    guard: Callable[..., Any]

    def __call__(self, t, y, given):
        return self.guard(t, eqx.combine(y, given[1]), given[0])


def _start(y0: PyTree, times: SaveTimes, machinery: Machinery) -> Standing:
    """Where a run begins; its result is a code already if the input makes no sense."""
    moving, fixed = eqx.partition(y0, eqx.is_inexact_array)
    scheduled = [x for x in machinery.transitions if isinstance(x, AbstractScheduled)]
    sorted_ = [
        ~jnp.any((x.times[1:] < x.times[:-1]) | (jnp.isnan(x.times[:-1]) & ~jnp.isnan(x.times[1:])))
        & ~jnp.any(x.times.astype(times.t0.dtype) < times.t0)
        for x in scheduled
    ]
    valid = jnp.stack([times.valid, all_finite(y0), *sorted_]).all()
    course = machinery.flow(fixed).course(times.t0, moving)
    above = course.sides()
    fires = machinery.guards.fires(above)
    directed = jnp.asarray([x.direction is not None for x in machinery.guards.members], bool)
    farther = jnp.where(above, course.heading > 0, course.heading < 0)
    code = jnp.where(valid, -1, code_of(RESULTS.invalid_input))
    empty = lambda x: jnp.full((times.ts.size, *x.shape), jnp.inf if eqx.is_inexact_array(x) else 0, x.dtype)
    infinite = jnp.full_like(times.t0, jnp.inf)
    return Standing(
        t=times.t0,
        y=moving,
        fixed=fixed,
        above=above,
        pending=jnp.zeros_like(above),
        waiting=directed & ~fires & farther,
        upcoming=jnp.zeros(len(scheduled), int),
        recent=jnp.full(3, -jnp.inf, times.t0.dtype),
        result=code.astype(jnp.int32),
        accumulation=infinite,
        ys=(jax.tree.map(empty, moving), jax.tree.map(empty, fixed)),
        steps=jnp.zeros(3, jnp.int32),
    )


def _diagnose(machinery: Machinery, end: Standing) -> tuple[Array, Array]:
    """The result, and which number of the derivative is not finite if that is why a solve stalled; else -1."""
    flow = machinery.flow(end.fixed)
    span = jnp.maximum(jnp.abs(end.t), jnp.abs(machinery.end))

    look = lambda y: culprit(lambda t, y: flow.field(t, y, flow.args), end.t, y, span)
    stalled = end.result == code_of(RESULTS.stalled)
    component = jax.lax.cond(eqxi.unvmap_any(stalled), look, lambda y: jnp.asarray(-1), jax.lax.stop_gradient(end.y))
    component = jnp.where(stalled, component, -1)
    reached = (end.result == 0) | (end.result == code_of(RESULTS.event_occurred))
    result = jnp.where(reached & jnp.any(end.waiting), code_of(RESULTS.guard_at_start), end.result)
    return jnp.where(component >= 0, code_of(RESULTS.nonfinite_field), result), component


def _check_field(vector_field: Any) -> None:
    if callable(vector_field) and not isinstance(vector_field, diffrax.AbstractTerm):
        return
    raise ValueError(
        f"hybrid takes a function f(t, y, args), not {type(vector_field).__name__}. With a differential-algebraic "
        "equation: `integrate` with `events=`, change the state, `consistent_start`, and `integrate` again."
    )


def _check(y0: PyTree, times: Array, t0: Any, transitions: tuple[Any, ...], method: _Method) -> None:
    """A ValueError for input that cannot be right."""
    refuse_nonfinite(y0, "y0")
    check_times(times, t0)
    for transition in transitions:
        _check_transition(transition, times, t0)
    for name, number in (("max_events", method.max_events), ("max_steps", method.max_steps)):
        if not isinstance(number, int) or number < 1:
            raise ValueError(f"{name} must be a positive integer, not {number!r}.")
    rtol, atol = method.tolerances
    if is_concrete((rtol, atol)) and not (np.asarray(rtol) > 0 and np.asarray(atol) >= 0):
        raise ValueError(f"Tolerances must be positive, not rtol = {rtol}, atol = {atol}.")


def _check_transition(transition: Any, ts: Array, t0: Any) -> None:
    if not isinstance(transition, AbstractGuarded | AbstractScheduled):
        raise ValueError(f"A transition is a Crossing, a Stop, a Schedule or Doses, not {transition!r}.")
    if isinstance(transition, AbstractGuarded):
        return
    times, name = transition.times, type(transition).__name__
    if jnp.ndim(times) != 1:
        raise ValueError(f"The times of {name} must be a 1-D array, not of shape {jnp.shape(times)}.")
    if not is_concrete((times, ts, t0)):
        return
    times, t0 = np.asarray(times), np.asarray(ts)[0] if t0 is None else np.asarray(t0)
    if (np.diff(times) < 0).any() or (np.isnan(times[:-1]) & ~np.isnan(times[1:])).any():
        raise ValueError(f"The times of {name} must not decrease; NaN belongs at the end.")
    if (times < t0).any():
        raise ValueError(
            f"The times of {name} begin with {times[0]}, before the start {t0}: that one would never happen. "
            "Start earlier, or leave it out."
        )


def _time_dtype(y0: PyTree) -> Any:
    """The real dtype that goes with the float leaves."""
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(y0) if eqx.is_inexact_array(leaf)]
    if not dtypes:
        raise ValueError("y0 has no float leaf, and integers are constant between events: write 10.0 instead of 10.")
    return jnp.finfo(np.result_type(*dtypes)).dtype


def _is_number(x: Any) -> bool:
    return isinstance(x, bool | int | float | complex | np.ndarray | np.generic | jax.Array)
