"""Gradients of solves by few numbers, which are computed in forward mode; and the loop of a solve."""

from typing import Any

import diffrax
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import Checkpointed, Crossing, fit, hybrid, integrate, Parameter, stiff
from kinax.solvers._diffeqsolve import floats_before

TS = jnp.linspace(0.0, 2.0, 5)


def rotated(t, y, args):
    """A rotation that decays; some of the numbers are integers, and one is of the other precision."""
    rate, turn, order = args
    return -rate * y + turn.astype(y.dtype) * order.astype(y.dtype) * jnp.stack([y[1], -y[0]])


def end(rate, turn, y0, adjoint=None, solver=None):
    args = rate, turn, jnp.asarray(2)
    return integrate(rotated, y0, TS, args=args, rtol=1e-9, atol=1e-9, adjoint=adjoint, solver=solver).ys[-1]


POINT = jnp.asarray(0.3), jnp.asarray(0.7, jnp.float32), jnp.array([1.0, 0.5])


@pytest.mark.parametrize("solver", [None, pytest.param(stiff(), marks=pytest.mark.slow)], ids=["nonstiff", "stiff"])
def test_they_are_those_of_a_sweep_backward(solver):
    def of(adjoint):
        total = lambda rate, turn, y0: end(rate, turn, y0, adjoint, solver) @ jnp.array([1.0, 2.0])
        gradient = jax.grad(total, argnums=(0, 1, 2))
        batched = jax.vmap(gradient, in_axes=(0, None, 0))
        rates, starts = jnp.array([0.3, 0.6]), jnp.array([[1.0, 0.5], [3.0, 1.5]])
        return jax.jit(lambda: (gradient(*POINT), batched(rates, POINT[1], starts)))()

    found, expected = of(None), of(diffrax.RecursiveCheckpointAdjoint())
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, rtol=1e-6 if one.dtype == jnp.float32 else 1e-9)


@pytest.mark.filterwarnings("ignore:Complex dtype")
def test_of_complex_states_and_beside_infinite_derivatives():
    """Of a state that turns in the complex plane; and of one whose other component nobody asks for blows up."""

    def phase(rate):
        run = integrate(lambda t, y, k: 1j * k * y, jnp.asarray(1.0 + 0.5j), TS, args=rate, rtol=1e-9, atol=1e-9)
        return (run.ys[-1] * (2.0 - 1.0j)).real

    exact = lambda rate: ((1.0 + 0.5j) * jnp.exp(2j * rate) * (2.0 - 1.0j)).real
    np.testing.assert_allclose(jax.grad(phase)(0.7), jax.grad(exact)(0.7), rtol=1e-6)

    def first(rate):
        saveat = diffrax.SaveAt(t1=True, fn=lambda t, y, k: (y, jnp.sqrt(y - y)))
        return integrate(lambda t, y, k: -k * y, 1.0, [0.0, 2.0], args=rate, saveat=saveat).ys[0][-1]

    np.testing.assert_allclose(jax.grad(first)(0.7), -2 * np.exp(-1.4), rtol=1e-4)


def test_they_are_linear_in_the_cotangent_at_zero_too():
    ys = lambda rate: integrate(lambda t, y, k: -k * y, 1.0, TS, args=rate, rtol=1e-9, atol=1e-9).ys
    pull = jax.vjp(ys, jnp.asarray(0.7))[1]
    expected = -TS * jnp.exp(-0.7 * TS)
    np.testing.assert_allclose(jax.jacfwd(lambda ct: pull(ct)[0])(jnp.zeros_like(TS)), expected, rtol=1e-6, atol=1e-9)


@jax.custom_vjp
def halved(x):
    return x / 2


halved.defvjp(lambda x: (x / 2, None), lambda _, ct: (ct / 2,))


def inner_solve(x):
    term = diffrax.ODETerm(lambda t, y, k: k)
    ys: Any = diffrax.diffeqsolve(term, diffrax.Euler(), 0.0, 1.0, 0.5, 0.0 * x, x / 2).ys
    return ys[0]


@pytest.mark.parametrize("function", [halved, inner_solve])
def test_of_fields_that_have_reverse_mode_alone(function):
    ys = lambda rate: integrate(lambda t, y, k: -function(k) * y, 1.0, TS, args=rate, rtol=1e-8, atol=1e-8).ys
    last = lambda rate: ys(rate)[-1]
    np.testing.assert_allclose(jax.jit(jax.grad(last))(jnp.asarray(1.4)), -np.exp(-1.4), rtol=1e-6)
    data = jnp.exp(-0.7 * TS)
    result = fit(
        {"k": jnp.asarray(1.0)}, lambda m, d: ys(m["k"]) - d, data, parameters=[Parameter(lambda m: m["k"], name="k")]
    )
    np.testing.assert_allclose(result.values["k"], 1.4, rtol=1e-5)


def test_beside_keys_and_empty_arrays():
    def last(args):
        field = lambda t, y, a: -a["rate"] * y + 0.0 * jax.random.normal(a["key"])
        return integrate(field, 1.0, TS, args=args, rtol=1e-8, atol=1e-8).ys[-1]

    args = {"rate": jnp.asarray(0.7), "none": jnp.zeros(0), "key": jax.random.key(0)}
    found = jax.grad(lambda rate, none: last(args | {"rate": rate, "none": none}), argnums=(0, 1))(0.7, args["none"])
    np.testing.assert_allclose(found[0], -2 * np.exp(-1.4), rtol=1e-6)
    assert found[1].shape == (0,)


def test_only_few_numbers_and_no_given_checkpoints(monkeypatch):
    def refuse(self, **given):
        raise NotImplementedError("swept backward")

    def gradient(n, size, adjoint=None):
        field = lambda t, y, k: -jnp.sum(k) * y
        total = lambda k: integrate(field, jnp.ones(size), TS, args=k, adjoint=adjoint).ys[-1].sum()
        return jax.eval_shape(jax.grad(total), jnp.ones(n)).shape

    monkeypatch.setattr(diffrax.RecursiveCheckpointAdjoint, "loop", refuse)
    assert gradient(8, 2) == (8,) and gradient(4, 1000) == (4,)
    for given in ((9, 2), (5, 1000), (4, 30_000), (2, 2, Checkpointed(10))):
        with pytest.raises(NotImplementedError, match="swept backward"):
            gradient(*given)


def test_through_events():
    bounce = Crossing(lambda t, y, g: y[0], reset=lambda t, y, g: jnp.stack([y[0], -0.5 * y[1]]), direction=False)

    def last(gravity):
        fall = lambda t, y, g: jnp.stack([y[1], -g])
        run = hybrid(fall, jnp.array([1.0, 0.0]), [0.0, 0.8], transitions=bounce, args=gravity)
        return run.state.y[0]

    landing = lambda g: jnp.sqrt(2 / g)
    exact = lambda g: 0.5 * g * landing(g) * (0.8 - landing(g)) - 0.5 * g * (0.8 - landing(g)) ** 2
    found = jax.jit(jax.grad(last))(jnp.asarray(9.8))
    np.testing.assert_allclose(found, jax.grad(exact)(9.8), rtol=1e-7)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_jump_over_floats_is_as_many_single_ones(dtype):
    """diffrax goes back from the end by a hundred floats, one by one; kinax at once."""
    tiny = np.finfo(dtype).tiny
    near_zero = tiny + np.arange(0, 120, 7).astype(dtype) * np.spacing(tiny)
    largest = np.finfo(dtype).max
    x = [1.0, 2.0, 3.7, -2.5, 1e-3, -1e-3, 1e30, -1e30, 0.0, -0.0, -tiny, 1.5 * tiny, largest, np.inf, np.nan]
    x = jnp.asarray(np.concatenate([np.array(x, dtype), near_zero]))

    @jax.jit
    def singly(x):
        return jax.lax.fori_loop(0, 100, lambda _, x: eqxi.prevbefore(x), x)

    np.testing.assert_array_equal(jax.jit(lambda x: floats_before(x, 100))(x), singly(x))
    assert jax.jvp(lambda x: floats_before(x, 100), (x[0],), (x[2],))[1] == x[2]


def test_a_solve_is_that_of_diffrax_to_the_bit():
    term, controller = diffrax.ODETerm(lambda t, y, k: -k * y**2), diffrax.PIDController(rtol=1e-6, atol=1e-8)
    bare = jax.jit(
        lambda k: diffrax.diffeqsolve(
            term, diffrax.Tsit5(), 0.0, 2.0, None, 1.0, k, saveat=diffrax.SaveAt(ts=TS), stepsize_controller=controller
        )
    )(jnp.asarray(0.7))
    found = integrate(lambda t, y, k: -k * y**2, 1.0, TS, args=jnp.asarray(0.7))
    np.testing.assert_array_equal(found.ys, bare.ys)
    assert found.stats["num_steps"] == bare.stats["num_steps"]


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])
def test_steps_that_miss_the_end_by_rounding_end_as_those_of_diffrax(dtype):
    field = lambda t, y, k: -k * y**2 + t
    start, rate = jnp.asarray(1.0, dtype), jnp.asarray(0.7, dtype)
    ends = jnp.asarray([1.0, 0.3, 3.0, 0.0, -0.3, 1e-30, np.finfo(np.float32).tiny], dtype)
    steps = jnp.where(ends == 0, jnp.asarray(0.1, dtype), jnp.abs(ends) / 10)

    def by_kinax(t1, dt0, control):
        ts = jnp.stack([t1 - 10 * dt0, t1])
        run = integrate(field, start, ts, stepsize_controller=control, args=rate, dt0=dt0)
        return run.ys[-1], run.stats["num_steps"]

    def by_diffrax(t1, dt0, control):
        span = t1 - 10 * dt0, t1, dt0
        solve = lambda *given: diffrax.diffeqsolve(*given, stepsize_controller=control)
        run: Any = solve(diffrax.ODETerm(field), diffrax.Tsit5(), *span, start, rate)
        return run.ys[-1], run.stats["num_steps"]

    for control in (diffrax.PIDController(rtol=1e-5, atol=1e-7), diffrax.ConstantStepSize()):
        each = lambda f, c=control: jax.jit(lambda: jax.lax.map(lambda x: f(*x, c), (ends, steps)))()
        found, bare = each(by_kinax), each(by_diffrax)
        np.testing.assert_array_equal(found[1], bare[1])
        np.testing.assert_allclose(found[0], bare[0], rtol=8 * float(jnp.finfo(dtype).eps))


def test_diffrax_still_has_the_loop_that_is_shortened():
    """If it has changed, kinax takes it as it stands, and compiles longer."""
    program = str(jax.make_jaxpr(lambda k: integrate(lambda t, y, k: -k * y, 1.0, TS, args=k).ys)(jnp.asarray(0.7)))
    assert program.count("nextafter") <= 1
