"""What a program will cost, from its form: run time and memory from the jaxpr, compile time from the lowered module."""

import math
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import ClosedJaxpr, Jaxpr, Var

from .._programs import programs_in

_TRIPS = 30  # of a `while` loop, whose number of iterations is not known before it runs
_INNER_TRIPS = 3  # of one inside another: a treeverse, a root finder
_OVERHEAD = 10  # of an operation, in floating-point operations
_NOT_FUSED = (
    "dot_general",
    "conv",
    "sort",
    "scatter",
    "gather",
    "cumsum",
    "fft",
    "lu",
    "cholesky",
    "eigh",
    "svd",
    "qr",
)


def operations(lowered: jax.stages.Lowered) -> int:
    """How many operations there are in the lowered program, those inside loops counted once."""

    def count(operation: Any) -> int:
        inner = (child for region in operation.regions for block in region.blocks for child in block.operations)
        return 1 + sum(map(count, inner))

    return count(lowered.compiler_ir().operation)  # pyright: ignore[reportOptionalMemberAccess]


class CompileTime(NamedTuple):
    """The time to compile a program of so many operations, in seconds: `base + slope * operations`."""

    base: float
    slope: float

    def __call__(self, operations: int) -> float:
        return self.base + self.slope * operations


def measured_compile_time() -> CompileTime:
    """As two small programs take it here and now; it depends on the machine and on what else runs there."""
    (few, short), (many, long) = _compile_loops(4), _compile_loops(16)
    slope = max(long - short, 0.2 * long) / (many - few)
    return CompileTime(base=max(short - slope * few, 0.0), slope=slope)


def _compile_loops(count: int) -> tuple[int, float]:
    # loops over vectors, which most simulations are made of
    salt = np.random.default_rng().uniform()  # a constant not seen before: no cache of compiled programs has this one

    def program(x):
        for k in range(count):
            step = lambda y, _, k=k: (jnp.where(jnp.sum(y) > k, jnp.sin(y) * y, y / (1 + y * y)), None)
            x = jax.lax.scan(step, x + salt, length=3)[0]
        return x

    lowered = jax.jit(program).lower(jnp.ones(1000))
    start = time.perf_counter()
    lowered.compile()
    return operations(lowered), time.perf_counter() - start


def work(jaxpr: Jaxpr, depth: int = 0) -> float:
    """About how long the program runs, in arbitrary units: of use in ratios.

    The sizes of the results of all operations, and something for each; loops count as often as they run. How often a
    `while` loop runs is not known: the guess cancels in the ratio of a derivative to its simulation.
    """
    total = 0.0
    for equation in jaxpr.eqns:
        inner, name = list(_inner(equation)), equation.primitive.name
        if name == "cond":
            total += max(work(each, depth) for each in inner)
        elif name == "while":
            total += (_INNER_TRIPS if depth else _TRIPS) * sum(work(each, depth + 1) for each in inner)
        elif inner:
            length = equation.params["length"] if name == "scan" else 1
            total += length * sum(work(each, depth) for each in inner)
        else:
            total += _OVERHEAD + max(map(_count, equation.outvars), default=0)
    return total


def memory(jaxpr: Jaxpr) -> int:
    """About how many bytes the program needs beside its inputs: what is alive at once, at the worst moment.

    What is used once, right where it is made, is counted as fused and takes no memory; loops update what they carry
    in place.
    """
    uses: dict[Var, list[int]] = {}
    for number, equation in enumerate(jaxpr.eqns):
        for var in _uses(equation):
            uses.setdefault(var, []).append(number)
    for var in jaxpr.outvars:
        if isinstance(var, Var):
            uses.setdefault(var, []).append(len(jaxpr.eqns))
    held: dict[Var, int] = {}
    live = worst = 0
    for number, equation in enumerate(jaxpr.eqns):
        dying = [v for v in _uses(equation) if v in held and uses[v][-1] == number]
        fused = _is_fused(equation)
        made = {v: 0 if fused and len(uses.get(v, [])) <= 1 else _bytes(v) for v in equation.outvars}
        new = sum(made.values())
        freed = sum(held.pop(v) for v in dying)
        in_place = min(new, freed) if _is_in_place(equation) else 0
        inner = max(map(memory, _inner(equation)), default=0)
        worst = max(worst, live + new - in_place + inner)
        live += new - freed
        held |= {v: size for v, size in made.items() if v in uses}
        live -= sum(size for v, size in made.items() if v not in uses)
    return worst


def output_bytes(jaxpr: Jaxpr) -> int:
    """The size of what the program returns."""
    return sum(map(_bytes, jaxpr.outvars))


def _uses(equation: Any) -> set[Var]:
    """The variables that an equation reads."""
    return {v for v in equation.invars if isinstance(v, Var)}


def _is_fused(equation: Any) -> bool:
    return not equation.primitive.name.startswith(_NOT_FUSED) and not any(_inner(equation))


def _is_in_place(equation: Any) -> bool:
    return equation.primitive.name in ("scan", "while", "dynamic_update_slice") or "scatter" in equation.primitive.name


def _inner(equation: Any) -> Iterator[Jaxpr]:
    return (one.jaxpr if isinstance(one, ClosedJaxpr) else one for one in programs_in(equation))


def _bytes(var: Any) -> int:
    return _count(var) * getattr(getattr(var.aval, "dtype", None), "itemsize", 8)


def _count(var: Any) -> int:
    return math.prod(getattr(var.aval, "shape", ()))
