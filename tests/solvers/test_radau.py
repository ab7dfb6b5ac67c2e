"""Radau IIA methods: coefficients, order, stiff problems with reference solutions, derivatives, dense output."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import FixedStep, integrate, MassTerm, Radau, RESULTS, stiff, TimeState
from tests.problems import MORE, Problem, PROBLEMS, scaled_error

pytestmark = pytest.mark.usefixtures("backward_sweep")

# The orbit magnifies errors 10^5 times. Robertson's slow mode is a difference of fast terms, which compiled code does
# not round alike for the species that exchange. The ring modulator's reference is known to 3e-10 only.
LARGER = {
    ("ARENSTORF", 1e-6): 1e-4,
    ("ARENSTORF", 1e-12): 1e-9,
    ("ROBER", 1e-12): 2e-9,
    ("RINGMOD", 1e-12): 1e-9,
}


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.slow if n == "RINGMOD" else ()) for n in PROBLEMS | MORE]
)
def test_every_problem_is_solved_to_its_tolerance(name):
    p: Problem = (PROBLEMS | MORE)[name]

    @jax.jit
    def solve(rtol):
        return integrate(
            p.field, p.y0, [0.0, p.end], solver=stiff(), rtol=rtol, atol=rtol * p.atol, throw=False, max_steps=2_000_000
        )

    for rtol in (1e-6, 1e-9, 1e-12):
        found = solve(rtol)
        assert found.result == RESULTS.successful
        assert scaled_error(p, found.state.y) <= LARGER.get((name, rtol), 10 * rtol), rtol


@pytest.mark.parametrize("stages", [3, 5])
def test_order(stages):
    solver = Radau(stages)
    field = lambda t, y, args: jnp.stack([y[1], (1 - y[0] ** 2) * y[1] - y[0] + jnp.sin(t)])
    y0 = jnp.asarray([1.0, 0.5])
    exact = integrate(field, y0, [0.0, 1.0], rtol=1e-13, atol=1e-13, solver=diffrax.Dopri8()).state.y

    @jax.jit
    def end(n):
        step = FixedStep(field, 1 / jnp.asarray(n, float), solver)
        return jax.lax.fori_loop(0, n, lambda _, s: step(s), TimeState(t=jnp.asarray(0.0), y=y0)).y

    counts = {3: (4, 8, 16), 5: (2, 3, 4)}[stages]
    errors = [float(jnp.max(jnp.abs(end(n) - exact))) for n in counts]
    order = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert 2 * stages - 1.5 < order < 2 * stages + 0.5


def test_stiff_decay_is_damped_and_does_not_disturb():
    # Prothero and Robinson: the solution is cos t, whatever the rate
    field = lambda t, y, rate: -rate * (y - jnp.cos(t)) - jnp.sin(t)
    for rate in (1e3, 1e6, 1e9):
        found = integrate(field, jnp.asarray(1.0), [0.0, 3.0], args=jnp.asarray(rate), solver=stiff(), rtol=1e-8)
        np.testing.assert_allclose(found.state.y, np.cos(3.0), rtol=1e-8)
        assert found.stats["num_steps"] < 60


def chemistry(t, y, rates):
    fast = rates[0] * y[0] - rates[1] * y[1] * y[0]
    return jnp.stack([-fast, fast - rates[2] * y[1]])


def test_derivatives_in_both_modes_and_under_vmap():
    rates, y0 = jnp.asarray([4e3, 2e3, 0.7]), jnp.asarray([1.0, 0.1])

    def end(rates, y0):
        return integrate(chemistry, y0, [0.0, 2.0], args=rates, solver=stiff(), rtol=1e-10, atol=1e-12).state.y

    slopes = jax.jit(jax.jacfwd(end, argnums=(0, 1)))
    forward, at_twice = slopes(rates, y0), slopes(2 * rates, y0)
    reverse = jax.jit(jax.vmap(jax.jacrev(end, argnums=(0, 1)), in_axes=(0, None)))(np.outer([1.0, 2.0], rates), y0)
    at = jax.jit(end)
    for argument in (0, 1):
        x = np.asarray((rates, y0)[argument])
        for k in range(len(x)):
            push = 1e-4 * x[k] * np.eye(len(x))[k]
            above, below = (at(x + h, y0) if argument == 0 else at(rates, x + h) for h in (push, -push))
            numeric = np.subtract(above, below) / (2e-4 * x[k])
            np.testing.assert_allclose(forward[argument][:, k], numeric, rtol=1e-5, atol=1e-9)
        np.testing.assert_allclose(forward[argument], reverse[argument][0], rtol=1e-8, atol=1e-14)
        np.testing.assert_allclose(at_twice[argument], reverse[argument][1], rtol=1e-8, atol=1e-14)


def test_dense_output_is_the_collocation_polynomial():
    field = lambda t, y, args: jnp.stack([-50 * (y[0] - jnp.cos(t)), y[0] - y[1]])
    ts = jnp.linspace(0.0, 2.0, 41)
    saved = integrate(field, jnp.asarray([0.0, 1.0]), ts, solver=stiff(), rtol=1e-9)
    exact = integrate(field, jnp.asarray([0.0, 1.0]), ts, solver=diffrax.Dopri8(), rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(saved.ys, exact.ys, rtol=0, atol=1e-7)


def test_between_steps_the_error_is_that_of_the_tolerance():
    # the steps are long where the solution is slow: their ends are right whatever the polynomial does between them
    field = lambda t, y, args: -1e4 * (y - jnp.cos(t)) - jnp.sin(t)
    ts = jnp.linspace(0.0, 20.0, 41)
    for rtol in (1e-6, 1e-9):
        found = integrate(field, jnp.asarray(1.0), ts, solver=stiff(), rtol=rtol, atol=rtol)
        np.testing.assert_allclose(found.ys, np.cos(ts), rtol=0, atol=10 * rtol)


def test_float32():
    p = PROBLEMS["HIRES"]
    y0 = jnp.asarray(p.y0, jnp.float32)
    found = integrate(p.field, y0, [0.0, p.end], solver=stiff(), rtol=1e-4, atol=1e-8)
    assert found.state.y.dtype == jnp.float32
    assert scaled_error(p, found.state.y) < 1e-2


def test_a_field_that_is_not_finite_ends_the_solve():
    field = lambda t, y, args: jnp.where(t > 1, jnp.nan, -y)
    found = integrate(field, jnp.asarray([1.0]), [0.0, 2.0], solver=stiff(), throw=False)
    assert found.result != RESULTS.successful
    np.testing.assert_allclose(found.state.t, 1.0, rtol=1e-3)


def test_a_component_without_a_tolerance():
    # it starts at zero, and atol = 0 leaves it no unit
    field = lambda t, y, args: jnp.stack([-y[0], 1e4 * (y[0] - y[1])])
    found = integrate(field, jnp.asarray([1.0, 0.0]), [0.0, 1.0], solver=stiff(), rtol=1e-8, atol=0.0, dt0=1e-6)
    np.testing.assert_allclose(found.state.y, np.exp(-1.0) * np.array([1, 1 / (1 - 1e-4)]), rtol=1e-7)


def test_backwards_in_time_with_diffrax():
    field = lambda t, y, args: -2 * t * y
    controller = diffrax.PIDController(rtol=1e-9, atol=1e-9)
    for term in (diffrax.ODETerm(field), MassTerm(lambda t, y, args: 2 * field(t, y, args), 2.0)):
        found = diffrax.diffeqsolve(term, Radau(), 1.0, 0.0, None, jnp.exp(-1.0), stepsize_controller=controller)
        np.testing.assert_allclose(jax.tree.leaves(found.ys)[0], [1.0], rtol=1e-8)


def test_what_it_is_not_for_is_refused():
    with pytest.raises(ValueError, match="split it into real and imaginary"):
        Radau().init(diffrax.ODETerm(lambda t, y, args: 1j * y), 0.0, 1.0, jnp.asarray([1 + 0j]), None)
    noise = diffrax.UnsafeBrownianPath(shape=(2,), key=jax.random.key(0))
    term = diffrax.ControlTerm(lambda t, y, args: jnp.eye(2), noise)
    with pytest.raises(ValueError, match="not stochastic"):
        Radau().init(term, 0.0, 1.0, jnp.zeros(2), None)


def test_stages_are_odd():
    with pytest.raises(ValueError, match="odd number of stages"):
        Radau(4)
