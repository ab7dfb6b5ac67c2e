"""Motion in time against closed forms, orders of convergence and what is conserved."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from kinax.physics import (
    actuators,
    Ball,
    Body,
    DryFriction,
    Filter,
    Free,
    Hinge,
    ImplicitFast,
    Inertia,
    JointState,
    mechanism,
    Motor,
    Multibody,
    MuntheKaas,
    Passive,
    PointSpring,
    rotate,
    RungeKutta4,
    SemiImplicitEuler,
    Slide,
    Variational,
)
from kinax.solvers import integrate, rollout, TimeState
from tests.mechanisms import chain, every_joint, floating, somewhere

STEPPERS = {SemiImplicitEuler: 1, ImplicitFast: 1, RungeKutta4: 4, Variational: 2}


def start(multibody, q=None, v=None):
    return TimeState(t=jnp.asarray(0.0, multibody.mechanism.rest.dtype), y=multibody.state(q, v))


def run(stepper, state, n, every=None):
    return rollout(stepper, state, n, save_every=every or n)


def test_a_pendulum_swings_as_its_elliptic_function():
    """From rest at a large angle: theta = 2 asin(k cd(w t, k²)), k = sin(theta0 / 2)."""
    inertia, center, gravity, first = 0.4, 0.7, 9.81, 2.5
    rod = Inertia(0.9, (0, 0, -center), (inertia, inertia, 0.1))
    swing = Multibody(mechanism(Body("rod", joint=Hinge([0.0, 1, 0]), inertia=rod), gravity=(0, 0, -gravity)))
    omega = np.sqrt(0.9 * gravity * center / (inertia + 0.9 * center**2))
    ts, k = np.linspace(0, 5, 21), np.sin(first / 2)
    _, cn, dn, _ = scipy.special.ellipj(omega * ts, k**2)
    expected = 2 * np.arcsin(k * cn / dn)
    found = integrate(swing, swing.state(q=[first]), ts, rtol=1e-12, atol=1e-12, solver=diffrax.Dopri8())
    np.testing.assert_allclose(found.ys.q[:, 0], expected, atol=1e-9)
    stepped = rollout(RungeKutta4(swing, dt=0.0025), start(swing, [first]), 2000, save_every=100)
    np.testing.assert_allclose(stepped.ys.y.q[:, 0], expected[1:], atol=1e-8)


def free_top(moments):
    body = Body("top", joint=Free(), inertia=Inertia(1.0, (0, 0, 0), moments))
    return Multibody(mechanism(body, gravity=(0, 0, 0)))


@pytest.mark.parametrize("case", ["fast", "slow", "separatrix"])
def test_a_free_asymmetric_top_turns_as_euler_found(case):
    """Jacobi's elliptic functions on both sides of the separatrix; on it one flip, sech and tanh."""
    I1, I2, I3 = moments = np.array([1.0, 2.0, 2.7])
    omega = {"fast": [0.3, 0.2, 1.5], "slow": [1.5, 0.2, 0.3]}.get(case)
    if omega is None:  # L² = 2 E I2
        omega = [np.sqrt(I3 * (I3 - I2)) * 0.5, 0.0, np.sqrt(I1 * (I2 - I1)) * 0.5]
    omega = np.array(omega)
    energy2, momentum2 = moments @ omega**2, moments**2 @ omega**2  # 2E, L²
    ts = np.linspace(0, 8, 17)
    top = free_top(moments)
    y0 = top.state(v=np.concatenate([np.zeros(3), omega]))
    solver = MuntheKaas(diffrax.Dopri8(), top.mechanism.topology)
    found = np.asarray(integrate(top, y0, ts, rtol=1e-12, atol=1e-12, solver=solver).ys.v[:, 3:])
    np.testing.assert_allclose((found**2) @ moments, energy2, rtol=1e-9)
    if case == "slow":  # swap 1 and 3
        I1, I3, found = I3, I1, found[:, ::-1]
        omega = omega[::-1]
    if case == "separatrix":
        rate = np.sqrt((I2 - I1) * (I3 - I2) / (I1 * I3)) * np.sqrt(momentum2) / I2
        first = omega[0] / np.cosh(rate * ts)
        second = np.sqrt(momentum2) / I2 * np.tanh(rate * ts)
        np.testing.assert_allclose(np.abs(found[:, 0]), np.abs(first), atol=1e-7)
        np.testing.assert_allclose(np.abs(found[:, 1]), np.abs(second), atol=1e-7)
        return
    a1 = np.sqrt((energy2 * I3 - momentum2) / (I1 * (I3 - I1)))
    a2 = np.sqrt((energy2 * I3 - momentum2) / (I2 * (I3 - I2)))
    a3 = np.sqrt((momentum2 - energy2 * I1) / (I3 * (I3 - I1)))
    k2 = (I2 - I1) * (energy2 * I3 - momentum2) / ((I3 - I2) * (momentum2 - energy2 * I1))
    rate = np.sqrt((I3 - I2) * (momentum2 - energy2 * I1) / (I1 * I2 * I3))
    sn, cn, dn, _ = scipy.special.ellipj(rate * ts + scipy.special.ellipkinc(np.arcsin(omega[1] / a2), k2), k2)
    expected = np.stack([a1 * cn, a2 * sn, a3 * dn], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_heavy_top_precesses_steadily():
    """I1 cos(theta) W² - I3 w3 W + m g l = 0, and the axis keeps its angle."""
    mass, length, gravity, theta, I1, I3 = 0.8, 0.3, 9.81, 0.6, 0.05, 0.02
    spin = 60.0
    center = mass * gravity * length
    pivot_moment = I1 + mass * length**2
    slow = np.roots([pivot_moment * np.cos(theta), -I3 * spin, center]).min()
    body = Body("top", joint=Ball(), inertia=Inertia(mass, (0, 0, length), (I1, I1, I3)))
    top = Multibody(mechanism(body, gravity=(0, 0, -gravity)))
    turn = np.array([np.cos(theta / 2), 0, np.sin(theta / 2), 0])
    # precession about the vertical, seen in the body, and the spin that makes w3 = spin
    omega = np.array([-slow * np.sin(theta), 0, spin])
    ts = np.linspace(0, 3, 13)
    solver = MuntheKaas(diffrax.Dopri8(), top.mechanism.topology)
    found = integrate(top, top.state(turn, omega), ts, rtol=1e-11, atol=1e-11, solver=solver).ys
    axis = np.asarray(jax.vmap(lambda q: rotate(q, jnp.asarray([0.0, 0, 1])))(found.q))
    expected = np.stack([np.sin(theta) * np.cos(slow * ts), np.sin(theta) * np.sin(slow * ts)], axis=1)
    np.testing.assert_allclose(axis[:, :2], expected, atol=1e-8)
    np.testing.assert_allclose(axis[:, 2], np.cos(theta), atol=1e-9)


def test_frequencies_of_a_hanging_chain_approach_the_zeros_of_bessel():
    """w_n = j_(0,n) / 2 sqrt(g / L) as the number of links grows: the error falls like 1 / n at least."""
    expected = scipy.special.jn_zeros(0, 3) / 2 * np.sqrt(9.81)

    @eqx.filter_jit
    def at_rest(made):
        still = jnp.zeros(made.topology.nv)
        return made.inverse_dynamics_derivatives(still, still, still).q, made.mass_matrix(still)

    def frequencies(n):
        stiffness, matrix = at_rest(chain(n))
        return np.sqrt(np.sort(np.linalg.eigvals(np.linalg.solve(matrix, stiffness)).real))[:3]

    errors = np.array([np.abs(frequencies(n) / expected - 1).max() for n in (10, 60)])
    assert errors[1] < errors[0] / 4 and errors[1] < 2e-3


@pytest.fixture(scope="module")
def runs():
    """Ends of runs with n and 2n steps by each stepper, and the reference."""
    made = every_joint()
    q, v, _ = somewhere(made, size=0.4)
    control = lambda t, y: jnp.sin(3 * t)[None] + y.q[-1:]
    acting = actuators(made, Motor("pole", gear=0.3), control=control)
    multibody = Multibody(made, forces=(acting, DryFriction(slip=0.5)))
    end, n = 0.2, 40
    y0 = multibody.state(q, v)
    solver = MuntheKaas(diffrax.Dopri8(), made.topology)
    exact = integrate(multibody, y0, np.array([0, end]), rtol=1e-12, atol=1e-12, solver=solver).state.y
    return multibody, y0, end, n, exact


@pytest.mark.parametrize(
    "kind", [k if k is not Variational else pytest.param(k, marks=pytest.mark.slow) for k in STEPPERS]
)
def test_orders_of_convergence(runs, kind):
    multibody, y0, end, n, exact = runs
    made, at_start = multibody.mechanism, TimeState(t=jnp.asarray(0.0), y=y0)
    n = n // 8 if kind is RungeKutta4 else n

    @jax.jit
    def after(count):
        step = kind(multibody, dt=end / count.astype(float))
        last = jax.lax.fori_loop(0, count, lambda _, state: step(state), at_start).y
        return last, made.difference(last.q, exact.q)

    errors = []
    for count in (n, 2 * n):
        last, apart = after(jnp.asarray(count))
        errors.append(np.linalg.norm(apart) + np.linalg.norm(last.v - exact.v))
        lengths = np.linalg.norm(np.asarray(last.q)[np.asarray(made.masks.chart.ball_q)], axis=1)
        np.testing.assert_allclose(lengths, 1, atol=1e-14)
    order = np.log2(errors[0] / errors[1])
    assert abs(order - STEPPERS[kind]) < 0.15, (errors, order)


def test_quaternions_as_plain_coordinates_lead_to_the_same_end(runs):
    multibody, y0, end, _, exact = runs
    plain = integrate(multibody, y0, np.array([0, end]), rtol=1e-10, atol=1e-10).state.y
    made = multibody.mechanism
    np.testing.assert_allclose(made.difference(plain.q, exact.q), 0, atol=1e-8)


@pytest.mark.slow
def test_the_variational_stepper_keeps_momenta_and_has_no_drift_and_goes_back():
    made = floating()
    q, v, _ = somewhere(made)
    body = Multibody(made)
    step, state = Variational(body, dt=0.02), start(body, q, v)
    saved = rollout(step, state, 2000, save_every=50).ys.y

    @jax.jit
    @jax.vmap
    def momenta(q, v):
        """Linear, and angular about the world's origin: what a discrete action conserves."""
        found = made.momentum(q, v)
        return found.linear, found.angular + jnp.cross(made.center_of_mass(q), found.linear)

    first = momenta(q[None], v[None])
    for later, at_start in zip(momenta(saved.q, saved.v), first, strict=True):
        np.testing.assert_allclose(later, np.tile(at_start, (40, 1)), atol=1e-9)
    energies = np.asarray(jax.jit(jax.vmap(made.energy))(saved.q, saved.v))
    start_energy = float(made.energy(q, v))
    assert np.abs(energies / start_energy - 1).max() < 2e-2
    assert abs(energies[20:].mean() - energies[:20].mean()) < 0.1 * np.ptp(energies)
    there = rollout(step, state, 50, save_every=50).state
    turned = TimeState(t=there.t, y=JointState(there.y.q, -there.y.v))
    back = rollout(step, turned, 50, save_every=50).state.y
    np.testing.assert_allclose(made.difference(back.q, q), 0, atol=1e-9)
    np.testing.assert_allclose(back.v, -v, atol=1e-9)


def test_a_stiff_damper_does_no_harm_to_the_implicit_steps():
    rod = Inertia(1.0, (0, 0, -0.5), (0.1, 0.1, 0.1))
    made = mechanism(Body("rod", joint=Hinge([0.0, 1, 0], passive=Passive(damping=1e4)), inertia=rod))
    body = Multibody(made)
    for kind in (SemiImplicitEuler, ImplicitFast):
        last = run(kind(body, dt=0.01), start(body, [1.0]), 100).state.y
        np.testing.assert_allclose(last.v, -9.81 * 0.5 * np.sin(1.0) / 1e4, rtol=1e-3)


def test_an_implicit_damper_between_a_free_body_and_another_keeps_their_momentum():
    one = Inertia(1.0, (0, 0, 0), (1, 1, 1))
    made = mechanism(
        Body("a", joint=Free(), inertia=one),
        Body("b", joint=Slide([1.0, 0, 0]), position=(2, 0, 0), inertia=one),
        gravity=(0, 0, 0),
    )
    body = Multibody(made, (PointSpring("a", (0, 0, 0), "b", (0, 0, 0), stiffness=0.0, damping=100.0),))
    v = jnp.zeros(7).at[6].set(2.0)
    last = run(ImplicitFast(body, dt=0.01), start(body, v=v), 1).state.y
    np.testing.assert_allclose(np.asarray(last.v)[[0, 6]], [2 / 3, 4 / 3], rtol=1e-9)


def test_activations_are_stepped_with_the_bodies():
    rod = Inertia(1.0, (0, 0, 0), (1.0, 1.0, 1.0))
    made = mechanism(Body("rod", joint=Hinge([0.0, 1, 0]), inertia=rod), gravity=(0, 0, 0))
    acting = actuators(made, Motor("rod", activation=Filter(0.5)), control=jnp.asarray([2.0]))
    body = Multibody(made, (acting,))
    ts = np.linspace(0, 1, 5)
    exact = 2 * (ts - 0.5 * (1 - np.exp(-ts / 0.5)))
    found = integrate(body, body.state(), ts, rtol=1e-10, atol=1e-10).ys
    np.testing.assert_allclose(found.v[:, 0], exact, atol=1e-8)
    last = run(RungeKutta4(body, dt=0.01), start(body), 100).state.y
    np.testing.assert_allclose(last.v[0], exact[-1], atol=1e-8)
    np.testing.assert_allclose(last.act[0], 2 * (1 - np.exp(-2)), atol=1e-8)
    with pytest.raises(ValueError, match="activations"):
        Variational(body, dt=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("kind", STEPPERS)
def test_gradients_of_a_run(kind):
    """To all parameters and the start, both modes and differences, from rest (no velocity, no rotation)."""
    made = every_joint()
    rng = np.random.default_rng(4)
    floats, rest = eqx.partition(made, eqx.is_inexact_array)

    def end(given):
        floats, v = given
        body = Multibody(eqx.combine(floats, rest))
        last = run(kind(body, dt=0.01), start(body, v=v), 5).state.y
        return jnp.sum(jnp.cos(jnp.arange(last.v.size)) * last.v) + jnp.sum(body.mechanism.poses(last.q).position ** 2)

    given = (floats, jnp.zeros(made.topology.nv))
    along = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), given)
    forward = jax.jit(lambda x: jax.jvp(end, (x,), (along,)))
    gradient = jax.jit(jax.grad(end))(given)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))
    reverse = sum(np.sum(x * y) for x, y in zip(*map(jax.tree.leaves, (gradient, along)), strict=True))
    h = 1e-4
    at = lambda step: float(forward(jax.tree.map(lambda x, d: x + step * d, given, along))[0])
    rise = (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
    np.testing.assert_allclose([float(forward(given)[1]), reverse], rise, rtol=1e-7)
