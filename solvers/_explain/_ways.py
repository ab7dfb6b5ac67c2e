"""The ways to differentiate a function, with what each will cost; nothing is compiled to find out."""

import dataclasses
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree

from ._cost import CompileTime, memory, operations, output_bytes, work


@dataclasses.dataclass(frozen=True)
class Way:
    """One way to get a derivative.

    - `name`: what of, and how: `Jacobian, forward`.
    - `run_time`: in units of one simulation, `memory` [bytes], `compile_time` [s]: predicted; NaN if not available.
    - `operations`: in the lowered program.
    - `is_chosen`: whether this is the one that will be used, or should be.
    - `remark`: why it is not available, if it is not.
    """

    name: str
    run_time: float
    memory: float
    compile_time: float
    operations: int = 0
    is_chosen: bool = False
    remark: str = ""

    @property
    def is_available(self) -> bool:
        """Whether the function can be differentiated so."""
        return math.isfinite(self.run_time)


class Prediction(NamedTuple):
    """The form of a program, and what follows from it."""

    lowered: jax.stages.Lowered
    work: float
    memory: int
    operations: int


def predict(fn: Callable[[PyTree, Array], Any], subject: PyTree, z: Float[Array, " p"]) -> Prediction:
    """Trace and lower `fn(subject, z)`, with the arrays of `subject` as inputs, not compiled in."""
    arrays, rest = eqx.partition(subject, eqx.is_array)
    traced = jax.jit(lambda arrays, z: fn(eqx.combine(arrays, rest), z)).trace(arrays, z)
    lowered = traced.lower()
    jaxpr = traced.jaxpr.jaxpr
    return Prediction(lowered, work(jaxpr), max(memory(jaxpr), output_bytes(jaxpr)), operations(lowered))


def way(
    name: str,
    fn: Callable[[PyTree, Array], Any],
    subject: PyTree,
    z: Float[Array, " p"],
    scale: tuple[float, CompileTime],
) -> Way:
    """The way `fn(subject, z)` with its cost; `scale` is the work of the simulation, and the time to compile."""
    simulation, compile_time = scale
    try:
        found = predict(fn, subject, z)
    except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:  # as libraries refuse a mode
        return refused(name, str(error).strip().splitlines()[0])
    return Way(
        name=name,
        run_time=found.work / simulation,
        memory=float(found.memory),
        compile_time=compile_time(found.operations),
        operations=found.operations,
    )


def refused(name: str, reason: str) -> Way:
    """A way that is not available."""
    return Way(name, math.nan, math.nan, math.nan, remark=f"not available: {reason}")


def cheapest(ways: list[Way]) -> Way | None:
    """The available way of the shortest run time."""
    return min((way for way in ways if way.is_available), key=lambda way: way.run_time, default=None)


class Simulation(NamedTuple):
    """One evaluation, compiled and timed."""

    seconds: float
    memory: float
    operations: int
    work: float


def simulate(fn: Callable[[PyTree, Array], Any], subject: PyTree, z: Float[Array, " p"]) -> Simulation:
    """Compile `fn(subject, z)` and time it: the best of three, or one if it takes long."""
    found = predict(fn, subject, z)
    compiled = found.lowered.compile()
    arrays = eqx.filter(subject, eqx.is_array)
    seconds = math.inf
    for _ in range(4):  # the first also warms up
        start = time.perf_counter()
        jax.block_until_ready(compiled(arrays, z))
        seconds = min(seconds, time.perf_counter() - start)
        if seconds > 0.5:
            break
    analysis = compiled.memory_analysis()  # not every backend has one
    used = found.memory if analysis is None else analysis.temp_size_in_bytes + analysis.output_size_in_bytes
    return Simulation(seconds=seconds, memory=float(used), operations=found.operations, work=found.work)
