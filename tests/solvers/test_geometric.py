"""Structure-preserving simulators: energy over long times, what is conserved exactly, compositions, refusals."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import DoublePendulum, Hamiltonian, Kepler, Motion, Pendulum, Phase
from kinax.solvers import (
    AbstractMaintained,
    AbstractSimulator,
    BAOAB,
    Composition,
    FixedStep,
    GaussLegendre,
    ImplicitMidpoint,
    LangevinState,
    OBABO,
    parameter,
    PositionVerlet,
    Repeated,
    RESPA,
    RESULTS,
    rollout,
    StageFixedPoint,
    StageNewton,
    Strang,
    TimeState,
    VelocityVerlet,
    yoshida4,
    yoshida6,
)
from tests.helpers import HenonHeiles

STAR, ORBIT = Hamiltonian(HenonHeiles()), Kepler(mu=1.0)
# energy 0.081; eccentricity 0.6
IN_STAR, IN_ORBIT = Phase(q=jnp.asarray([0.0, 0.1]), p=jnp.asarray([0.39, 0.0])), ORBIT.periapsis(1.0, 0.6)
gauss = lambda stages: lambda field, dt: GaussLegendre(field, dt, stages, StageFixedPoint())
LONG = [
    # system, simulator, order, steps in a period
    (STAR, VelocityVerlet, 2, 60),
    (STAR, PositionVerlet, 2, 60),
    (STAR, lambda field, dt: yoshida4(PositionVerlet(field, dt)), 4, 40),
    (STAR, lambda field, dt: yoshida6(PositionVerlet(field, dt)), 6, 30),
    (STAR, ImplicitMidpoint, 2, 20),
    (STAR, gauss(2), 4, 20),
    (STAR, gauss(3), 6, 12),
    (ORBIT, VelocityVerlet, 2, 400),
    (ORBIT, PositionVerlet, 2, 400),
    (ORBIT, lambda field, dt: yoshida4(PositionVerlet(field, dt)), 4, 400),
    (ORBIT, lambda field, dt: yoshida6(PositionVerlet(field, dt)), 6, 200),
    (ORBIT, gauss(2), 4, 60),
]


def energy_errors(system, make, steps, periods, saves):
    """Relative, at phases that are spread evenly over a period (of 2 pi)."""
    y0 = IN_STAR if system is STAR else IN_ORBIT
    every = round(steps * (periods // saves + (np.sqrt(5) - 1) / 2))
    simulator, start = make(system, 2 * np.pi / steps), TimeState(t=jnp.zeros(()), y=y0)
    found = rollout(simulator, start, every * saves, save_every=every, observe=lambda s: system.energy(s.y))
    return np.asarray(found.ys / system.energy(y0) - 1)


@pytest.mark.slow
@pytest.mark.parametrize("system, make, order, steps", LONG)
def test_energy_over_1e5_periods(system, make, order, steps):
    errors = energy_errors(system, make, steps, 100_000, 10_000).reshape(10, 1000)
    largest = np.abs(errors[0]).max()
    assert np.abs(errors).max() < 1.1 * largest  # bounded: the first tenth knows the bound
    means = errors.mean(axis=1)
    slope = np.polyfit(np.linspace(0, 1, 10), means, 1)[0]
    assert abs(slope) < 0.03 * largest, (slope, largest)  # and no drift below it
    rough, fine = (np.abs(energy_errors(system, make, n, 2000, 2000)).max() for n in (steps, 2 * steps))
    np.testing.assert_allclose(np.log2(rough / fine), order, atol=0.5)


@pytest.mark.parametrize(
    "make, steps, bound",
    [(lambda field, dt: yoshida4(PositionVerlet(field, dt)), 400, 2.5e-6), (gauss(2), 100, 2e-5)],
)
def test_energy_over_a_hundred_periods(make, steps, bound):
    errors = energy_errors(ORBIT, make, steps, 100, 100)
    assert 0.5 * bound < np.abs(errors).max() < bound
    assert abs(errors[:50].mean() - errors[50:].mean()) < 0.1 * bound


@pytest.mark.parametrize("stages", [1, 2, 3, 5])
def test_gauss_is_the_diagonal_pade_approximation(stages):
    """Of exp, for a linear field: exactly so, whatever the step; a norm that the field keeps is kept."""
    spin = np.array([[0.0, 1.0, -0.4], [-1.0, 0.0, 2.0], [0.4, -2.0, 0.0]])
    z, one = 1.3 * spin, np.eye(3)
    numerator = {1: [1, 1 / 2], 2: [1, 1 / 2, 1 / 12], 3: [1, 1 / 2, 1 / 10, 1 / 120]}
    numerator[5] = [1, 1 / 2, 1 / 9, 1 / 72, 1 / 1008, 1 / 30240]
    above = sum(c * np.linalg.matrix_power(z, k) for k, c in enumerate(numerator[stages]))
    below = sum(c * np.linalg.matrix_power(-z, k) for k, c in enumerate(numerator[stages]))
    y0 = np.array([0.3, -1.0, 0.5])
    step = GaussLegendre(lambda t, y, args: spin @ y, 1.3, stages)
    found = eqx.filter_jit(step)(TimeState(t=jnp.zeros(()), y=jnp.asarray(y0)))
    np.testing.assert_allclose(found.y, np.linalg.solve(below, above @ y0), rtol=1e-13)
    np.testing.assert_allclose(np.linalg.norm(found.y), np.linalg.norm(y0), rtol=1e-14)
    np.testing.assert_allclose(below @ np.linalg.inv(below), one, atol=1e-12)


def test_gauss_keeps_angular_momentum_and_solves_stiff_equations():
    simulator, start = GaussLegendre(ORBIT, 0.3, 3), TimeState(t=jnp.zeros(()), y=IN_ORBIT)
    moments = rollout(simulator, start, 200, observe=lambda s: ORBIT.angular_momentum(s.y)).ys
    np.testing.assert_allclose(moments, ORBIT.angular_momentum(start.y), rtol=1e-13)
    # A-stable, without damping: a rate 1e6 times what the step resolves; the error of a step, h^2 / 4, changes its sign
    field = lambda t, y, args: -1e6 * (y - jnp.cos(t)) - jnp.sin(t)
    stiff = rollout(ImplicitMidpoint(field, 0.1), TimeState(t=jnp.zeros(()), y=jnp.ones(1)), 30, save_every=30).state
    np.testing.assert_allclose(stiff.y, np.cos(3.0), rtol=0, atol=0.1**2 / 4)


@pytest.mark.parametrize("finder", [StageNewton(), StageFixedPoint()])
def test_stages_are_found_to_rounding_in_any_units_and_at_rest(finder):
    errors = []
    for mu, axis in (
        (1.0, 1.0),
        (1.327e20, 1.5e11),
    ):  # in the latter the Earth's orbit were it so eccentric, in SI units
        orbit = Kepler(mu=mu)
        y0 = orbit.periapsis(axis, 0.6)
        simulator, start = GaussLegendre(orbit, orbit.period(y0) / 60, 3, finder), TimeState(t=jnp.zeros(()), y=y0)
        energies = rollout(simulator, start, 6000, save_every=40, observe=lambda s, o=orbit: o.energy(s.y)).ys
        errors.append(energies / orbit.energy(y0) - 1)
    np.testing.assert_allclose(errors[0], errors[1], rtol=0, atol=1e-13)
    assert np.abs(errors[0]).max() < 1e-5
    swing = lambda t, y, args: (y[1], jnp.sin(0.7) - jnp.sin(y[0]))
    for q in (0.7, 0.0):
        rest = TimeState(t=jnp.zeros(()), y=(jnp.full(1, q), jnp.zeros(1)))
        field = swing if q else lambda t, y, args: (y[1], -y[0])
        end = rollout(GaussLegendre(field, 0.1, 2, finder), rest, 100, save_every=100).state.y
        np.testing.assert_allclose(end, (np.full(1, q), np.zeros(1)), rtol=0, atol=1e-14)


def test_a_step_that_cannot_be_solved_is_nan():
    blow_up = lambda t, y, args: y**2  # from 1 the midpoint rule has no solution beyond dt = 1/2
    for simulator in (ImplicitMidpoint(blow_up, 1.0), GaussLegendre(blow_up, 2.0, 2, StageFixedPoint())):
        found = rollout(simulator, TimeState(t=jnp.zeros(()), y=jnp.ones(1)), 1, throw=False)
        assert found.result == RESULTS.nonfinite_state and np.isnan(found.state.y).all()


class Turn(AbstractSimulator[Any]):
    """A magnetic field, exactly: momenta turn."""

    rate: Any = parameter()
    dt: Any = parameter()

    def __call__(self, state):
        angle = self.rate * self.dt
        cos, sin = jnp.cos(angle), jnp.sin(angle)
        (x, y) = state.y[1]
        return TimeState(t=state.t + self.dt, y=(state.y[0], jnp.stack([cos * x - sin * y, sin * x + cos * y])))


def test_one_that_fails_does_not_disturb_the_others():
    blow_up = lambda t, y, args: y**2
    end = lambda x: ImplicitMidpoint(blow_up, 0.5)(TimeState(t=jnp.zeros(()), y=x)).y
    x = jnp.asarray([0.1, 40.0, 0.3])
    value, slope = jax.jit(jax.vmap(jax.value_and_grad(end)))(x)
    assert np.isnan(value[1])
    x, value, slope = (np.asarray(y)[::2] for y in (x, value, slope))
    root = np.sqrt(1 - x)  # of y = x + (x + y)^2 / 8
    np.testing.assert_allclose(value, 4 * (1 - root) - x, rtol=1e-13)
    np.testing.assert_allclose(slope, 2 / root - 1, rtol=1e-13)


def test_derivatives_of_the_others_after_a_failure():
    """From 1 the midpoint rule goes astray in the tenth step, from 10 the Jacobian of the first one is zero."""
    run = lambda y: rollout(ImplicitMidpoint(blow_up, 0.1), TimeState(t=jnp.zeros(()), y=y), 15, throw=False).state.y
    blow_up = lambda t, y, args: y**2

    def closed(y):  # of y1 = y + (y + y1)^2 / 40
        step = lambda y, _: (20 * (1 - jnp.sqrt(1 - y / 5)) - y, None)
        return jax.lax.scan(step, y, None, 15)[0]

    x = jnp.asarray([0.1, 1.0, 10.0, 0.2])
    both = jax.jit(jax.vmap(lambda x: (jax.value_and_grad(run)(x), jax.jacfwd(run)(x))))
    (value, reverse), forward = both(x)
    exact = np.asarray(jax.jit(jax.vmap(jax.grad(closed)))(x))[::3]
    for slope in (reverse, forward):
        np.testing.assert_allclose(slope[::3], exact, rtol=1e-12)
    assert np.isnan(value[1:3]).all()


def test_repeated_steps_are_steps_with_fewer_forces():
    calls = []
    force = lambda t, q: -jnp.sin(q) * jnp.cos(t)
    field = lambda t, y, args: (y[1], counted(force, calls)(t, y[0]))
    bath = dict(dt=0.1, mass=1.3, friction=0.5, kT=0.7)
    key = jax.random.key(5)
    cold = TimeState(t=jnp.asarray(0.3), y=(jnp.ones(2), jnp.zeros(2)))
    warm = LangevinState(t=jnp.asarray(0.3), position=jnp.ones(2), momentum=jnp.zeros(2), key=key)
    pairs: Any = (
        (VelocityVerlet(field, 0.1), cold),
        (PositionVerlet(field, 0.1), cold),
        (BAOAB(force, **bath), warm),
        (OBABO(force, **bath), warm),
    )
    for simulator, state in pairs:
        whole = Repeated(simulator, 5)
        np.testing.assert_allclose(whole.dt, 0.5)
        found, expected = (
            rollout(whole, state, 2, save_every=2).state,
            rollout(simulator, state, 10, save_every=10).state,
        )
        for a, b in zip(
            *(jax.tree.leaves(eqx.filter(s, eqx.is_inexact_array)) for s in (found, expected)), strict=True
        ):
            np.testing.assert_allclose(a, b, rtol=1e-13)
    for simulator, n in (
        (VelocityVerlet(field, 0.1), 10),
        (Repeated(VelocityVerlet(field, 0.1), 5), 6),
        (yoshida4(VelocityVerlet(field, 0.1)), 4),
        (yoshida4(PositionVerlet(field, 0.1)), 3),
    ):
        calls.clear()
        jax.block_until_ready(rollout(simulator, cold, 1 if n < 10 else 5).state)
        assert len(calls) == n


def test_fixed_steps_of_an_implicit_solver_with_its_own_defaults():
    field = lambda t, y, args: (y[1], jnp.cos(t) - jnp.sin(y[0]) - 50 * y[1])
    start = TimeState(t=jnp.zeros(()), y=(jnp.ones(2), jnp.zeros(2)))
    exact = rollout(GaussLegendre(field, 0.05, 5), start, 20, save_every=20).state.y
    errors = []
    for n in (40, 80):
        end = rollout(FixedStep(field, 1 / n, diffrax.Kvaerno3()), start, n, save_every=n).state.y
        errors.append(np.abs(end[0] - exact[0]).max())
    assert 1e-12 < errors[1] < 1e-6 and errors[0] / errors[1] > 3, errors


def test_a_clock_of_whole_numbers_goes_on():
    field = lambda t, y, args: (y[1], -y[0])
    for t in (0, 0.0, np.int32(0), jnp.asarray(0)):
        for simulator in (VelocityVerlet(field, 0.1), FixedStep(field, 0.1)):
            start = TimeState(t=t, y=(jnp.ones(1), jnp.zeros(1)))
            np.testing.assert_allclose(simulator(start).t, 0.1)
    np.testing.assert_allclose(rollout(simulator, start, 10).state.t, 1.0)
    stands = eqx.tree_at(lambda s: s.t, start, jnp.asarray(0))
    with pytest.raises(ValueError, match="time of a state must be a float array"):
        PositionVerlet(field, 0.1)(stands)


def test_strang_of_any_two():
    spring = lambda t, y, args: (y[1], -y[0] + jnp.cos(3 * t))
    both = lambda t, y, args: (y[1], spring(t, y, args)[1] + 2.0 * jnp.stack([-y[1][1], y[1][0]]))
    start = TimeState(t=jnp.asarray(0.2), y=(jnp.asarray([1.0, 0.0]), jnp.asarray([0.0, 0.5])))
    exact = rollout(GaussLegendre(both, 0.1, 5), start, 10, save_every=10).state
    for swap in (False, True):

        @jax.jit
        def end(dt, n, swap=swap):
            pair = (Turn(2.0, dt), VelocityVerlet(spring, dt))
            outer, inner = pair[::-1] if swap else pair
            return jax.lax.fori_loop(0, n, lambda _, s: Strang(outer=outer, inner=inner)(s), start)

        rough, fine = (end(jnp.asarray(1 / n), n) for n in (20, 40))
        np.testing.assert_allclose(fine.t, 1.2, rtol=1e-13)
        errors = [np.abs(found.y[1] - exact.y[1]).max() for found in (rough, fine)]
        np.testing.assert_allclose(np.log2(errors[0] / errors[1]), 2, atol=0.1)


def test_strang_of_simulators_with_keys():
    force = lambda t, q: -q
    bath = dict(dt=0.1, mass=1.0, friction=1.0, kT=1.0)
    start = LangevinState(t=jnp.zeros(()), position=jnp.ones(2), momentum=jnp.ones(2), key=jax.random.key(0))
    found = Strang(outer=BAOAB(force, **bath), inner=OBABO(force, **bath))(start)
    np.testing.assert_allclose(found.t, 0.1)
    assert (
        np.isfinite(found.momentum).all() and (jax.random.key_data(found.key) != jax.random.key_data(start.key)).any()
    )


def test_respa_takes_the_slow_force_once_a_step():
    # a stiff bond in a slow well; the whole step is five times what Verlet can take for the bond
    bond, well = 900.0, 1.0
    slow = lambda t, q: -well * q**3
    fast = lambda t, y, args: (y[1], bond * jnp.stack([y[0][1] - y[0][0], y[0][0] - y[0][1]]))
    energy = lambda s: (
        jnp.sum(s.y[1] ** 2) / 2 + bond * (s.y[0][0] - s.y[0][1]) ** 2 / 2 + well * jnp.sum(s.y[0] ** 4) / 4
    )
    start = TimeState(t=jnp.zeros(()), y=(jnp.asarray([1.0, 1.01]), jnp.asarray([0.3, 0.2])))
    simulator = RESPA(slow, PositionVerlet(fast, 0.0025), 16)
    np.testing.assert_allclose(simulator.dt, 0.04)
    found = rollout(simulator, start, 5000, save_every=5, observe=energy)
    errors = np.asarray(found.ys / energy(start) - 1)
    assert np.abs(errors).max() < 3e-3 and abs(errors[:500].mean() - errors[500:].mean()) < 1e-4
    np.testing.assert_allclose(found.state.t, 200.0, rtol=1e-12)
    calls = []
    jax.block_until_ready(rollout(RESPA(counted(slow, calls), PositionVerlet(fast, 0.0025), 16), start, 7).state)
    assert len(calls) == 7


def counted(force, calls):
    """The force, with a note of each time that it is computed."""

    def noted(t, q):
        mark = jax.pure_callback(lambda q: calls.append(1) or np.zeros_like(q), q, q)
        return force(t, q) + mark

    return noted


def test_weights_of_yoshida():
    """The conditions of order 4 and 6, to rounding."""
    for weights, powers in (
        (yoshida4(PositionVerlet(ORBIT, 0.1)).weights, (3,)),
        (yoshida6(PositionVerlet(ORBIT, 0.1)).weights, (3, 5)),
    ):
        w = np.array(weights)
        np.testing.assert_array_equal(w, w[::-1])
        np.testing.assert_allclose([w.sum() - 1, *(np.sum(w**k) for k in powers)], 0, atol=2e-15)
    middles = np.cumsum(w) - w / 2
    np.testing.assert_allclose(np.sum(w**3 * middles**2), 0, atol=2e-15)


pair = TimeState(t=jnp.zeros(()), y=(jnp.ones(2), jnp.ones(2)))
damped = lambda t, y, args: (y[1], -y[0] - y[1])
free = lambda t, y, args: (y[1], jnp.zeros_like(y[1]))
BATH = dict(dt=0.1, mass=1.0, friction=1.0, kT=1.0)
WARM = LangevinState(t=0, position=jnp.ones(2), momentum=jnp.ones(2), key=jax.random.key(0))
BAD = {
    "needs a state y of two parts": lambda: VelocityVerlet(free, 0.1)(TimeState(t=pair.t, y=jnp.ones(2))),
    "rate of `v` depends on `v` itself": lambda: VelocityVerlet(Pendulum(length=1.0, damping=0.1), 0.1)(
        TimeState(t=pair.t, y=Motion(q=jnp.asarray(1.0), v=jnp.asarray(0.0)))
    ),
    "rate of `y\\[1\\]` depends": lambda: PositionVerlet(damped, 0.1)(pair),
    "rate of `q` depends on `q`": lambda: yoshida4(
        PositionVerlet(Hamiltonian(lambda q, p: jnp.sum((1 + q**2) * p**2)), 0.1)
    )(TimeState(t=pair.t, y=Phase(*pair.y))),
    "is float64\\[\\] instead of float64\\[2\\]": lambda: VelocityVerlet(lambda t, y, args: (y[1], jnp.sum(y[0])), 0.1)(
        pair
    ),
    "weights of a Composition must sum to 1": lambda: Composition(PositionVerlet(free, 0.1), (0.5, 0.4)),
    "cannot be scaled": lambda: yoshida4(Clock())(pair),
    "Composition with a negative weight goes back in time, which OBABO": lambda: yoshida4(
        Repeated(OBABO(lambda t, q: -q, **BATH), 2)
    ),
    "declare `dt` by `parameter": lambda: yoshida4(Fixed(dt=0.1))(pair),
    "momentum of floats in the shape of the position": lambda: BAOAB(lambda t, q: -q, **BATH)(
        LangevinState(t=0, position=jnp.ones((2, 3)), momentum=jnp.ones((2, 1)), key=jax.random.key(0))
    ),
    "needs a key such as jax.random.key": lambda: OBABO(lambda t, q: -q, **BATH)(eqx.tree_at(lambda s: s.key, WARM, 0)),
    "slow\\(t, q\\) is float64\\[1\\] instead": lambda: RESPA(lambda t, q: -q[:1], PositionVerlet(free, 0.1), 2)(pair),
    "same dt, not 0.1 and 0.2": lambda: Strang(PositionVerlet(free, 0.1), VelocityVerlet(free, 0.2)),
    "even number of short steps": lambda: RESPA(lambda t, q: -q, PositionVerlet(free, 0.1), 3),
    "RESPA needs a state y of two parts": lambda: RESPA(lambda t, q: -q, FixedStep(lambda t, y, args: -y, 0.1), 2)(
        TimeState(t=pair.t, y=jnp.ones(2))
    ),
    "has lists to maintain": lambda: yoshida4(Listed()),
    "needs? a position of floats": lambda: BAOAB(lambda t, q: -q, dt=0.1, mass=1.0, friction=1.0, kT=1.0)(
        LangevinState(t=pair.t, position=jnp.ones(2, int), momentum=jnp.ones(2), key=jax.random.key(0))
    ),
    "must have the shape of the position": lambda: OBABO(lambda t, q: -q[0], dt=0.1, mass=1.0, friction=1.0, kT=1.0)(
        LangevinState(t=pair.t, position=jnp.ones(2), momentum=jnp.ones(2), key=jax.random.key(0))
    ),
    "must be a float array": lambda: VelocityVerlet(free, 0.1)(TimeState(t=pair.t, y=(jnp.ones(2, int), jnp.ones(2)))),
    "whole number of steps, 1 or more": lambda: Repeated(PositionVerlet(free, 0.1), 0),
    "whole number of at least 1": lambda: GaussLegendre(free, 0.1, 0),
    "must be a float array, not Array\\(\\[1\\]": lambda: ImplicitMidpoint(free, 0.1)(
        TimeState(t=pair.t, y=(jnp.ones(2), jnp.ones(1, int)))
    ),
    "what y looks like, but its structure": lambda: GaussLegendre(lambda t, y, args: {"v": y["q"], "q": y["p"]}, 0.1)(
        TimeState(t=pair.t, y={"p": jnp.ones(2), "q": jnp.ones(2)})
    ),
    "state of real numbers": lambda: ImplicitMidpoint(lambda t, y, args: 1j * y, 0.1)(
        TimeState(t=pair.t, y=jnp.ones(2, complex))
    ),
}


class Clock(AbstractSimulator[Any]):
    @property
    def dt(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        return jnp.asarray(0.1)

    def __call__(self, state):
        return state


class Fixed(AbstractSimulator[Any]):
    dt: float = eqx.field(static=True)  # pyright: ignore[reportIncompatibleVariableOverride]

    def __call__(self, state):
        return TimeState(t=state.t + self.dt, y=state.y)


class Plain(AbstractSimulator[Any]):
    """The clock alone, in double steps; dt is a Python number."""

    dt: Any

    def __call__(self, state):
        return TimeState(t=state.t + self.dt, y=state.y + 2 * self.dt)


class Listed(AbstractMaintained[Any]):
    dt: Any = parameter(default=0.1)

    def __call__(self, state):
        return state

    every: Any = __call__
    refresh = verify = grow = facts = view = every


@pytest.mark.parametrize("message", BAD)
def test_bad_input_names_the_thing_and_the_cure(message):
    with pytest.raises(ValueError, match=message):
        BAD[message]()


def test_a_step_that_is_a_plain_number_is_scaled():
    start = TimeState(t=jnp.zeros(()), y=jnp.zeros(()))
    for dt in (1, 0.5):
        for whole in (yoshida4(Plain(dt)), Strang(Plain(dt / 2), Plain(dt / 2))):
            end = whole(start)
            np.testing.assert_allclose(end.t, whole.dt, rtol=1e-14)
            np.testing.assert_allclose(end.y, 2 * dt, rtol=1e-14)


def test_ready_made_systems_separate_or_are_refused():
    orbit = Kepler(mu=1.0)
    VelocityVerlet(orbit, 0.1)(TimeState(t=pair.t, y=orbit.periapsis(1.0, 0.3)))
    PositionVerlet(Pendulum(length=1.0), 0.1)  # its damping is a number that may be 0: not known to separate
    with pytest.raises(ValueError, match="separable"):
        arms = DoublePendulum(masses=[1.0, 1.0], lengths=[1.0, 1.0])
        VelocityVerlet(arms, 0.1)(TimeState(t=pair.t, y=Motion(*pair.y)))
