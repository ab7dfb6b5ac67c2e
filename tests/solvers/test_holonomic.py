"""Mechanical systems with constraints on positions: reference solutions, derivatives, multipliers, starts."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import Motion
from kinax.solvers import Holonomic, integrate, Projected, Radau, RESULTS
from tests.constrained import (
    CAR_AXIS,
    CAR_END,
    CAR_MULTIPLIERS,
    CAR_SOLUTION,
    CAR_START,
    SQUEEZER,
    SQUEEZER_END,
    SQUEEZER_SOLUTION,
    SQUEEZER_START,
)

pytestmark = pytest.mark.usefixtures("backward_sweep")


@pytest.mark.parametrize(
    "solver", [diffrax.Dopri8(), pytest.param(Radau(3), marks=pytest.mark.slow)], ids=["Dopri8", "Radau"]
)
def test_car_axis(solver):
    found = integrate(CAR_AXIS, CAR_START, [0.0, CAR_END], solver=Projected(solver, CAR_AXIS), rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(jnp.concatenate(found.state.y), CAR_SOLUTION, rtol=1e-7)
    # there the constraints' force has the other sign
    np.testing.assert_allclose(-CAR_AXIS.multipliers(CAR_END, found.state.y), CAR_MULTIPLIERS, rtol=1e-6)
    np.testing.assert_allclose(jnp.concatenate(CAR_AXIS.off(CAR_END, found.state.y)), 0.0, atol=1e-15)


def test_squeezing_mechanism():
    solver = Projected(diffrax.Dopri8(), SQUEEZER)
    found = integrate(SQUEEZER, SQUEEZER_START, [0.0, SQUEEZER_END], solver=solver, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(found.state.y.q, SQUEEZER_SOLUTION, rtol=1e-7)


def hanging(length, gravity):
    """A pendulum of unit mass in Cartesian coordinates."""
    force = lambda t, q, v, args: jnp.stack([jnp.zeros_like(gravity), -gravity])
    return Holonomic(lambda q, args: jnp.eye(2), force, lambda t, q, args: jnp.sqrt(jnp.sum(q**2)) - length)


def at(length, angle):
    return Motion(length * jnp.stack([jnp.sin(angle), -jnp.cos(angle)]), jnp.zeros(2))


@pytest.mark.slow
def test_derivatives_are_those_in_an_angle_in_both_modes_and_under_vmap():
    ts = jnp.asarray([0.0, 1.3, 3.0])

    def cartesian(length, gravity, angle):
        system = hanging(length, gravity)
        solver = Projected(diffrax.Dopri8(), system)
        found = integrate(system, at(length, angle), ts, solver=solver, rtol=1e-10, atol=1e-11)
        return found.ys.q[1:]

    def polar(length, gravity, angle):
        field = lambda t, y, args: jnp.stack([y[1], -gravity / length * jnp.sin(y[0])])
        start = jnp.stack([angle, jnp.zeros_like(angle)])
        found = integrate(field, start, ts, solver=diffrax.Dopri8(), rtol=1e-12, atol=1e-12)
        return jax.vmap(lambda angle: at(length, angle).q)(found.ys[1:, 0])

    point = jnp.asarray(1.3), jnp.asarray(9.8), jnp.asarray([0.7, 2.0])
    both = lambda derivative, fn: jax.vmap(derivative(fn, argnums=(0, 1, 2)), in_axes=(None, None, 0))(*point)
    wanted = both(jax.jacfwd, polar)
    for derivative in (jax.jacfwd, jax.jacrev):
        for got, exact in zip(both(derivative, cartesian), wanted, strict=True):
            np.testing.assert_allclose(got, exact, rtol=1e-7, atol=1e-8)


@pytest.mark.parametrize("unit", [1e-8, 1e7])
def test_projection_in_any_units(unit):
    rod = Holonomic(lambda q, args: jnp.eye(2), lambda t, q, v, args: 0 * q, lambda t, q, args: jnp.sum(q**2) - unit**2)
    off = Motion(unit * jnp.asarray([0.6, 0.801]), unit * jnp.asarray([1.0, 0.3]))
    near = rod.project(0.0, off)
    np.testing.assert_allclose(jnp.sum(near.q**2), unit**2, rtol=1e-14)
    np.testing.assert_allclose(jnp.vdot(near.q, near.v) / unit**2, 0.0, atol=1e-15)


@pytest.mark.slow
def test_the_derivative_survives_a_step_without_a_way_back():
    curve = lambda t, q, args: q[1] - q[0] ** 2 - 0.1 * q[0] ** 4
    system = Holonomic(lambda q, args: jnp.eye(2), lambda t, q, v, args: jnp.stack([0 * args, -9.8 * args]), curve)

    def end(gravity, dt0):
        start = Motion(jnp.zeros(2), jnp.asarray([30.0, 0.0]))
        solver = Projected(diffrax.Tsit5(), system)
        return integrate(system, start, [0.0, 3.0], args=gravity, solver=solver, dt0=dt0, rtol=1e-9).state.y.q[0]

    slopes = [jax.grad(end)(jnp.asarray(1.0), jnp.asarray(dt0)) for dt0 in (1e-3, 3.0)]
    np.testing.assert_allclose(slopes[1], slopes[0], rtol=1e-5)


def test_misuse_is_refused():
    system = hanging(jnp.asarray(2.0), jnp.asarray(9.8))
    with pytest.raises(ValueError, match="a state is a pair"):
        system(0.0, {"q": jnp.zeros(2), "v": jnp.zeros(2)})
    with pytest.raises(ValueError, match="mass must return a matrix"):
        Holonomic(lambda q, args: jnp.ones(2), system.force, system.constraint)(0.0, at(2.0, 0.3))
    with pytest.raises(ValueError, match="force must return what q looks like"):
        Holonomic(system.mass, lambda t, q, v, args: jnp.ones(()), system.constraint)(0.0, at(2.0, 0.3))


def test_the_multiplier_is_the_tension():
    system = hanging(jnp.asarray(2.0), jnp.asarray(9.8))
    y = Motion(jnp.asarray([0.0, -2.0]), jnp.asarray([3.0, 0.0]))  # through the lowest point
    np.testing.assert_allclose(system.multipliers(0.0, y), [9.8 + 9 / 2], rtol=1e-14)


def test_a_start_off_its_constraints_is_refused_and_can_be_projected():
    system = hanging(jnp.asarray(2.0), jnp.asarray(9.8))
    solver = Projected(diffrax.Tsit5(), system)
    off = Motion(jnp.asarray([1.0, -2.0]), jnp.asarray([0.0, 1.0]))
    assert integrate(system, off, [0.0, 1.0], solver=solver, throw=False).result == RESULTS.inconsistent_start
    near = system.project(0.0, off)
    np.testing.assert_allclose(jnp.concatenate(system.off(0.0, near)), 0.0, atol=1e-15)
    found = integrate(system, near, [0.0, 1.0], solver=solver, rtol=1e-8)
    energy = lambda y: jnp.sum(y.v**2) / 2 + 9.8 * y.q[1]
    np.testing.assert_allclose(energy(found.state.y), energy(near), rtol=1e-6)


def test_dependent_constraints_end_in_a_verdict():
    twice = lambda t, q, args: jnp.stack([q[0] - 1, 2 * q[0] - 2])
    system = Holonomic(lambda q, args: jnp.eye(2), lambda t, q, v, args: -q, twice)
    y = Motion(jnp.asarray([1.0, 0.0]), jnp.zeros(2))
    found = integrate(system, y, [0.0, 1.0], solver=Projected(diffrax.Tsit5(), system), throw=False)
    assert found.result != RESULTS.successful
