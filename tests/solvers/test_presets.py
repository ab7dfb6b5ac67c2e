"""diffrax's implicit methods with the repaired root finder beside Newton's method."""

import diffrax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from kinax.solvers import integrate, StepwiseChord
from tests.problems import PROBLEMS, scaled_error

KVAERNO5 = diffrax.Kvaerno5(root_finder=diffrax.with_stepsize_controller_tols(StepwiseChord)())


@pytest.mark.parametrize(
    "name", ["OREGO", *(pytest.param(n, marks=pytest.mark.slow) for n in PROBLEMS if n != "OREGO")]
)
def test_the_repaired_root_finder_takes_no_more_steps_than_newton(name):
    p = PROBLEMS[name]
    newton = diffrax.Kvaerno5(root_finder=diffrax.with_stepsize_controller_tols(optx.Newton)())
    for rtol in (1e-6, 1e-9):
        solve = lambda solver, rtol=rtol: integrate(
            p.field, p.y0, [0.0, p.end], solver=solver, rtol=rtol, atol=rtol * p.atol
        )
        solution, peer = solve(KVAERNO5), solve(newton)
        assert scaled_error(p, solution.state.y) <= 100 * rtol
        assert solution.stats["num_steps"] <= 1.1 * peer.stats["num_steps"]


def test_implicit_explicit_method_with_the_repaired_root_finder():
    # IMEX methods are hit hardest by diffrax's default: here it takes 10 326 steps.
    explicit = diffrax.ODETerm(lambda t, y, args: jnp.stack([y[1], -y[0], 0 * y[2]]))
    implicit = diffrax.ODETerm(lambda t, y, args: jnp.stack([0 * y[0], 0 * y[1], -1e4 * (y[2] - y[0])]))
    solution, peer = (
        integrate(
            diffrax.MultiTerm(explicit, implicit),
            np.array([1.0, 0.0, 1.0]),
            [0.0, 3.0],
            solver=diffrax.KenCarp4(root_finder=diffrax.with_stepsize_controller_tols(finder)()),
            rtol=1e-7,
            atol=1e-7,
        )
        for finder in (StepwiseChord, optx.Newton)
    )
    np.testing.assert_allclose(solution.state.y[:2], [np.cos(3), -np.sin(3)], atol=1e-6)
    np.testing.assert_allclose(solution.state.y[2], np.cos(3), atol=2e-4)  # it follows the first with a lag of 1e-4
    assert solution.stats["num_steps"] <= 1.1 * peer.stats["num_steps"]
