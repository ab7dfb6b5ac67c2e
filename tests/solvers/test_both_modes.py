"""The default adjoint of `integrate`: forward and reverse mode of one solve, wherever the derivative enters."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from kinax.solvers import Forward, integrate

pytestmark = pytest.mark.usefixtures("backward_sweep")

TS = jnp.array([0.0, 0.5, 2.0])
DECAY = -TS * jnp.exp(-0.7 * TS)  # derivative of exp(-rate t) at 0.7


def decay(t, y, rate):
    return -rate * y


def solve(rate, field=decay, **options):
    return integrate(field, jnp.ones_like(rate), TS, args=rate, rtol=1e-9, atol=1e-9, **options).ys


def closed_over_by_the_field(rate):
    half = rate / 2
    return integrate(lambda t, y, args: -2 * half * y, 1.0, TS, rtol=1e-9, atol=1e-9).ys


def closed_over_by_the_controller(rate):
    norm = lambda error: optx.rms_norm(error) * (1 + rate)
    return solve(rate, stepsize_controller=diffrax.PIDController(rtol=1e-9, atol=1e-9, norm=norm))


def closed_over_by_an_event(rate):
    gone = diffrax.Event(lambda t, y, args, **kwargs: y - rate / 7, optx.Newton(1e-12, 1e-12))
    end = integrate(decay, 1.0, [0.0, 9.0], args=rate, events=gone, rtol=1e-11, atol=1e-11).state.t
    return jnp.stack([end, rate])  # rate t = log(7 / rate)


def closed_over_by_what_is_saved(rate):
    saveat = diffrax.SaveAt(ts=TS, fn=lambda t, y, args: y * rate)
    return integrate(decay, 1.0, TS, args=rate, saveat=saveat, rtol=1e-9, atol=1e-9).ys


def inside_a_scan(rate):
    def step(y, _):
        y = integrate(decay, y, TS[1:], args=rate, rtol=1e-9, atol=1e-9).ys[-1]
        return y, y

    return jax.lax.scan(step, jnp.asarray(1.0), None, 2)[1]


def among_other_arguments(rate):
    args = {"rate": rate, "n": jnp.asarray(2), "key": jax.random.key(0), "name": "x", "none": None, "one": 1.0}
    field = lambda t, y, a: -a["rate"] * a["one"] * y + 0.0 * jax.random.normal(a["key"])
    return solve(rate, lambda t, y, _: field(t, y, args))


END = -(1 + np.log(10)) / 0.7**2
CASES = {
    solve: DECAY,
    jax.checkpoint(solve): DECAY,
    closed_over_by_the_field: DECAY,
    closed_over_by_the_controller: DECAY,
    closed_over_by_an_event: np.array([END, 1.0]),
    closed_over_by_what_is_saved: (1 - 0.7 * TS) * jnp.exp(-0.7 * TS),
    inside_a_scan: jnp.array([-1.5 * jnp.exp(-0.7 * 1.5), -3 * jnp.exp(-0.7 * 3)]),
    among_other_arguments: DECAY,
}


QUICK = (solve, closed_over_by_the_field)
marked = [pytest.param(fn, id=fn.__name__, marks=() if fn in QUICK else pytest.mark.slow) for fn in CASES]


@pytest.mark.parametrize("fn", marked)
def test_forward_and_reverse_mode_agree(fn):
    forward, reverse = jax.jit(lambda rate: (jax.jacfwd(fn)(rate), jax.jacrev(fn)(rate)))(jnp.asarray(0.7))
    np.testing.assert_allclose(forward, CASES[fn], rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(reverse, forward, rtol=1e-9, atol=1e-12)


@pytest.mark.slow
def test_batches_inside_and_outside():
    rates = np.array([0.2, 0.7, 1.5])
    shared = lambda rate: jnp.sum(jax.vmap(lambda k: solve(k * rate))(jnp.asarray(rates)))
    total = lambda rates: jnp.sum(jax.vmap(solve)(rates))
    times = np.asarray(TS)
    exact = np.sum(-times * np.exp(-np.outer(rates, times)), axis=1)
    members, inside, outside, pushed = jax.jit(
        lambda rates: (
            jax.grad(total)(rates),
            jax.grad(shared)(jnp.asarray(1.0)),
            jax.vmap(jax.jacrev(solve))(rates),
            jax.vmap(jax.jacfwd(solve))(rates),
        )
    )(jnp.asarray(rates))
    np.testing.assert_allclose(members, exact, rtol=1e-6)
    np.testing.assert_allclose(inside, np.sum(rates * exact), rtol=1e-6)
    np.testing.assert_allclose(outside, pushed, rtol=1e-9, atol=1e-12)


def test_second_order_in_forward_mode():
    second = jax.jit(jax.jacfwd(jax.jacfwd(solve)))(jnp.asarray(0.7))
    np.testing.assert_allclose(second, TS**2 * np.exp(-0.7 * TS), rtol=1e-5, atol=1e-9)
    with pytest.raises(RuntimeError, match="Take both in forward mode"):
        jax.jacrev(jax.jacfwd(solve))(jnp.asarray(0.7))


def test_a_solve_with_effects_keeps_reverse_mode():
    def talkative(t, y, rate):
        jax.debug.callback(lambda t: None, t)
        return -rate * y

    np.testing.assert_allclose(jax.jit(jax.jacrev(lambda k: solve(k, talkative)))(jnp.asarray(0.7)), DECAY, rtol=1e-6)


def test_noise_that_has_forward_mode_only():
    def end(sigma, adjoint=None):
        noise = diffrax.UnsafeBrownianPath(shape=(), key=jax.random.key(0))
        term = diffrax.MultiTerm(
            diffrax.ODETerm(lambda t, y, sigma: -y), diffrax.ControlTerm(lambda t, y, sigma: sigma * y, noise)
        )
        constant = diffrax.ConstantStepSize()
        euler = diffrax.Euler()
        return integrate(
            term, 1.0, [0.0, 1.0], args=sigma, solver=euler, dt0=0.1, stepsize_controller=constant, adjoint=adjoint
        ).state.y

    found, expected = (jax.jit(jax.jacfwd(lambda s, a=a: end(s, a)))(jnp.asarray(0.3)) for a in (None, Forward()))
    np.testing.assert_allclose(found, expected, rtol=1e-12)
