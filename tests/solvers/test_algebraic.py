"""Differential-algebraic equations: reference solutions, both forms, derivatives, starts, what is refused."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import Phase, Robertson
from kinax.solvers import auto, consistent_start, integrate, MassTerm, Radau, ResidualTerm, RESULTS, stiff
from tests.problems import ALGEBRAIC

pytestmark = pytest.mark.usefixtures("backward_sweep")


def as_residual(mass, field):
    times = (lambda v: mass * v) if mass.ndim == 1 else (lambda v: mass @ v)
    return ResidualTerm(lambda t, y, slope, args: times(slope) - field(t, y, args))


@pytest.mark.parametrize("form", [MassTerm, pytest.param(ResidualTerm, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ALGEBRAIC)
def test_reference_solutions(name, form):
    p = ALGEBRAIC[name]
    mass = jnp.asarray(p.mass)
    term = MassTerm(p.field, mass) if form is MassTerm else as_residual(mass, p.field)

    @jax.jit
    def solve(rtol):
        return integrate(
            term, p.y0, [0.0, p.end], args=p.args, solver=stiff(), rtol=rtol, atol=rtol * p.atol, throw=False
        )

    for rtol, bound in ((1e-6, 1e-6), (1e-9, 1e-9), (1e-12, 1e-10)):
        found = solve(rtol)
        assert found.result == RESULTS.successful
        np.testing.assert_allclose(found.state.y, p.solution, rtol=bound)


def test_robertson_with_a_conservation_law_in_place_of_a_rate():
    rates = Robertson()

    def field(t, y, args):
        full = jnp.asarray(jax.tree.leaves(rates(t, type(start)(*y), args)))
        return full.at[2].set(jnp.sum(y) - 1)

    start = Robertson.State(1.0, 0.0, 0.0)
    ts = [0.0, 1.0, 1e3, 1e6]
    plain = integrate(rates, start, ts, solver=stiff(), rtol=1e-10, atol=1e-14)
    found = integrate(
        MassTerm(field, [1.0, 1.0, 0.0]), jnp.asarray([1.0, 0, 0]), ts, solver=stiff(), rtol=1e-10, atol=1e-14
    )
    np.testing.assert_allclose(found.ys, jnp.stack(jax.tree.leaves(plain.ys), axis=1), rtol=1e-8, atol=1e-13)
    np.testing.assert_allclose(jnp.sum(found.ys, axis=1), 1.0, rtol=1e-15)


def diode(t, y, args):
    """A capacitor behind a diode: the voltage decays, the current solves i = e^(v - i) - 1."""
    voltage, current = y["voltage"], y["current"]
    return {"voltage": -args * current, "current": jnp.expm1(voltage - current) - current}


MASS = {"voltage": 1.0, "current": 0.0}


def test_derivatives_of_an_algebraic_equation_in_both_modes_and_under_vmap():
    # the same as an ordinary equation for the current: v = i + log(1 + i), so that i' (1 + 1 / (1 + i)) = -rate i
    ordinary = lambda t, i, rate: -rate * i / (1 + 1 / (1 + i))

    def end(rate, current):
        start = {"voltage": current + jnp.log1p(current), "current": current}
        return integrate(MassTerm(diode, MASS), start, [0.0, 2.0], args=rate, solver=stiff(), rtol=1e-11).state.y[
            "current"
        ]

    def reference(rate, current):
        solver = diffrax.Dopri8()
        return integrate(ordinary, current, [0.0, 2.0], args=rate, solver=solver, rtol=1e-12, atol=1e-13).state.y

    rates, current = jnp.asarray([0.7, 1.4]), jnp.asarray(1.5)
    batched = lambda fn: jax.jit(jax.vmap(fn, in_axes=(0, None)))(rates, current)
    # the values are by-products of forward mode
    forward = lambda fn: batched(jax.jacfwd(lambda *x: (fn(*x),) * 2, argnums=(0, 1), has_aux=True))
    (found, value), (wanted, expected) = forward(end), forward(reference)
    np.testing.assert_allclose(value, expected, rtol=1e-10)
    np.testing.assert_allclose(found, wanted, rtol=1e-8)
    np.testing.assert_allclose(batched(jax.grad(end, argnums=(0, 1))), wanted, rtol=1e-8)


def test_the_derivative_may_enter_nonlinearly():
    # (y')^3 + y' = t: index 0; and an algebraic unknown beside it
    def function(t, y, slope, args):
        return jnp.stack([slope[0] ** 3 + slope[0] - t, y[1] - y[0] ** 2])

    root = lambda t: 2 / np.sqrt(3) * np.sinh(np.arcsinh(3 * np.sqrt(3) / 2 * t) / 3)
    u = root(2.0)
    value = 3 / 4 * u**4 + u**2 / 2  # the integral of t'(u) u over u
    found = integrate(ResidualTerm(function), jnp.zeros(2), [0.0, 2.0], solver=Radau(3), rtol=1e-9)
    np.testing.assert_allclose(found.state.y, [value, value**2], rtol=1e-8)


def test_consistent_start():
    guess = {"voltage": jnp.asarray(2.0), "current": jnp.asarray(0.0)}
    term = MassTerm(diode, MASS)
    y, slope = consistent_start(term, guess, args=0.7)
    np.testing.assert_allclose(y["voltage"], 2.0, rtol=0)
    np.testing.assert_allclose(y["current"] + np.log1p(y["current"]), 2.0, rtol=1e-14)
    np.testing.assert_allclose(slope["voltage"], -0.7 * y["current"], rtol=1e-14)

    def current(voltage):
        return consistent_start(term, {"voltage": voltage, "current": jnp.asarray(0.0)}, args=0.7).y["current"]

    wanted = 1 / (1 + 1 / (1 + y["current"]))
    both = jax.jit(lambda voltage: (jax.grad(current)(voltage), jax.jacfwd(current)(voltage)))
    np.testing.assert_allclose(both(2.0), wanted, rtol=1e-12)
    p = ALGEBRAIC["AMPLIFIER"]  # the null space is not along the axes
    amplifier = MassTerm(p.field, p.mass)
    y, slope = consistent_start(amplifier, jnp.asarray(p.y0) + 0.01, args=p.args)
    residual = amplifier.residual(jnp.asarray(0.0), y, slope, p.args)
    np.testing.assert_allclose(residual, 0.0, atol=1e-15)
    np.testing.assert_allclose(p.mass @ y, p.mass @ (p.y0 + 0.01), atol=1e-20)
    with pytest.raises(ValueError, match="do not determine the algebraic unknowns"):
        consistent_start(MassTerm(lambda t, y, args: jnp.stack([y[1], y[0] ** 2 + 1]), [1.0, 0.0]), jnp.zeros(2))


def refused(term, y0, **how):
    found = integrate(term, y0, [0.0, 1.0], solver=stiff(), throw=False, **how)
    with pytest.raises(RuntimeError):
        integrate(term, y0, [0.0, 1.0], solver=stiff(), **how)
    return found


def test_starts_that_cannot_be_solved_have_names():
    off = {"voltage": jnp.asarray(2.0), "current": jnp.asarray(0.5)}
    found = refused(MassTerm(diode, MASS), off, args=0.7)
    assert found.result == RESULTS.inconsistent_start
    assert found.stats["start_component"] == 0  # `current`, first in the order of the leaves
    with pytest.raises(RuntimeError, match=r"farthest off: y\['current'\]"):
        integrate(MassTerm(diode, MASS), off, [0.0, 1.0], args=0.7, solver=stiff())
    pendulum = lambda t, y, args: jnp.stack([y[2], y[3], -y[4] * y[0], -y[4] * y[1] - 9.8, y[0] ** 2 + y[1] ** 2 - 1])
    hanging = jnp.asarray([1.0, 0, 0, 0, 0])
    assert refused(MassTerm(pendulum, [1.0, 1, 1, 1, 0]), hanging).result == RESULTS.index_too_high
    twice = lambda t, y, args: jnp.stack([-y[0] + y[1], y[0] - 1, 2 * y[0] - 2])
    assert refused(MassTerm(twice, [1.0, 0, 0]), jnp.asarray([1.0, 1, 0])).result == RESULTS.singular_pencil
    implicit = ResidualTerm(lambda t, y, slope, args: jnp.stack([slope[0] - y[1], y[0] - t]))
    assert refused(implicit, jnp.asarray([0.0, 1.0])).result == RESULTS.index_too_high


def test_under_vmap_one_bad_start_does_not_spoil_the_others():
    good = consistent_start(MassTerm(diode, MASS), {"voltage": jnp.asarray(2.0), "current": jnp.asarray(0.0)}, args=0.7)

    def end(shift):
        start = {"voltage": good.y["voltage"], "current": good.y["current"] + shift}
        found = integrate(MassTerm(diode, MASS), start, [0.0, 1.0], args=0.7, solver=stiff(), throw=False)
        return found.succeeded, found.state.y["current"]

    succeeded, current = jax.vmap(end)(jnp.asarray([0.0, 0.5]))
    np.testing.assert_array_equal(succeeded, [True, False])
    np.testing.assert_allclose(current[0], end(jnp.asarray(0.0))[1], rtol=1e-12)


def test_misuse_is_refused():
    term = MassTerm(diode, MASS)
    start = {"voltage": jnp.asarray(0.0), "current": jnp.asarray(0.0)}
    for solver in (None, diffrax.Kvaerno5(), diffrax.Heun(), auto()):
        with pytest.raises(ValueError, match="solver=stiff"):
            integrate(term, start, [0.0, 1.0], args=0.7, solver=solver, dt0=0.1)
    with pytest.raises(ValueError, match="mass must be a matrix of shape"):
        integrate(MassTerm(diode, jnp.ones(3)), start, [0.0, 1.0], args=0.7, solver=stiff())
    swapped = Phase(jnp.asarray(1.0), jnp.asarray(1.0))
    with pytest.raises(ValueError, match="must return what y0 looks like"):
        integrate(MassTerm(lambda t, y, args: {"q": y.q, "p": y.p}, 1.0), swapped, [0.0, 1.0], solver=stiff())
    with pytest.raises(ValueError, match="must return what y0 looks like"):
        integrate(ResidualTerm(lambda t, y, s, args: s[:1]), jnp.zeros(2), [0.0, 1.0], solver=stiff())


def test_float32():
    p = ALGEBRAIC["AKZO"]
    term = MassTerm(p.field, jnp.asarray(p.mass, jnp.float32))
    y0 = jnp.asarray(p.y0, jnp.float32)
    found = integrate(term, y0, [0.0, p.end], solver=stiff(), rtol=1e-4, atol=1e-7)
    assert found.state.y.dtype == jnp.float32
    np.testing.assert_allclose(found.state.y, p.solution, rtol=1e-3)


def test_starts_in_any_units():
    exact = np.array([0.8 * np.exp(0.8), 0.8])

    @jax.jit
    def solve(unit):
        field = lambda t, y, args: jnp.stack([-y[0], y[1] * jnp.exp(y[1] / unit) - y[0]])
        term = MassTerm(field, [1.0, 0.0])
        y, _ = consistent_start(term, unit * exact * np.array([1, 0.9]))
        return y, integrate(term, y, [0.0, 1.0], solver=stiff(), atol=1e-8 * unit, throw=False).state.y[0]

    for unit in (1e-7, 1e7):
        y, last = solve(unit)
        np.testing.assert_allclose(y, unit * exact, rtol=1e-14)
        np.testing.assert_allclose(last, unit * exact[0] * np.exp(-1.0), rtol=1e-6)


def test_small_masses_are_masses_and_a_jump_is_passed():
    term = MassTerm(lambda t, y, args: jnp.stack([-y[0], y[0] - y[1]]), jnp.asarray([1, 1e-6], jnp.float32))
    start = jnp.asarray([1, 0], jnp.float32)
    found = integrate(term, start, [0.0, 1.0], solver=Radau(3), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.state.y, np.exp(-1.0), rtol=1e-3)
    step = MassTerm(lambda t, y, args: jnp.stack([-y[0], y[1] - jnp.where(t < 0.5, 1.0, 2.0)]), [1.0, 0.0])
    controller = diffrax.PIDController(rtol=1e-6, atol=1e-8)
    clipped = diffrax.ClipStepSizeController(controller, jump_ts=jnp.asarray([0.5]))
    found = integrate(step, jnp.ones(2), [0.0, 1.0], solver=Radau(3), stepsize_controller=clipped)
    np.testing.assert_allclose(found.state.y, [np.exp(-1.0), 2.0], rtol=1e-6)
