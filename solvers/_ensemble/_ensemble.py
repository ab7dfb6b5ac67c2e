"""The verb: plan the work, run it, gather the results."""

import concurrent.futures
import dataclasses
import itertools
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree
from tqdm.auto import tqdm

from .._programs import seldom_collecting
from ._cost import features, given_cost, Pilot, predict, sample, steps_leaves, steps_of
from ._family import Family, family_of, parameters_of
from ._members import as_members, Members, refuse_tracers
from ._remote import check_executor, payload_of, run_remote
from ._result import EnsembleResult, failures_in, Memory
from ._schedule import Batch, batches_of, Schedule, Unit
from ._store import Store
from ._tune import is_worth, Plan, tune, Tuned, untuned
from ._workers import Arrived, evaluate, Evaluated, in_executor, in_threads, slots_of

_PILOT_FROM = 256  # members; fewer do not repay a pilot


@seldom_collecting()
def ensemble(
    fn: Callable[..., Any],
    inputs: PyTree,
    *,
    cost: Any = None,
    batch_size: int | None = None,
    devices: Sequence[Any] | None = None,
    executor: Any = None,
    store: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> EnsembleResult:
    """Evaluate `fn` for every member of an ensemble: what `jax.vmap(fn)(inputs)` computes, without its waiting.

    Under `vmap` every lane waits for the slowest. Here members are sorted by cost and run in batches of like cost,
    dearest first, on every core and device, each working on its own.

    - `fn`: any function of one member, `member -> PyTree of arrays`. What it closes over is read when it is first
      traced, as under `jax.jit`; pass an `eqx.Module` for values that change.
    - `inputs`: a PyTree whose leaves have the members along their leading axis. Typed PRNG keys are leaves too.
    - `cost`: what predicts the time of a member: an array of shape `(n,)` or a function of one member, in any unit;
      or `Pilot(...)`, which measures a sample. None means `Pilot()` if `fn` contains a loop whose length depends on
      data and there are at least 256 members, and equal costs otherwise.
    - `batch_size`: lanes of a batch; 1 evaluates `fn` itself. None measures a few and remembers the answer.
    - `devices`: JAX devices, by default `jax.local_devices()`. The first CPU device stands for all: they share cores.
    - `executor`: any `concurrent.futures.Executor` instead of `devices`; processes started by spawn or forkserver.
    - `store`: a directory to which results are streamed as they arrive. If it already holds a part of this very
      ensemble, only the rest is evaluated. Read it with `read_store`, at any time.
    - `progress`: show a bar.

    A member has failed if a `RESULTS` item in its output is neither `successful` nor `event_occurred`, if a float in
    its output is NaN (the padding of a `Solution`'s `ts` apart), or if its evaluation raised. Failures are recorded,
    not raised, and never spread to others.

    **Same numbers.** Order, cost, devices, cores, executor, store and resumption never change a bit of the result,
    and neither does a batch size that was measured: another width is used only if it reproduced the results of the
    default one on a sample, bit for bit. With `batch_size=1` a result is bit for bit that of `jax.jit(fn)(member)`, the
    plain loop. Otherwise it is that of `jax.jit(jax.vmap(fn))`, which XLA rounds differently from the plain loop
    (fused multiply-adds). One thing XLA decides by size: matrix products may round differently from one explicit
    `batch_size` to another, and by position within a batch if `batch_size` is not a power of two.

    Raises `ValueError` or `TypeError` for inputs that are no ensemble, a wrong cost, an unusable executor or a store
    of something else. Cannot be called under `jit`, `vmap` or `grad`; `ensemble(jax.grad(fn), inputs)` can.
    """
    start = time.perf_counter()
    _check(fn, batch_size, devices, executor)
    members = as_members(inputs)
    team = _Team(fn, members, family_of(fn, members), devices, executor)
    results = Memory(members.n, team.family.outputs) if store is None else Store(store, fn, members, team.family)
    bar = tqdm(total=members.n, initial=int(results.done.sum()), unit="member", disable=not progress)
    return _evaluated(_Run(members, team, results, bar, {}), cost, batch_size, start)


def quick_ensemble(
    fn: Callable[..., Any], inputs: PyTree, batch_size: int, devices: Sequence[Any] | None, options: dict[str, Any]
) -> EnsembleResult:
    """Members of equal costs (so without a pilot), with options of the compiler, which may change the last bits."""
    start = time.perf_counter()
    _check(fn, batch_size, devices, None)
    members = as_members(inputs)
    team = _Team(fn, members, family_of(fn, members), devices, None)
    run = _Run(members, team, Memory(members.n, team.family.outputs), tqdm(disable=True), options)
    return _evaluated(run, np.ones(members.n), batch_size, start)


def _evaluated(run: "_Run", cost: Any, batch_size: int | None, start: float) -> EnsembleResult:
    results = run.results
    try:
        plan = run.go(cost, batch_size)
    finally:
        run.bar.close()
        results.close()
    values, failures = run.team.family.outputs.rebuild(results.finish()), dict(sorted(results.failures.items()))
    stats = {"seconds": time.perf_counter() - start} | run.stats(plan)
    return EnsembleResult(values=values, failed=results.failed, failures=failures, stats=stats)


def _check(fn: Any, batch_size: Any, devices: Any, executor: Any) -> None:
    if not callable(fn):
        raise TypeError(f"`fn` must be a function of one member, not {fn!r}.")
    refuse_tracers(parameters_of(fn))
    if batch_size is not None and (not isinstance(batch_size, int | np.integer) or batch_size < 1):
        raise ValueError(f"`batch_size` must be an integer of at least 1, or None to measure it, not {batch_size!r}.")
    if devices is not None and len(devices) == 0:
        raise ValueError("`devices` is empty; leave it out to use `jax.local_devices()`.")
    if executor is not None:
        check_executor(executor)
        if devices is not None:
            raise ValueError(
                "Give `devices` or `executor`, not both: the workers of an executor use their own devices."
            )


class _Team:
    """The workers and what they need to evaluate a unit."""

    def __init__(self, fn: Any, members: Members, family: Family, devices: Sequence[Any] | None, executor: Any) -> None:
        self._members, self.family, self._executor = members, family, executor
        self._slots = slots_of(list(jax.local_devices() if devices is None else devices))
        self.devices = list(dict.fromkeys(self._slots))
        self._parameters = {device: jax.device_put(parameters_of(fn), device) for device in self.devices}
        self.in_process = executor is None or isinstance(executor, concurrent.futures.ThreadPoolExecutor)
        self._payload = None if self.in_process else payload_of(fn, members)
        self.workers = len(self._slots) if executor is None else int(getattr(executor, "_max_workers", 0) or 8)
        self._turn = itertools.cycle(self._slots)
        self.compile_seconds = 0.0
        self._options: Plan = {}

    def prepare(self, options: Plan) -> None:
        """Lower, in this thread so that the caller's configuration of JAX holds, and compile, for every device."""
        self._options = options
        if not self.in_process:
            return
        start = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(max(2, len(self.devices))) as pool:
            self.family.programs([(w, device, options[w]) for device in self.devices for w in options], pool)
        self.compile_seconds += time.perf_counter() - start

    def run(self, schedule: Schedule) -> Iterator[Arrived]:
        """Evaluate all units of a schedule, in whatever order they finish."""
        if self._executor is None:
            return in_threads(schedule, self._work, self._slots)
        return in_executor(schedule, self._submit, 2 * self.workers)

    def tune(self, base: int, chosen: np.ndarray, cost: np.ndarray, remaining: float) -> Tuned | None:
        """Measure widths on the first device and compile the chosen ones for all, if `remaining` seconds justify it."""
        start = time.perf_counter()
        device = self.devices[0]
        program = self.family.program(base, device, {})
        if not is_worth(program, remaining):
            return None
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            leaves = self._members.take(chosen)
            tuned = tune(self.family, self._parameters[device], program, leaves, cost, remaining, pool)
        self.compile_seconds += time.perf_counter() - start
        self.prepare(tuned.options)
        return tuned

    def _work(self, unit: Unit, device: Any) -> Evaluated:
        program = self.family.program(unit.width, device, self._options[unit.width])
        parameters = self._parameters[device]
        start = time.perf_counter()
        leaves = self._members.take(unit.members)
        arrays, raised = evaluate(lambda xs: program(parameters, xs), leaves, self.family.outputs.leaves)
        return time.perf_counter() - start, arrays, raised

    def _submit(self, unit: Unit) -> concurrent.futures.Future[Any]:
        if self._payload is None:
            return self._executor.submit(self._work, unit, next(self._turn))
        return self._executor.submit(run_remote, self._payload, unit.width, self._members.take(unit.members))


@dataclasses.dataclass
class _Run:
    """One call of `ensemble`: from the pilot to the last member."""

    members: Members
    team: _Team
    results: Memory | Store
    bar: Any
    options: dict[str, Any]
    units: int = 0
    piloted: int = 0
    useful: float = 0.0
    spent: float = 0.0

    def go(self, cost: Any, batch_size: int | None) -> Tuned:
        """Evaluate everything that is not done; returns the widths used."""
        family, team = self.team.family, self.team
        device = team.devices[0]
        base = int(batch_size or family.base_width(self.members.n, device))
        kind = (device.platform, device.device_kind, base)
        measurable = batch_size is None and team.in_process
        plan = untuned(base, self.options)
        if measurable:
            plan = family.tuned.get(kind, plan)
        if self.results.done.all():
            return plan
        team.prepare(plan.options)
        predicted = self._costs(cost, plan)
        left = np.flatnonzero(~self.results.done)
        if measurable and kind not in family.tuned and len(left) >= 16 * base:
            tuned = self._tuned_underway(predicted, base)
            if tuned is not None:
                plan = family.tuned[kind] = tuned
            left = np.flatnonzero(~self.results.done)
        self._finish(batches_of(left, predicted[left], plan.lane_speed, team.workers), None)
        return plan

    def stats(self, plan: Tuned) -> dict[str, Any]:
        """What is worth knowing about the run."""
        return {
            "compile_seconds": self.team.compile_seconds,
            "workers": self.team.workers,
            "units": self.units,
            "batch_sizes": tuple(sorted(plan.lane_speed)),
            "pilot": self.piloted,
            "efficiency": self.useful / self.spent if self.spent else None,
        }

    def _costs(self, cost: Any, plan: Tuned) -> np.ndarray:
        """What every member will cost, in any unit."""
        members = self.members
        if cost is not None and not isinstance(cost, Pilot):
            return given_cost(cost, members)
        predicted = np.ones(members.n)
        if cost is None and not (self.team.family.is_adaptive and members.n >= _PILOT_FROM):
            return predicted
        pilot = cost or Pilot()
        left = np.flatnonzero(~self.results.done)
        rows = features(members)[left]
        if len(left) <= pilot.members or rows.shape[1] == 0:
            return predicted
        chosen = sample(rows, pilot.members)
        self.piloted = len(chosen)
        predicted[left] = predict(rows, chosen, self._pilot(left[chosen], min(plan.lane_speed)), pilot.neighbors)
        return predicted

    def _pilot(self, chosen: np.ndarray, width: int) -> np.ndarray:
        """Run some members for their results, and return what they cost: steps, or else seconds."""
        counted = steps_leaves(self.team.family.outputs.leaves)
        size = width if counted else 1  # one member to a unit, so that the clock tells them apart
        batches = [(width, chosen[i : i + size], 1.0) for i in range(0, len(chosen), size)]
        measured: dict[int, float] = {}

        def note(unit: Unit, seconds: float, arrays: list[np.ndarray]) -> None:
            steps = steps_of(counted, arrays) if counted else np.array([seconds])
            measured.update(zip(unit.members.tolist(), np.maximum(steps, 1e-12).tolist(), strict=True))

        self._finish(batches, note, together=bool(counted))
        return np.array([measured[i] for i in chosen.tolist()])

    def _tuned_underway(self, predicted: np.ndarray, base: int) -> Tuned | None:
        """Run the dearest batches as planned; if what is left is long enough, measure other programs before it."""
        left = np.flatnonzero(~self.results.done)
        batches = batches_of(left, predicted[left], {base: 1.0}, self.team.workers)
        first, rest = batches[: self.team.workers], batches[self.team.workers :]
        seconds_spent: list[float] = []
        self._finish(first, lambda unit, seconds, arrays: seconds_spent.append(seconds), together=False)
        rate = sum(seconds_spent) / max(sum(cost for _, _, cost in first), 1e-300)
        remaining = rate * sum(cost for _, _, cost in rest) / self.team.workers
        cheaper = np.concatenate([members for _, members, _ in rest[len(rest) // 2 :]])
        chosen = cheaper[np.linspace(0, len(cheaper) - 1, base).astype(int)]
        if remaining < 10 * rate * predicted[chosen].max():
            return None
        return self.team.tune(base, chosen, predicted[chosen], remaining)

    def _finish(self, batches: list[Batch], note: Callable[..., None] | None, together: bool = True) -> None:
        """Evaluate batches and put their results where they belong; `together` allows several to a unit."""
        outputs = self.team.family.outputs.leaves
        widths = {width for width, _, _ in batches}
        capacity = {width: self.team.family.capacity(width) if together else 1 for width in widths}
        for unit, seconds, arrays, raised in self.team.run(Schedule(batches, capacity, self.team.workers)):
            failures = failures_in(outputs, unit.members, arrays, raised)
            self.results.write(unit.members, arrays, failures)
            self._account(unit, arrays)
            if note is not None:
                note(unit, seconds, arrays)
            self.bar.set_postfix(failed=len(self.results.failures), refresh=False)
            self.bar.update(len(unit.members))

    def _account(self, unit: Unit, arrays: list[np.ndarray]) -> None:
        self.units += 1
        counted = steps_leaves(self.team.family.outputs.leaves)
        if counted:
            steps = steps_of(counted, arrays)
            self.useful += float(steps.sum())
            starts = np.arange(0, len(steps), unit.width)
            self.spent += float(np.maximum.reduceat(steps, starts).sum() * unit.width)
