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


def batches_of(members: np.ndarray, cost: np.ndarray, lane_speed: dict[int, float], workers: int) -> list[Batch]:
    """Cut members, sorted by falling cost, into batches so that the predicted time is least.

    A batch of width w whose dearest member costs c takes `lane_speed[w] * c`. With one width there is nothing to
    choose; with several this is a shortest path: narrow batches where the cost falls steeply, wide where it is flat.
    No batch is to take more than half of a worker's share, or the others would end up waiting for it.
    """
    order = np.argsort(-cost, kind="stable")
    members, cost = members[order], np.maximum(cost[order], 1e-300)
    total, widths = _shortest(cost, lane_speed, np.inf)
    if len(lane_speed) > 1:
        _, widths = _shortest(cost, lane_speed, total / (2 * workers))
    batches, start = [], 0
    for width in widths:
        batches.append((width, members[start : start + width], lane_speed[width] * float(cost[start])))
        start += width
    return batches


def _shortest(cost: np.ndarray, lane_speed: dict[int, float], longest: float) -> tuple[float, list[int]]:
    """The least total time of all batches, and their widths in order; a batch above `longest` is a last resort."""
    grain = min(lane_speed)
    starts = range(0, len(cost), grain)
    best, choice = np.zeros(len(starts) + 1), np.zeros(len(starts) + 1, int)
    for k in reversed(range(len(starts))):
        dearest = float(cost[k * grain])
        allowed = {w: speed for w, speed in lane_speed.items() if speed * dearest <= longest or w == grain}
        times = {w: speed * dearest + best[min(k + w // grain, len(starts))] for w, speed in allowed.items()}
        choice[k] = min(times, key=times.__getitem__)
        best[k] = times[choice[k]]
    widths, k = [], 0
    while k < len(starts):
        widths.append(int(choice[k]))
        k += widths[-1] // grain
    return float(best[0]), widths
