"""How many lanes a batch should have, by measurement; a measured choice never changes a number.

A candidate is accepted only if it reproduces the results of the base program on the sample, bit for bit.
"""

import dataclasses
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._programs import quick_options
from ._family import Family, Program

_WORTH = 0.1  # measure if the work predicted takes at least this part of one compilation
_LONG = 300  # so many times that is work which repays a program that saves 2 %

Plan = dict[int, dict[str, Any]]  # options of the compiler for each width


@dataclasses.dataclass(frozen=True)
class Tuned:
    """Widths that may be used: options of the compiler for each, and its seconds per unit of cost of one batch."""

    options: Plan
    lane_speed: dict[int, float]


def untuned(width: int, options: dict[str, Any]) -> Tuned:
    """One width, nothing measured."""
    return Tuned(options={width: options}, lane_speed={width: 1.0})


def is_worth(program: Program, seconds: float) -> bool:
    """True if `seconds` of work justify compiling the candidates."""
    return seconds > _WORTH * program.compile_seconds


def tune(
    family: Family,
    parameters: list[Any],
    base: Program,
    leaves: Sequence[np.ndarray],
    cost: np.ndarray,
    seconds: float,
    pool: Any,
) -> Tuned:
    """Measure a few programs beside the base on the sampled members; `pool` compiles them side by side.

    `seconds` of work are left. Wider batches bring a tenth to a third; a narrower one, for members whose costs differ
    much, brings little, and is tried if there is much to do.
    """
    order = np.argsort(-cost, kind="stable")
    leaves, cost = [leaf[order] for leaf in leaves], cost[order]
    candidates = [2 * base.width, 4 * base.width]
    if seconds >= _LONG * _WORTH * base.compile_seconds:
        candidates.append(base.width // 4)
    widths = [w for w in candidates if w >= 2 and family.capacity(w) * w >= len(cost)]
    reference = _run(base, parameters, leaves)
    for options in _variants(base.device):
        programs = family.programs([(w, base.device, options) for w in widths], pool)
        same = [p for p in programs if all(map(_identical, _run(p, parameters, leaves), reference))]
        if same:
            plan: Plan = {base.width: {}} | {p.width: options for p in same}
            return Tuned(options=plan, lane_speed=_speeds([base, *same], parameters, leaves, cost))
    return untuned(base.width, {})


def _variants(device: Any) -> list[dict[str, Any]]:
    quick = quick_options({device.platform})
    return [quick, {}] if quick else [{}]


def _speeds(
    programs: list[Program], parameters: list[Any], leaves: list[np.ndarray], cost: np.ndarray
) -> dict[int, float]:
    """Seconds per unit of cost of one batch, for each width; the programs take turns, the best turn of each counts."""
    seconds: dict[int, list[float]] = {program.width: [] for program in programs}
    start = time.perf_counter()
    for turn in range(20):
        for program in programs:
            before = time.perf_counter()
            _run(program, parameters, leaves)
            seconds[program.width].append(time.perf_counter() - before)
        if time.perf_counter() - start > (2.0 if turn < 4 else 0.2):
            break
    dearest = {width: float(np.sum(np.maximum(cost[::width], 1e-300))) for width in seconds}
    return {width: min(times) / dearest[width] for width, times in seconds.items()}


def _run(program: Program, parameters: list[Any], leaves: list[np.ndarray]) -> list[np.ndarray]:
    """The results of the sampled members, in as many full batches as they fill, but at least one."""
    m = leaves[0].shape[0]
    copies = max(1, program.width // m)
    results = program(parameters, [np.tile(leaf, (copies,) + (1,) * (leaf.ndim - 1)) for leaf in leaves])
    return [out[:m] for out in results]


def _identical(a: np.ndarray, b: np.ndarray) -> bool:
    return a.tobytes() == b.tobytes()
