"""How many lanes a batch should have, by measurement; a measured choice never changes a number.

A candidate is accepted only if it reproduces the results of the base program on the sample, bit for bit.
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from ._family import Family, Program

# XLA's older CPU emitters make faster kernels for small loops, and compile faster. JAX versions without the
# option refuse it, and then it is not used.
_CPU_VARIANT = {"xla_cpu_use_fusion_emitters": False}
_WORTH = 0.1  # measure if the work predicted takes at least this part of one compilation


@dataclasses.dataclass(frozen=True)
class Tuned:
    """Options of the compiler, and seconds per unit of cost for each width of batch that may be used."""

    options: dict[str, Any]
    lane_speed: dict[int, float]


def untuned(width: int) -> Tuned:
    """One width, nothing measured."""
    return Tuned(options={}, lane_speed={width: 1.0})


def is_worth(program: Program, seconds: float) -> bool:
    """True if `seconds` of work justify compiling the candidates."""
    return seconds > _WORTH * program.compile_seconds


def tune(
    family: Family, parameters: list[Any], base: Program, leaves: Sequence[np.ndarray], cost: np.ndarray, pool: Any
) -> Tuned:
    """Measure a few programs on the sampled members; `pool` compiles them side by side."""
    device, width = base.device, base.width
    order = np.argsort(-cost, kind="stable")
    leaves, cost = [leaf[order] for leaf in leaves], cost[order]
    measure = lambda program: _measure(program, parameters, leaves, cost)
    base_speed, reference = measure(base)
    options: dict[str, Any] = {}
    speeds = {width: base_speed}
    if device.platform == "cpu":
        try:
            variant = family.program(width, device, _CPU_VARIANT)
        except Exception as error:
            if "compile option" not in str(error):
                raise
        else:
            speed, results = measure(variant)
            if speed < 0.97 * base_speed and _identical(results, reference):
                options, speeds = _CPU_VARIANT, {width: speed}
    around = [w for w in (width // 4, 4 * width) if w >= 2 and family.capacity(w) * w >= len(cost)]
    for program in family.programs([(w, device, options) for w in around], pool):
        speed, results = measure(program)
        if _identical(results, reference):
            speeds[program.width] = speed
    return Tuned(options=options, lane_speed=speeds)


def _measure(
    program: Program, parameters: list[Any], leaves: list[np.ndarray], cost: np.ndarray
) -> tuple[float, list[np.ndarray]]:
    """Seconds per unit of cost of one batch, and the results."""
    width, m = program.width, len(cost)
    if width > m:
        leaves = [np.repeat(leaf, -(-width // m), axis=0)[:width] for leaf in leaves]
        kept = np.arange(m) * -(-width // m)
        kept = kept[kept < width]
    else:
        kept = np.arange(m)
    dearest = float(np.sum(np.maximum(cost[::width], 1e-300)))
    seconds: list[float] = []
    results: list[np.ndarray] = []
    while len(seconds) < 3 and sum(seconds) < 1.0:
        start = time.perf_counter()
        results = program(parameters, leaves)
        seconds.append(time.perf_counter() - start)
    return min(seconds) / dearest, [out[kept] for out in results]


def _identical(results: list[np.ndarray], reference: list[np.ndarray]) -> bool:
    return all(a.tobytes() == b[: len(a)].tobytes() for a, b in zip(results, reference, strict=True))
