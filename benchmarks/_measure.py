"""Measuring both sides in one run: warmed up, blocked on, interleaved, medians."""

import platform
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax


def machine() -> str:
    """The hardware and the versions that the figures belong to."""
    device = jax.devices()[0]
    chip = device.device_kind if device.platform != "cpu" else _cpu_name()
    versions = f"Python {platform.python_version()}, JAX {jax.__version__}"
    return f"{chip}, {jax.device_count()} {device.platform} device(s), {versions}"


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def seconds(runs: Mapping[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """The median time of each run; the runs take turns, so that a drift of the machine meets all of them."""
    for run in runs.values():
        jax.block_until_ready(run())
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(repeats):
        for name, run in runs.items():
            start = time.perf_counter()
            jax.block_until_ready(run())
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def case(
    name: str, metric: str, kinax: float, peers: Mapping[str, float], *, higher_is_better: bool = False, **notes: Any
) -> dict[str, Any]:
    """One row of a benchmark; `notes` are further facts about it (that results agree, say)."""
    row = {"case": name, "metric": metric, "kinax": kinax, "peers": dict(peers), "higher_is_better": higher_is_better}
    return row | notes
