"""From one transition to the next: a solve, the exact time at which it ends, the verdict, the new state."""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .._codes import code_of, promoted
from .._diffeqsolve import diffeqsolve
from .._results import RESULTS
from .._tree import all_finite, difference
from .._types import Scalar
from ._locate import along, arrive, Course, Flow, locate
from ._transitions import AbstractGuarded, AbstractScheduled, AbstractTransition, Guards, select, still, Stop
from ._watch import EndAt, ENDED, Sight, Watch

_GEOMETRIC = 0.1  # two ratios of intervals that differ by less, relatively, are taken for one


class Standing(NamedTuple):
    """Where a run stands."""

    t: Scalar
    y: PyTree  # float leaves
    fixed: PyTree  # the others
    above: Array  # of each guard
    pending: Array  # guards that a reset has carried across zero
    waiting: Array  # guards that began beyond zero, going farther, and have not been back
    upcoming: Array  # the next entry of each schedule
    recent: Array  # the last three times at which a guard fired
    result: Array  # a code; -1 while the run goes on
    accumulation: Scalar
    ys: PyTree
    steps: Array  # all, accepted, rejected


class Ending(NamedTuple):
    """How a solve ended: by which transition, when, in what state."""

    t: Scalar
    y: PyTree
    which: Array
    guard: Array  # which of the guards
    by_guard: Array
    by_schedule: Array
    by_jump: Array  # by a guard that a reset has carried across zero
    stop: Scalar  # the next scheduled time
    failure: Array

    @property
    def some(self) -> Array:
        """Whether it was a transition at all."""
        return self.by_guard | self.by_schedule | self.by_jump


class Due(NamedTuple):
    """What is known before a solve of what ends it."""

    time: Scalar  # the next scheduled one
    schedule: Array  # of which schedule
    guard: Array  # the first that is pending
    jump: Array  # whether that one is next
    now: Array  # whether something is due at once


class Machinery(NamedTuple):
    """What does not change from one segment to the next."""

    transitions: tuple[AbstractTransition, ...]
    guards: Guards
    flow: Callable[[PyTree], Flow]  # given the leaves that are constant
    user_args: PyTree
    ts: Array
    end: Scalar
    dt0: Any
    solver: diffrax.AbstractSolver
    plain: diffrax.AbstractSolver  # for steps that nobody differentiates
    controller: diffrax.AbstractStepSizeController
    stallable: bool
    adjoint: diffrax.AbstractAdjoint
    max_steps: int

    @property
    def guarded(self) -> list[int]:
        """Which transitions have a guard."""
        return [i for i, x in enumerate(self.transitions) if isinstance(x, AbstractGuarded)]

    @property
    def schedules(self) -> list[int]:
        """Which transitions have times."""
        return [i for i, x in enumerate(self.transitions) if isinstance(x, AbstractScheduled)]

    def next_scheduled(self, upcoming: Array) -> Array:
        """The next time of each schedule; infinite if there is none before the end."""
        times = [self.transitions[i].times.astype(self.end.dtype) for i in self.schedules]  # pyright: ignore
        times = [jnp.append(t, jnp.inf) for t in times]
        times = [t[jnp.minimum(k, t.size - 1)] for t, k in zip(times, upcoming, strict=True)]
        return jnp.stack([jnp.where(t <= self.end, t, jnp.inf) for t in times])


def segment(machinery: Machinery, now: Standing, last: Any) -> tuple[Standing, tuple[Scalar, Array]]:
    """On to the next transition, or to the end; what happened, and when."""
    live = now.result < 0
    flow = machinery.flow(now.fixed)
    ending, ys, steps, seen = _solve(machinery, flow, now, live)
    some = ending.some
    course = flow.course(ending.t, ending.y)
    index = jnp.where(some, ending.which, -1)
    state, upcoming = _apply(machinery, now, ending)
    after = machinery.flow(state[1]).course(ending.t, state[0])
    verdict, accumulation = _verdict(machinery, now, ending, seen, (course, after), state)
    stops = [i for i, x in enumerate(machinery.transitions) if isinstance(x, Stop)]
    terminal = jnp.any(jnp.asarray(stops, int) == ending.which) & some
    spent = some & last & ~terminal & (verdict == 0)
    zeno = spent & ending.by_guard & jnp.isfinite(accumulation) & (accumulation <= machinery.end)
    exhausted = jnp.where(zeno, code_of(RESULTS.zeno), code_of(RESULTS.events_exhausted))
    verdict = jnp.where(spent, exhausted, verdict)
    verdict = jnp.where(terminal & (verdict == 0), code_of(RESULTS.event_occurred), verdict)
    goes_on = some & (verdict == 0)
    verdict = jnp.where(goes_on, -1, verdict)
    happened = live & some & (goes_on | (verdict == code_of(RESULTS.event_occurred)))
    own = (jnp.arange(len(machinery.guards)) == ending.guard) & (ending.by_guard | ending.by_jump)
    sides, fires = after.sides(), machinery.guards.fires
    carried = ~own & fires(course.sides()) & course.carried(after)
    recent = jnp.where(ending.by_guard, jnp.append(now.recent[1:], still(ending.t)), now.recent)
    new = Standing(
        t=ending.t,
        y=select(goes_on, state[0], ending.y),
        fixed=select(goes_on, state[1], now.fixed),
        above=sides,
        pending=now.pending & ~own | carried,
        waiting=now.waiting & ~(own | fires(seen.above) | fires(sides)),
        upcoming=upcoming,
        recent=recent,
        result=verdict.astype(jnp.int32),
        accumulation=jnp.where(verdict == code_of(RESULTS.zeno), accumulation, now.accumulation),
        ys=_saved(machinery, now, ys, ending.t, goes_on, verdict),
        steps=now.steps + steps,
    )
    event = jnp.where(happened, ending.t, jnp.inf), jnp.where(happened, index, -1)
    return select(live, new, now), event


def _solve(machinery: Machinery, flow: Flow, now: Standing, live: Array) -> tuple[Ending, PyTree, Array, Sight]:
    """The solve up to the next transition or the end."""
    infinite = jnp.asarray(jnp.inf, now.t.dtype)
    due = _due(machinery, now)
    stop = jnp.where(due.now, infinite, due.time)
    end = jnp.where(live & ~due.now, machinery.end, now.t)
    window = _window(machinery, now.t, end)
    watch = Watch(machinery.solver, flow.guards, now.above, still(stop), flow.tolerances)
    inner = diffeqsolve(
        diffrax.ODETerm(flow.field),
        watch,
        now.t,
        end,
        machinery.dt0,
        now.y,
        flow.args,
        saveat=diffrax.SaveAt(
            subs=(diffrax.SubSaveAt(ts=window), diffrax.SubSaveAt(t1=True)),
            solver_state=True,
            controller_state=machinery.stallable,
        ),
        stepsize_controller=EndAt(machinery.controller, stop),
        adjoint=machinery.adjoint,
        max_steps=machinery.max_steps,
        throw=False,
    )
    seen: Any = inner.solver_state
    moved = now.t < end
    seen = seen._replace(
        start=jnp.where(moved, seen.start, now.t), end=jnp.where(moved, seen.end, now.t), y=select(moved, seen.y, now.y)
    )
    stalled_at: Any = inner.controller_state[1] if machinery.stallable else infinite  # pyright: ignore
    stalled = stalled_at < machinery.end
    inner_code = code_of(promoted(inner.result))
    failed = (inner_code != 0) & (inner_code != code_of(promoted(ENDED))) | stalled
    failure = jnp.where(stalled, code_of(RESULTS.stalled), jnp.where(failed, inner_code, 0))
    by_guard = live & ~failed & moved & jnp.any(seen.crossed)
    by_jump = live & ~failed & due.jump
    arrived = jnp.where(due.now, ~due.jump, moved & (seen.end >= still(stop)))
    by_schedule = live & ~failed & ~by_guard & ~seen.touched & arrived
    saved, (end_t, end_y) = inner.ys[0], jax.tree.map(lambda x: x[0], (inner.ts[1], inner.ys[1]))  # pyright: ignore
    slope = flow.field(now.t, now.y, flow.args)  # a solve of no length has no derivative by its ends
    late = lambda t: jnp.where(moved, 0, t - now.t)
    saved = jax.vmap(lambda y, t: along(y, slope, late(t)))(saved, window)
    end_y = along(end_y, slope, late(end))
    ends_at = jnp.where(stalled, still(stalled_at), jnp.where(moved, end_t, end))
    ends_at = jnp.where(seen.touched, seen.upper, ends_at)
    ending = _transition(machinery, flow, seen, (by_guard, by_schedule, by_jump), due, (ends_at, end_y))
    stats = inner.stats
    counts = [stats[k] for k in ("num_steps", "num_accepted_steps", "num_rejected_steps")]
    return ending._replace(failure=jnp.where(live, failure, 0)), saved, jnp.stack(counts).astype(jnp.int32), seen


def _due(machinery: Machinery, now: Standing) -> Due:
    """The next schedule, and what is due at once: of several the first in the order of the transitions."""
    infinite = jnp.asarray(jnp.inf, now.t.dtype)
    scheduled = machinery.next_scheduled(now.upcoming) if machinery.schedules else infinite[None]
    schedule = jnp.argmin(still(scheduled))
    due = still(scheduled)[schedule] <= now.t
    guard, jump = jnp.asarray(0), jnp.asarray(False)
    if machinery.guarded:
        guard = jnp.argmax(now.pending)
        earlier = jnp.asarray(machinery.guarded)[guard] < jnp.asarray(machinery.schedules or [0])[schedule]
        jump = jnp.any(now.pending) & (~due | earlier)
    return Due(time=scheduled[schedule], schedule=schedule, guard=guard, jump=jump, now=due | jump)


def _transition(machinery, flow, seen, by, due: Due, end) -> Ending:
    """The transition that ended the solve, and the time and the state there."""
    by_guard, by_schedule, by_jump = by
    guard, found = jnp.asarray(0), still(seen.end)
    if machinery.guarded:
        plain = flow._replace(solver=machinery.plain)
        find = still(eqx.filter_closure_convert(lambda seen: _first_guard(plain, seen), seen))  # a loop: no derivative
        found, guard = jax.lax.cond(
            eqxi.unvmap_any(by_guard), lambda seen: find(seen), lambda seen: (seen.upper, jnp.asarray(0)), still(seen)
        )
    guard = jnp.where(by_jump, due.guard, guard)
    known = jnp.where(by_schedule, due.time, jnp.where(by_jump, seen.start, still(seen.end)))
    t, y = arrive(flow, seen, jnp.where(by_guard, found, known), guard, by_guard)
    some = by_guard | by_schedule | by_jump
    return Ending(
        t=jnp.where(some, t, end[0]),
        y=select(some, y, end[1]),
        which=jnp.where(
            by_schedule,
            jnp.asarray(machinery.schedules or [0])[due.schedule],
            jnp.asarray(machinery.guarded or [0])[guard],
        ),
        guard=guard,
        by_guard=by_guard,
        by_schedule=by_schedule,
        by_jump=by_jump,
        stop=still(due.time),
        failure=jnp.asarray(0),
    )


def _first_guard(flow: Flow, seen: Sight) -> tuple[Scalar, Array]:
    t = locate(flow, seen)
    course = flow.course(t, flow(seen, t))
    delay = jnp.abs(course.value) / jnp.where(course.rate == 0, 1, jnp.abs(course.rate))
    return t, jnp.argmin(jnp.where(seen.crossed, delay, jnp.inf))


def _first(ts: Array, t: Any) -> Array:
    """The place of the first of `ts` that does not lie before `t`."""
    return jnp.sum(ts < t)


def _window(machinery: Machinery, t: Scalar, end: Scalar) -> Array:
    """The times to save at from `t` on, as many as there are in all, the surplus at the end."""
    ts = machinery.ts
    ts = ts[jnp.minimum(_first(ts, t) + jnp.arange(ts.size), ts.size - 1)]
    ts = jnp.where(ts < t, t, ts)
    return jnp.where(ts > end, end, ts)


def _saved(machinery: Machinery, now: Standing, new: PyTree, t: Scalar, goes_on: Array, verdict: Array) -> PyTree:
    """All that is saved, with what this segment adds; at the time of a transition the next one saves."""
    ts, place = machinery.ts, jnp.arange(machinery.ts.size)
    first = _first(ts, now.t)
    until = jnp.where(goes_on, ts < t, (ts <= t) | (verdict == 0))
    mine = (place >= first) & until
    put = lambda a, b: jnp.where(mine.reshape(-1, *[1] * (a.ndim - 1)), a, b)
    new = jax.tree.map(lambda y: y[jnp.maximum(place - first, 0)], new)
    fixed = jax.tree.map(lambda x: jnp.broadcast_to(x, (ts.size, *x.shape)), now.fixed)
    return jax.tree.map(put, (new, fixed), now.ys)


def _apply(machinery: Machinery, now: Standing, ending: Ending) -> tuple[tuple[PyTree, PyTree], Array]:
    """The state after the transition, in two parts, and the next entry of each schedule."""
    before = (ending.y, now.fixed)

    def branch(i, transition):
        k = now.upcoming[machinery.schedules.index(i)] if i in machinery.schedules else jnp.asarray(0)

        def run(before):
            after = transition.apply(k, ending.t, eqx.combine(*before), machinery.user_args)
            return eqx.partition(_like(after, eqx.combine(*before), transition), eqx.is_inexact_array)

        return run

    runs = [branch(i, transition) for i, transition in enumerate(machinery.transitions)]
    after = jax.lax.switch(jnp.where(ending.some, ending.which + 1, 0), [lambda before: before, *runs], before)
    passed = ending.by_schedule & (jnp.asarray(machinery.schedules, int) == ending.which)
    return after, now.upcoming + passed.astype(now.upcoming.dtype)


def _like(after: PyTree, before: PyTree, transition: AbstractTransition) -> PyTree:
    """What a reset returned, as arrays; a ValueError if it is not another state of the same kind."""

    def convert(new, old):
        loose = isinstance(new, bool | int | float) or getattr(new, "weak_type", False)
        fits = loose and np.can_cast(jnp.result_type(new), old.dtype, "same_kind")
        return jnp.asarray(new, old.dtype) if fits else new

    if jax.tree.structure(after) == jax.tree.structure(before):
        after = jax.tree.map(convert, after, before)
    shapes = lambda tree: eqx.filter_eval_shape(lambda: tree)
    found = difference(shapes(after), shapes(before), "reset(t, y, args)")
    if found is not None:
        raise ValueError(f"The reset of {type(transition).__name__} must return what y0 looks like, but {found}.")
    return after


def _verdict(
    machinery: Machinery,
    now: Standing,
    ending: Ending,
    seen: Sight,
    courses: tuple[Course, Course],
    state: PyTree,
) -> tuple[Array, Scalar]:
    """The code of what makes the transition doubtful, 0 if nothing does; and the time at which events accumulate."""
    before, after = courses
    verdicts = [(ending.failure != 0, ending.failure)]
    some = ending.some
    accumulation = jnp.asarray(jnp.inf, now.t.dtype)
    finite = all_finite((ending.t, ending.y)) & (all_finite(state) | ~some)
    verdicts.append((~finite & some, code_of(RESULTS.nonfinite_state)))
    if machinery.guarded:
        own = (jnp.arange(len(machinery.guards)) == ending.guard) & (ending.by_guard | ending.by_jump)
        blur = jnp.max(jnp.where(own & ending.by_guard, before.blur(), 0))
        away = jnp.where(seen.above, before.rate > 0, before.rate < 0)
        back = jnp.where(seen.above, after.bend < 0, after.bend > 0)
        stays = after.on_zero & after.tangential & back
        grazing = jnp.any(own & (before.tangential | away | stays)) | seen.touched
        might = machinery.guards.fires(seen.above)
        close = before.delay(seen.above) <= before.blur() + blur
        # a reset may put the state onto another guard, on its way through
        enters = after.on_zero & jnp.where(seen.above, after.heading < 0, after.heading > 0)
        simultaneous = jnp.any(~own & might & (close | enters)) | (ending.by_guard & (ending.stop - ending.t <= blur))
        zeno, accumulation = _zeno(now.recent, still(ending.t), blur)
        doubtful = grazing | simultaneous
        zeno = ending.by_guard & (zeno | doubtful & jnp.isfinite(accumulation))
        verdicts.append((zeno, code_of(RESULTS.zeno)))
        verdicts.append((ending.by_guard & grazing | seen.touched, code_of(RESULTS.grazing)))
        verdicts.append((some & simultaneous, code_of(RESULTS.simultaneous)))
    code = jnp.asarray(0, jnp.int32)
    for condition, value in reversed(verdicts):
        code = jnp.where(condition, value, code).astype(jnp.int32)
    return code, accumulation


def _zeno(recent: Array, t: Scalar, blur: Scalar) -> tuple[Array, Scalar]:
    """Whether events follow each other faster than their times are known; where they accumulate, if they do."""
    times = jnp.append(recent, t)
    first, second, third = times[1:] - times[:-1]
    geometric = (third < second) & (jnp.abs(third * first - second**2) <= _GEOMETRIC * second**2)
    ratio = jnp.where(geometric, third / jnp.where(geometric, second, 1), 0)
    limit = t + third * ratio / (1 - ratio)
    quick = third <= blur
    return quick, jnp.where(geometric | quick, limit, jnp.inf)
