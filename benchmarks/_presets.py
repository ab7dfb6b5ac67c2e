"""The stiff preset on four Hairer-Wanner problems: steps, errors, time."""

from typing import Any

import diffrax
import optimistix as optx
from kinax.solvers import integrate, stiff
from tests.problems import PROBLEMS, scaled_error

from ._measure import case, seconds


def solve(name: str, rtol: float, solver: diffrax.AbstractSolver) -> tuple[float, int, Any]:
    """The scaled error at the end, the number of steps, and the run itself, to be timed."""
    p = PROBLEMS[name]
    run = lambda: integrate(p.field, p.y0, [0.0, p.end], solver=solver, rtol=rtol, atol=rtol * p.atol)
    solution = run()
    return scaled_error(p, solution.state.y), int(solution.stats["num_steps"]), lambda: run().ys


def run() -> list[dict[str, Any]]:
    """All cases."""
    newton = diffrax.Kvaerno5(root_finder=diffrax.with_stepsize_controller_tols(optx.Newton)())
    rows = []
    for name in PROBLEMS:
        for rtol in (1e-6, 1e-9):
            error, steps, ours = solve(name, rtol, stiff())
            newton_error, newton_steps, theirs = solve(name, rtol, newton)
            times = seconds({"kinax": ours, "newton": theirs}, repeats=7)
            title = f"{name} rtol {rtol:g}"
            rows.append(
                case(
                    title + " steps",
                    "steps",
                    steps,
                    {"Kvaerno5 with Newton": newton_steps},
                    error=error,
                    newton=newton_error,
                )
            )
            rows.append(case(title + " seconds", "seconds", times["kinax"], {"Kvaerno5 with Newton": times["newton"]}))
    return rows
