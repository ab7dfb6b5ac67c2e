"""The automatic preset: the method in use, nonstiff and stiff problems, derivatives."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import auto, integrate, nonstiff, Radau, stiff, Switching
from tests.problems import MORE, PROBLEMS, scaled_error

pytestmark = pytest.mark.usefixtures("backward_sweep")


@pytest.mark.parametrize(
    "name", ["VDPOL", *(pytest.param(n, marks=pytest.mark.slow) for n in ("ROBER", "OREGO", "HIRES"))]
)
def test_stiff_problems_in_about_the_steps_of_the_stiff_method(name):
    p = PROBLEMS[name]
    solve = lambda solver: integrate(
        p.field, p.y0, [0.0, p.end], solver=solver, rtol=1e-6, atol=1e-6 * p.atol, throw=False
    )
    found = solve(auto())
    assert found.succeeded
    assert scaled_error(p, found.state.y) < 1e-5
    assert found.stats["num_steps"] < 750  # nonstiff() takes 1e6 for these


def test_it_switches_at_tight_tolerances_too():
    field = lambda t, y, args: -1e4 * (y - jnp.cos(t)) - jnp.sin(t)
    found = integrate(field, jnp.asarray(1.0), [0.0, 20.0], solver=auto(), rtol=1e-9, atol=1e-9)
    assert found.stats["num_steps"] < 500


def test_nonstiff_problems_are_left_to_the_explicit_method():
    p = (PROBLEMS | MORE)["PLEIADES"]
    ends = [integrate(p.field, p.y0, [0.0, p.end], solver=s, rtol=1e-8, atol=1e-8) for s in (auto(), nonstiff())]
    assert ends[0].stats["num_steps"] == ends[1].stats["num_steps"]
    np.testing.assert_allclose(*(np.concatenate(jax.tree.leaves(e.state.y)) for e in ends), rtol=1e-9)


def relaxed(t, y, args):
    """Fast towards cos t while t < 5, then an oscillator that is not stiff; smooth in between."""
    rate = args / (1 + jnp.exp(10 * (t - 5)))
    return jnp.stack([-rate * (y[0] - jnp.cos(t)) - jnp.sin(t), y[2], -y[1]])


def test_it_switches_there_and_back():
    y0, ts = jnp.asarray([1.0, 1.0, 0.0]), jnp.linspace(0.0, 60.0, 61)
    rate = jnp.asarray(1e5)
    found = integrate(relaxed, y0, ts, args=rate, solver=auto(), rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(found.ys[:, 1:], np.stack([np.cos(ts), -np.sin(ts)], axis=1), atol=1e-5)
    np.testing.assert_allclose(found.ys[:, 0], np.cos(ts), atol=1e-5)
    saveat = diffrax.SaveAt(t1=True, solver_state=True)
    for end, implicit in ((4.0, True), (60.0, False)):
        term, controller = diffrax.ODETerm(relaxed), diffrax.PIDController(rtol=1e-7, atol=1e-9)
        last = diffrax.diffeqsolve(
            term, auto(), 0.0, end, None, y0, rate, saveat=saveat, stepsize_controller=controller, max_steps=10_000
        )
        state: Any = last.solver_state
        assert state.implicit == implicit


@pytest.mark.slow
def test_derivatives_in_both_modes():
    def end(rate):
        start = jnp.asarray([2.0, 1.0, 0.0])
        return integrate(relaxed, start, [0.0, 5.0], args=rate, solver=auto(), rtol=1e-9, atol=1e-11).state.y[0]

    def reference(rate):
        start = jnp.asarray([2.0, 1.0, 0.0])
        return integrate(relaxed, start, [0.0, 5.0], args=rate, solver=stiff(), rtol=1e-11, atol=1e-13).state.y[0]

    rate = jnp.asarray(5e2)
    every = jax.jit(lambda rate: (jax.jacfwd(reference)(rate), jax.jacfwd(end)(rate), jax.grad(end)(rate)))
    wanted, forward, reverse = every(rate)
    np.testing.assert_allclose((forward, reverse), wanted, rtol=1e-4, atol=1e-12)


def test_the_explicit_method_must_show_stiffness():
    with pytest.raises(ValueError, match="two stages at the end"):
        Switching(diffrax.Bosh3(), Radau(3))
