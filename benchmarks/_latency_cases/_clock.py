"""What the scripts of this folder share: clocks, and the one line of JSON that each of them ends with."""

import json
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any


def timed(run: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """What `run` returns (it must be finished, not on its way), and its wall and processor seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = run()
    return found, {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def medians(runs: Sequence[tuple[Any, dict[str, float]]]) -> dict[str, float]:
    """Of both clocks, over what `timed` returned."""
    return {clock: statistics.median(took[clock] for _, took in runs) for clock in ("wall", "cpu")}


def report(parts: dict[str, Any]) -> None:
    """The last line of a script's output."""
    print(json.dumps(parts))
