"""`integrate`: times, output, events, SDEs and CDEs, stalls, failures as values, bad input."""

import inspect
import re

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from kinax.physics import Motion, VanDerPol
from kinax.solvers import Forward, integrate, pad_times, RESULTS, stiff

decay = lambda t, y, rate: -rate * y


def test_saves_at_the_times_and_knows_where_it_ended():
    ts = [0.0, 0.5, 0.5, 2.0]  # replicates are allowed
    solution = integrate(decay, 2.0, ts, args=0.7, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(solution.ys, 2 * np.exp(-0.7 * np.array(ts)), rtol=1e-9)
    np.testing.assert_array_equal(solution.ts, ts)
    np.testing.assert_allclose(solution.state.t, 2.0)
    np.testing.assert_array_equal(solution.state.y, solution.ys[-1])
    late = integrate(decay, 2, [1.0, 2.0], t0=0, args=0.7, rtol=1e-10, atol=1e-12)  # integers are numbers
    np.testing.assert_allclose(late.ys, 2 * np.exp(-0.7 * np.array([1.0, 2.0])), rtol=1e-9)
    tight = integrate(decay, 2.0, ts, args=0.7)
    assert tight.stats["num_steps"] < solution.stats["num_steps"]


@pytest.mark.slow
def test_ragged_and_per_member_times_under_vmap_and_their_gradient():
    times = [[0.0, 1.0, 2.0], [0.5, 1.5], [0.0, 0.25, 0.5, 3.0]]
    padded = pad_times(times)

    def solve(rate, ts):
        solution = integrate(decay, 1.0, ts, args=rate, rtol=1e-9, atol=1e-9)
        return solution.ts, solution.ys

    rates = jnp.array([0.3, 1.0, 2.0])
    ts, ys = jax.vmap(solve)(rates, padded)
    for k, row in enumerate(times):
        expected = np.exp(-rates[k] * (np.array(row) - row[0]))
        np.testing.assert_allclose(ys[k, : len(row)], expected, rtol=1e-7)
        assert np.isnan(ts[k, len(row) :]).all() and np.isfinite(ys[k]).all()

    def masked_loss(rate, ts):
        ts, ys = solve(rate, ts)
        return jnp.sum(jnp.where(jnp.isfinite(ts), ys, 0.0))

    gradient = jax.grad(masked_loss)(jnp.asarray(1.0), padded[1])
    np.testing.assert_allclose(gradient, -np.exp(-1.0), rtol=1e-6)


def test_dense_output_inside_the_range_only():
    solution = integrate(decay, 1.0, [0.0, 3.0], args=1.0, rtol=1e-8, saveat=diffrax.SaveAt(dense=True), max_steps=256)
    np.testing.assert_allclose(solution.evaluate(1.234), np.exp(-1.234), rtol=1e-6)
    np.testing.assert_allclose(solution.state.y, np.exp(-3.0), rtol=1e-6)
    for t in (-0.1, 3.1):
        with pytest.raises(ValueError, match="outside the range"):
            solution.evaluate(t)
    with pytest.raises(ValueError, match="dense=True"):
        integrate(decay, 1.0, [0.0, 3.0], args=1.0).evaluate(1.0)


@pytest.mark.slow
def test_event_ends_the_solve_and_its_time_has_a_derivative():
    fall = lambda t, y, gravity: jnp.stack([y[1], -gravity])
    floor = diffrax.Event(lambda t, y, args, **kwargs: y[0], optx.Newton(1e-12, 1e-12))

    def landing(gravity, adjoint=None):
        y0 = jnp.array([2.0, 0.0])
        return integrate(fall, y0, [0.0, 0.5, 9.0], args=gravity, events=floor, rtol=1e-10, atol=1e-12, adjoint=adjoint)

    solution = landing(jnp.asarray(9.8))
    assert solution.result == RESULTS.event_occurred and bool(solution.event_mask)
    np.testing.assert_allclose(solution.state.t, np.sqrt(4 / 9.8), rtol=1e-9)
    np.testing.assert_allclose(solution.state.y, [0, -np.sqrt(4 * 9.8)], atol=1e-8)
    assert np.isinf(solution.ys[2]).all()
    slope = -0.5 * np.sqrt(4 / 9.8) / 9.8
    np.testing.assert_allclose(jax.grad(lambda g: landing(g).state.t)(9.8), slope, rtol=1e-8)
    np.testing.assert_allclose(jax.jacfwd(lambda g: landing(g, Forward()).state.t)(9.8), slope, rtol=1e-8)


def test_sdes_and_cdes_are_diffrax_objects():
    t1, sigma = 1.0, 0.3
    noise = diffrax.VirtualBrownianTree(0.0, t1, tol=1e-3, shape=(), key=jax.random.key(0))
    term = diffrax.MultiTerm(
        diffrax.ODETerm(lambda t, y, args: 0.1 * y), diffrax.ControlTerm(lambda t, y, args: sigma * y, noise)
    )
    constant = diffrax.ConstantStepSize()
    solution = integrate(term, 1.0, [0.0, t1], solver=diffrax.ItoMilstein(), dt0=1e-3, stepsize_controller=constant)
    exact = np.exp((0.1 - sigma**2 / 2) * t1 + sigma * np.asarray(noise.evaluate(0.0, t1)))
    np.testing.assert_allclose(solution.state.y, exact, rtol=5e-3)
    control = diffrax.LinearInterpolation(ts=jnp.linspace(0.0, 1.0, 11), ys=jnp.linspace(0.0, 1.0, 11) ** 2)
    driven = diffrax.ControlTerm(lambda t, y, args: y, control)
    solution = integrate(driven, 1.0, [0.0, 1.0], dt0=0.1, stepsize_controller=constant)
    np.testing.assert_allclose(solution.state.y, np.e, rtol=1e-4)


def test_a_solve_that_goes_nowhere_is_named():
    blow_up = integrate(lambda t, y, args: y**2, 1.0, [0.0, 2.0], throw=False)
    wall = integrate(lambda t, y, args: jnp.sqrt(0.5 - t) * y, 1.0, [0.0, 1.0], throw=False)
    for solution, time in ((blow_up, 1.0), (wall, 0.5)):
        assert solution.result == RESULTS.stalled
        assert solution.stats["num_steps"] < 3000
        np.testing.assert_allclose(solution.state.t, time, rtol=1e-6)
    with pytest.raises(RuntimeError, match="stalled"):
        integrate(lambda t, y, args: y**2, 1.0, [0.0, 2.0])
    few = integrate(decay, 1.0, [0.0, 1.0], args=1.0, max_steps=2, rtol=1e-10, throw=False)
    assert few.result == RESULTS.max_steps_reached


@pytest.mark.slow
def test_a_failure_reaches_whoever_differentiates():
    last = lambda y: integrate(lambda t, y, args: y**2, y, [0.0, 0.9]).ys[-1]
    with pytest.raises(RuntimeError, match="stalled"):
        jax.grad(last)(2.0)
    # compiled, the derivative alone has no value left to raise at: it is NaN
    slopes = jax.jit(jax.vmap(jax.grad(last)))(jnp.array([0.5, 0.6])), jax.jit(jax.grad(last))(2.0)
    np.testing.assert_allclose(slopes[0], 1 / (1 - np.array([0.5, 0.6]) * 0.9) ** 2, rtol=1e-5)
    assert np.isnan(slopes[1])


def test_a_trial_step_that_overflows_is_retried_shorter():
    field = lambda t, y, args: -jnp.exp(jnp.exp(y)) + jnp.e**jnp.e
    solution = integrate(field, 3.0, [0.0, 1.0], dt0=10.0)
    assert solution.result == RESULTS.successful and np.isfinite(solution.state.y)


def test_failed_members_are_flagged_and_not_contagious():
    def solve(y0, ts):
        return integrate(lambda t, y, args: y**2, y0, ts, throw=False, rtol=1e-8, atol=1e-8)

    good = jnp.array([0.0, 0.3, 0.9])
    times = jnp.stack([good, good, good[::-1], good, jnp.array([0.0, jnp.inf, 1.0])])
    solution = jax.vmap(solve)(jnp.array([0.5, 2.0, 0.5, jnp.nan, 0.5]), times)
    np.testing.assert_array_equal(solution.succeeded, [True, False, False, False, False])
    np.testing.assert_allclose(solution.ys[0], 0.5 / (1 - 0.5 * good), rtol=1e-6)
    codes = [RESULTS.stalled, RESULTS.invalid_input, RESULTS.invalid_input, RESULTS.invalid_input]
    for k, code in enumerate(codes, start=1):
        assert eqx.tree_equal(jax.tree.map(lambda r, k=k: r[k], solution.result), code)
    inside = eqx.filter_jit(lambda y: integrate(lambda t, y, args: y**2, y, [0.0, 0.9]))(jnp.asarray(2.0))
    assert np.isnan(inside.ys).all() and inside.result == RESULTS.stalled  # a program cannot raise


def test_dtypes_are_the_callers():
    for dtype in (jnp.float32, jnp.float64):
        y0 = {"a": jnp.asarray(1.0, dtype), "b": jnp.ones(2, dtype)}
        solution = integrate(
            lambda t, y, args: jax.tree.map(jnp.negative, y), y0, [0.0, 1.0], solver=stiff(), rtol=1e-4
        )
        assert {leaf.dtype for leaf in jax.tree.leaves((solution.ys, solution.ts))} == {jnp.dtype(dtype)}


def test_stiff_preset_in_float32():
    system = VanDerPol(mu=np.float32(100.0))
    y0 = Motion(q=np.float32(2.0), v=np.float32(0.0))
    solution = integrate(system, y0, [0.0, 200.0], solver=stiff(), rtol=1e-5)
    exact = integrate(VanDerPol(mu=100.0), Motion(q=2.0, v=0.0), [0.0, 200.0], solver=stiff(), rtol=1e-9, atol=1e-12)
    assert solution.result == RESULTS.successful  # the number of steps is decided by rounding: 666 to 3065 were seen
    np.testing.assert_allclose(solution.state.y.q, exact.state.y.q, rtol=1e-2)


def test_times_may_be_traced_one_by_one():
    end = jax.jacfwd(lambda t1: integrate(decay, 1.0, [0.0, t1], args=1.0, adjoint=Forward(), rtol=1e-9).ys[-1])
    np.testing.assert_allclose(end(2.0), -np.exp(-2.0), rtol=1e-6)
    single = integrate(lambda t, y, args: -y, jnp.float32(1.0), jnp.arange(3))
    assert single.ys.dtype == single.ts.dtype == jnp.float32


def test_jit_agrees_and_a_second_tolerance_compiles_nothing():
    ts = jnp.linspace(0.0, 1.0, 3)
    solve = lambda rate: integrate(decay, 1.0, ts, args=rate).ys
    np.testing.assert_allclose(jax.jit(solve)(0.5), solve(jnp.asarray(0.5)), rtol=1e-13)  # two programs, two roundings
    with jax.log_compiles(False), jax.transfer_guard("allow"):
        count = _traces(lambda: integrate(_counting, 1.0, ts, args=0.5, rtol=1e-5))
        assert count > 0 and _traces(lambda: integrate(_counting, 1.0, ts, args=0.5, rtol=1e-7)) == 0


_calls = [0]


def _counting(t, y, rate):
    _calls[0] += 1
    return -rate * y


def _traces(run):
    before = _calls[0]
    run()
    return _calls[0] - before


ONE = lambda t, y, args: y
BAD = {
    "ts must not decrease, but ts[1] = 2.0 > ts[2] = 1.0": dict(ts=[0.0, 2.0, 1.0]),
    "ts[0] = 0.0 lies before t0 = 0.5": dict(t0=0.5),
    "must be finite": dict(ts=[0.0, np.inf]),
    "NaN before a number": dict(ts=[0.0, np.nan, 1.0]),
    "must be a 1-D array": dict(ts=[[0.0, 1.0]]),
    "One time is no interval": dict(ts=[1.0]),
    "y0['x'] holds 1 NaN": dict(y0={"x": np.array([1.0, np.nan])}),
    "y0['x'] must be a float array": dict(y0={"x": "text"}),
    "vector_field(t, y, args) is float64[3] instead of float64[2]": dict(field=lambda t, y, args: jnp.ones(3)),
    "unexpected vector_field(t, y, args)[0]": dict(field=lambda t, y, args: (y,)),
    "float32[2] instead of float64[2]": dict(field=lambda t, y, args: y.astype(jnp.float32)),
    "must be a function": dict(field=1.0),
    "Tolerances must be positive": dict(rtol=-1.0),
    "Tolerances must be positive, not rtol = nan": dict(rtol=np.nan),
    "dt0 must be positive": dict(dt0=-0.1),
    "max_steps must be a positive integer": dict(max_steps=0),
    "Euler estimates no error": dict(solver=diffrax.Euler()),
    "needs the step: pass dt0=": dict(solver=diffrax.Euler(), stepsize_controller=diffrax.ConstantStepSize()),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_names_the_thing_and_the_cure(message):
    arguments = dict(field=ONE, y0=np.ones(2), ts=[0.0, 1.0]) | BAD[message]
    field, y0, ts = (arguments.pop(name) for name in ("field", "y0", "ts"))
    with pytest.raises(ValueError, match=re.escape(message)):
        inspect.unwrap(integrate)(field, y0, ts, **arguments)
    if message.startswith("ts must"):
        with pytest.raises(ValueError, match="at least one member"):
            pad_times([])


def test_a_field_that_is_not_finite_is_named_with_its_time():
    def field(t, y, args):
        return {"a": -y["a"], "b": jnp.stack([y["a"], jnp.where(t > 0.75, jnp.nan, 1.0)])}

    start = {"a": jnp.asarray(1.0), "b": jnp.zeros(2)}
    with pytest.raises(RuntimeError, match=r"derivative of y\['b'\]\[1\] at t = 0\.7[45]"):
        integrate(field, start, [0.0, 2.0])
    assert integrate(field, start, [0.0, 2.0], throw=False).result == RESULTS.stalled
    with pytest.raises(RuntimeError, match="stalled"):  # this one is finite wherever it gets
        integrate(lambda t, y, args: y**2, jnp.asarray(1.0), [0.0, 2.0])
