"""The stiff preset on four problems of Hairer and Wanner: what a scaled error of 1e-9 costs; compilation.

Every solver runs at tolerances from 1e-4 to 1e-12; steps and seconds at the error asked for are interpolated on the
lower envelope of (error, cost), both logarithmic; docs/images/stiff.png shows all. SciPy's solvers get the same JAX
functions, compiled beforehand.
"""

import pathlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optimistix as optx
from jax.flatten_util import ravel_pytree
from kinax.solvers import integrate, stiff
from scipy.integrate import solve_ivp
from tests.problems import Problem, PROBLEMS, scaled_error

from ._measure import case

TOLERANCES = 10.0 ** -np.arange(4, 12.51, 0.5)
SCIPY_TOLERANCES = 10.0 ** -np.arange(5, 12.01, 1.0)
GOAL = 1e-9
IMAGE = pathlib.Path(__file__).parents[1] / "docs" / "images" / "stiff.png"
Run = Callable[[float], tuple[float, int, float]]  # a tolerance -> error, steps, seconds


def kvaerno5() -> diffrax.AbstractSolver:
    """diffrax's best stiff solver, with a root finder that works."""
    return diffrax.Kvaerno5(root_finder=diffrax.with_stepsize_controller_tols(optx.Newton)())


def compiled(p: Problem, solver: diffrax.AbstractSolver) -> Run:
    """One of diffrax's solvers."""

    @jax.jit
    def solve(rtol):
        return integrate(p.field, p.y0, [0.0, p.end], solver=solver, rtol=rtol, atol=rtol * p.atol, throw=False)

    def run(rtol: float) -> tuple[float, int, float]:
        solution = jax.block_until_ready(solve(rtol))
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            jax.block_until_ready(solve(rtol).ys)
            times.append(time.perf_counter() - begin)
        return scaled_error(p, solution.state.y), int(solution.stats["num_steps"]), statistics.median(times)

    return run


def scipy(p: Problem, method: str) -> Run:
    """One of SciPy's, with compiled functions."""
    y0, unravel = ravel_pytree(jax.tree.map(jnp.asarray, p.y0))
    field = jax.jit(lambda t, y: ravel_pytree(p.field(t, unravel(y), None))[0])
    jacobian = jax.jit(jax.jacfwd(field, argnums=1))
    numbers = lambda fn: lambda t, y: np.asarray(fn(t, y))

    def run(rtol: float) -> tuple[float, int, float]:
        jax.block_until_ready((field(0.0, y0), jacobian(0.0, y0)))
        begin = time.perf_counter()
        found = solve_ivp(
            numbers(field),
            (0.0, p.end),
            np.asarray(y0),
            method=method,
            rtol=rtol,
            atol=rtol * p.atol,
            jac=numbers(jacobian),
        )
        took = time.perf_counter() - begin
        error = scaled_error(p, found.y[:, -1]) if found.success else float("inf")
        return error, len(found.t) - 1, took

    return run


def at_goal(points: list[tuple[float, int, float]]) -> tuple[float, float]:
    """Steps and seconds at the goal; NaN if it was not reached."""
    known = sorted(point for point in points if np.isfinite(point[0]) and point[0] > 0)
    steps, seconds = (_interpolated([(p[0], p[k]) for p in known]) for k in (1, 2))
    return steps, seconds


def _interpolated(points: list[tuple[float, float]]) -> float:
    """On the lower envelope: each error at the least cost that reaches it."""
    errors = np.log([error for error, _ in points])
    costs = np.log(np.minimum.accumulate([cost for _, cost in points]))
    if not len(points) or errors[0] > np.log(GOAL) or errors[-1] < np.log(GOAL):
        return float("nan")
    return float(np.exp(np.interp(np.log(GOAL), errors, costs)))


def compile_seconds(p: Problem, solver: diffrax.AbstractSolver, *, gradient: bool) -> float:
    """To trace, lower and compile a solve, or its gradient by the initial state."""

    def last(y0):
        solution = integrate(p.field, y0, [0.0, p.end], solver=solver, rtol=1e-6, atol=1e-6 * p.atol, throw=False)
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(solution.state.y))

    jax.clear_caches()
    y0 = jax.tree.map(lambda x: jnp.asarray(x, float), p.y0)
    begin = time.perf_counter()
    jax.jit(jax.grad(last) if gradient else last).lower(y0).compile()
    return time.perf_counter() - begin


def run() -> list[dict[str, Any]]:
    """All cases, and the picture."""
    rows, measured = [], {}
    for name, p in PROBLEMS.items():
        sides = {"kinax": compiled(p, stiff()), "kvaerno5": compiled(p, kvaerno5())}
        points = {side: [run(rtol) for rtol in TOLERANCES] for side, run in sides.items()}
        for method in ("Radau", "BDF", "LSODA"):
            points[f"scipy-{method.lower()}"] = [scipy(p, method)(rtol) for rtol in SCIPY_TOLERANCES]
        measured[name] = points
        found = {side: at_goal(known) for side, known in points.items()}
        for k, metric in enumerate(("steps", "seconds")):
            peers = {side: costs[k] for side, costs in found.items() if side != "kinax"}
            rows.append(case(f"{name} to 1e-9 {metric}", metric, found["kinax"][k], peers))
        for kind in ("forward", "gradient"):
            took = {
                side: statistics.median(compile_seconds(p, solver, gradient=kind == "gradient") for _ in range(3))
                for side, solver in (("kinax", stiff()), ("kvaerno5", kvaerno5()))
            }
            rows.append(case(f"{name} compile {kind}", "seconds", took.pop("kinax"), took))
    draw(measured)
    return rows


def draw(measured: dict[str, dict[str, list[tuple[float, int, float]]]]) -> None:
    """Work against precision: what each tolerance cost, and the error at the end."""
    figure, axes = plt.subplots(2, len(measured), figsize=(12, 5.6), sharex=True, sharey="row", layout="constrained")
    colors = dict(zip(next(iter(measured.values())), ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "0.6"), strict=True))
    for column, (name, points) in zip(axes.T, measured.items(), strict=True):
        for side, color in colors.items():
            known = np.array([p for p in points[side] if np.isfinite(p[0]) and p[0] > 0]).T
            width = 2.2 if side == "kinax" else 1.2
            for row, panel in enumerate(column):
                panel.plot(known[0], known[row + 1], "o-", color=color, lw=width, ms=3, label=side)
        column[0].set(title=name, xscale="log", yscale="log", xlim=(3e-3, 1e-13))
        column[1].set(xlabel="scaled error", yscale="log")
    axes[0, 0].set(ylabel="steps")
    axes[1, 0].set(ylabel="seconds")
    axes[0, 0].legend(frameon=False, fontsize=8)
    for panel in axes.ravel():
        panel.spines[["top", "right"]].set_visible(False)
    figure.savefig(IMAGE, dpi=120)
    plt.close(figure)
