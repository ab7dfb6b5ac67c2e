"""Batches of members of like cost, handed out expensive first in units that shrink towards the end."""

import collections
import dataclasses
import threading

import numpy as np

_LONGEST = 0.25  # seconds that an interrupt, the progress bar and the store may have to wait for a unit
_SHORTEST = 0.003  # seconds below which handing out a unit costs more than it brings

Batch = tuple[int, np.ndarray, float]  # width, members, predicted time


@dataclasses.dataclass(frozen=True)
class Unit:
    """Some batches of one width that run in one call of a program."""

    width: int
    members: np.ndarray
    cost: float


class Schedule:
    """The work left. Workers `take` from it and `report` back; safe to share between threads."""

    def __init__(self, batches: list[Batch], capacity: dict[int, int], workers: int) -> None:
        self._left = collections.deque(sorted(batches, key=lambda batch: -batch[2]))
        self._capacity, self._workers = capacity, workers
        self._cost_left = float(sum(cost for _, _, cost in batches))
        self._seconds_per_cost: float | None = None
        self._lock = threading.Lock()

    def take(self) -> Unit | None:
        """The next unit, or None if nothing is left."""
        with self._lock:
            if not self._left:
                return None
            width, first, cost = self._left.popleft()
            members = [first]
            share = self._cost_left / (3 * self._workers)
            if self._seconds_per_cost is not None:
                share = min(max(share, _SHORTEST / self._seconds_per_cost), _LONGEST / self._seconds_per_cost)
                while self._left and self._left[0][0] == width and len(members) < self._capacity[width]:
                    # every batch but the last is full, so that batches can be told apart by position
                    if cost + self._left[0][2] > share or len(members[-1]) < width:
                        break
                    _, more, extra = self._left.popleft()
                    members.append(more)
                    cost += extra
            self._cost_left -= cost
            return Unit(width=width, members=np.concatenate(members), cost=cost)

    def report(self, unit: Unit, seconds: float) -> None:
        """Learn how long a unit took."""
        if unit.cost > 0 and seconds > 0:
            with self._lock:
                rate = seconds / unit.cost
                self._seconds_per_cost = max(rate, 0.5 * (self._seconds_per_cost or 0.0))


def batches_of(members: np.ndarray, cost: np.ndarray, lane_speed: dict[int, float]) -> list[Batch]:
    """Cut members, sorted by falling cost, into batches so that the predicted time is least.

    A batch of width w whose dearest member costs c takes `lane_speed[w] * c`. With one width there is nothing to
    choose; with several this is a shortest path: narrow batches where the cost falls steeply, wide where it is flat.
    Returns (width, members, predicted time) for each batch.
    """
    order = np.argsort(-cost, kind="stable")
    members, cost = members[order], cost[order]
    n, grain = len(members), min(lane_speed)
    starts = range(0, n, grain)
    best, choice = np.zeros(len(starts) + 1), np.zeros(len(starts) + 1, int)
    steps = {width: width // grain for width in lane_speed}
    for k in reversed(range(len(starts))):
        dearest = max(float(cost[k * grain]), 1e-300)
        times = {w: lane_speed[w] * dearest + best[min(k + steps[w], len(starts))] for w in lane_speed}
        choice[k] = min(times, key=times.__getitem__)
        best[k] = times[choice[k]]
    batches, k = [], 0
    while k < len(starts):
        width, start = int(choice[k]), k * grain
        batches.append((width, members[start : start + width], lane_speed[width] * float(cost[start])))
        k += steps[width]
    return batches
