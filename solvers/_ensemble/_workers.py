"""Who evaluates the units: threads that each drive a device, or the workers of an executor."""

import concurrent.futures
import logging
import os
import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ._family import OutputLeaf
from ._result import blanks
from ._schedule import Schedule, Unit

Evaluated = tuple[float, list[np.ndarray], dict[int, str]]  # seconds, raw outputs, position -> why it raised
Arrived = tuple[Unit, float, list[np.ndarray], dict[int, str]]
_RAISED = (RuntimeError, ArithmeticError)  # what a compiled program raises; anything else is no member's fault


def evaluate(
    run: Callable[[Sequence[np.ndarray]], list[np.ndarray]], leaves: Sequence[np.ndarray], outputs: Sequence[OutputLeaf]
) -> tuple[list[np.ndarray], dict[int, str]]:
    """Run some members; if that raises, halve until the guilty stand alone, so that no failure is contagious.

    Returns the raw outputs, and position -> message for the members that raised.
    """
    log = logging.getLogger("jax._src.callback")
    quiet = _Recorded()
    log.addFilter(quiet)
    try:
        return _halve(run, leaves, outputs)
    finally:
        log.removeFilter(quiet)


class _Recorded(logging.Filter):
    """Keeps JAX from printing the traceback of every failed callback: the failure is in the result."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).endswith("callback failed")


def _halve(
    run: Callable[[Sequence[np.ndarray]], list[np.ndarray]], leaves: Sequence[np.ndarray], outputs: Sequence[OutputLeaf]
) -> tuple[list[np.ndarray], dict[int, str]]:
    try:
        return run(leaves), {}
    except _RAISED as error:
        if "RESOURCE_EXHAUSTED" in str(error):
            raise MemoryError(
                f"The device is out of memory: pass a smaller `batch_size`. ({reason_of(error)})"
            ) from error
        m = leaves[0].shape[0]
        if m == 1:
            return blanks(outputs), {0: reason_of(error)}
    half = m // 2
    left, left_raised = _halve(run, [leaf[:half] for leaf in leaves], outputs)
    right, right_raised = _halve(run, [leaf[half:] for leaf in leaves], outputs)
    joined = [np.concatenate(pair) for pair in zip(left, right, strict=True)]
    return joined, left_raised | {half + i: why for i, why in right_raised.items()}


def reason_of(error: BaseException) -> str:
    """The message of a failure inside a program, without the traceback that a host callback puts around it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [i for i, line in enumerate(lines) if line.split(":")[0].endswith(("Error", "Exception")) and ": " in line]
    if not named:
        return lines[0] if lines else type(error).__name__
    kept = [lines[named[-1]].split(": ", 1)[1]]
    for line in lines[named[-1] + 1 :]:
        if line.startswith(("---", "The above", "At:", "An error occurred during the runtime")):
            break
        kept.append(line)
    return " ".join(kept)


def in_threads(schedule: Schedule, work: Callable[[Unit, Any], Evaluated], slots: Sequence[Any]) -> Iterator[Arrived]:
    """One thread per slot, each taking the next unit when it is free; no slot ever waits for another."""
    arrived: queue.Queue[Any] = queue.Queue(maxsize=4 * len(slots))
    stop = threading.Event()

    def put(item: Any) -> None:
        while not stop.is_set():
            try:
                return arrived.put(item, timeout=0.1)
            except queue.Full:
                continue

    def loop(slot: Any) -> None:
        try:
            while not stop.is_set() and (unit := schedule.take()) is not None:
                seconds, arrays, raised = work(unit, slot)
                schedule.report(unit, seconds)
                put((unit, seconds, arrays, raised))
            put(None)
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread and raised there
            put(error)

    threads = [threading.Thread(target=loop, args=(slot,), daemon=True) for slot in slots]
    for thread in threads:
        thread.start()
    running = len(threads)
    try:
        while running:
            item = arrived.get()
            if item is None:
                running -= 1
            elif isinstance(item, BaseException):
                raise item
            else:
                yield item
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=2.0)  # a unit takes a fraction of that; never hang on one that does not


def in_executor(
    schedule: Schedule, submit: Callable[[Unit], concurrent.futures.Future[Any]], in_flight: int
) -> Iterator[Arrived]:
    """Units through an executor, a bounded number at a time."""
    pending: dict[concurrent.futures.Future[Any], Unit] = {}
    try:
        while True:
            while len(pending) < in_flight and (unit := schedule.take()) is not None:
                pending[submit(unit)] = unit
            if not pending:
                return
            done, _ = concurrent.futures.wait(pending, return_when=concurrent.futures.FIRST_COMPLETED)
            for future in done:
                unit = pending.pop(future)
                try:
                    seconds, arrays, raised = future.result()
                except concurrent.futures.BrokenExecutor as error:
                    raise RuntimeError(
                        "A worker process of `executor` died (often out of memory: pass a smaller `batch_size`). "
                        "Results that arrived before are kept if `store=` was given; call again to go on from there."
                    ) from error
                schedule.report(unit, seconds)
                yield unit, seconds, arrays, raised
    finally:
        for future in pending:
            future.cancel()


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def slots_of(devices: Sequence[Any]) -> list[Any]:
    """Each device as often as it can usefully run a program at once.

    XLA's CPU client runs programs that are called from different threads side by side. The CPU devices of a process are
    names for the same cores, so the first one stands for all, and programs are compiled for it alone. On an
    accelerator a second program hides the host's part of the first.
    """
    first = next((device for device in devices if device.platform == "cpu"), None)
    repeats = {device: 2 for device in devices if device.platform != "cpu"} | ({first: cores()} if first else {})
    return [device for k in range(max(repeats.values())) for device in repeats if k < repeats[device]]
