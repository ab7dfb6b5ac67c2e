"""Langevin splittings against exact moments: those of a linear system without any noise, by a Lyapunov equation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from kinax.solvers import BAOAB, LangevinState, OBABO, Repeated, rollout, TimeState, VelocityVerlet
from tests.helpers import astype

MASS, STIFFNESS, FRICTION, KT = 1.3, 2.0, 0.7, 0.4
OMEGA = np.sqrt(STIFFNESS / MASS)
KEY = jax.random.key(0, impl="unsafe_rbg")
BOTH = pytest.mark.parametrize("kind", [BAOAB, OBABO])


def spring(t, q):
    return -STIFFNESS * q


def free(t, q):
    return jnp.zeros_like(q)


def at(q, p, dtype=float, key=KEY):
    position, momentum = jnp.asarray(q, dtype), jnp.asarray(p, dtype)
    return LangevinState(t=jnp.zeros((), dtype), position=position, momentum=momentum, key=key)


def linear(monkeypatch, kind, dt, force=spring, friction=FRICTION, dtype=float):
    """M and N of a step x -> M x + noise of covariance N, x = (q, p), from its derivatives by x and by its normals."""
    simulator = astype(kind(force, dt=dt, mass=MASS, friction=friction, kT=KT), dtype)

    def step(x, normals):
        given = iter(normals)
        with monkeypatch.context() as patch:
            patch.setattr(jax.random, "normal", lambda key, shape, dtype: next(given))
            state = simulator(at(x[0], x[1], dtype))
        return jnp.stack([state.position, state.momentum])

    zeros = jnp.zeros(2, dtype)
    m, s = (np.asarray(j, float) for j in jax.jacfwd(step, argnums=(0, 1))(zeros, zeros))
    return m, s @ s.T


EXACT = np.array([[0, 1 / MASS], [-STIFFNESS, -FRICTION]])
SETTLED = np.diag([KT / STIFFNESS, MASS * KT])


@pytest.mark.parametrize("step", [0.1, 1.0, 1.9])
def test_what_a_harmonic_oscillator_settles_to(monkeypatch, step):
    dt = step / OMEGA
    bias = 1 - (OMEGA * dt / 2) ** 2
    for kind, expected in (
        (BAOAB, [KT / STIFFNESS, MASS * KT * bias]),
        (OBABO, [KT / STIFFNESS / bias, MASS * KT]),
    ):
        found = scipy.linalg.solve_discrete_lyapunov(*linear(monkeypatch, kind, dt))
        np.testing.assert_allclose(found, np.diag(expected), rtol=1e-11, atol=1e-13)


@BOTH
def test_weak_order(monkeypatch, kind):
    x0, end = np.array([0.8, -0.5]), 1.5
    mean = scipy.linalg.expm(EXACT * end) @ x0
    spread = SETTLED - scipy.linalg.expm(EXACT * end) @ SETTLED @ scipy.linalg.expm(EXACT * end).T
    errors = []
    for n in (16, 32):
        m, noise = linear(monkeypatch, kind, end / n)
        x, found = x0, np.zeros((2, 2))
        for _ in range(n):
            x, found = m @ x, m @ found @ m.T + noise
        errors.append([np.abs(x - mean).max(), np.abs(found - spread).max()])
    orders = np.log2(np.array(errors[0]) / errors[1])
    np.testing.assert_allclose(orders, 2, atol=0.05)


@BOTH
def test_momenta_of_free_particles_are_exact(monkeypatch, kind):
    for dt in (1e-6, 0.3, 5.0):
        m, noise = linear(monkeypatch, kind, dt, free)
        np.testing.assert_allclose(m[1], [0, np.exp(-FRICTION * dt)], rtol=1e-14)
        np.testing.assert_allclose(noise[1, 1], -np.expm1(-2 * FRICTION * dt) * MASS * KT, rtol=1e-14)


@BOTH
@pytest.mark.parametrize("friction", [1e-9, 1e-3, 0.5, 50.0])
def test_little_friction_in_float32(monkeypatch, kind, friction):
    m, noise = linear(monkeypatch, kind, 0.01, free, friction, jnp.float32)
    dt = float(np.float32(0.01))
    np.testing.assert_allclose(m[1, 1], np.exp(-friction * dt), rtol=3e-7)
    np.testing.assert_allclose(noise[1, 1], -np.expm1(-2 * friction * dt) * MASS * KT, rtol=1e-6)


def test_samples_of_springs_and_of_a_quartic_well():
    n, well = 50_000, lambda t, q: -(q**3)
    x = np.linspace(-6, 6, 20_001)
    weight = np.exp(-(x**4) / 4 / KT)
    quartic = (x**2 * weight).sum() / weight.sum(), (x**4 * weight).sum() / weight.sum()
    long = 1.5 / OMEGA
    bias = 1 - 1.5**2 / 4
    for kind, force, dt, expected, fourth in (
        (BAOAB, spring, long, KT / STIFFNESS, 3 * (KT / STIFFNESS) ** 2),
        (OBABO, spring, long, KT / STIFFNESS / bias, 3 * (KT / STIFFNESS / bias) ** 2),
        (BAOAB, well, 0.25, *quartic),
    ):
        simulator = kind(force, dt=dt, mass=MASS, friction=FRICTION, kT=KT)
        found = rollout(simulator, at(np.zeros(n), np.zeros(n)), 80, save_every=80).state
        error = np.sqrt((fourth - expected**2) / n)  # one standard error; atoms are independent
        np.testing.assert_allclose(np.mean(found.position**2), expected, rtol=0, atol=4 * error)
        assert error < 0.01 * expected
        np.testing.assert_allclose(np.mean(found.position), 0, atol=4 * np.sqrt(expected / n))
    again = rollout(simulator, at(np.zeros(n), np.zeros(n)), 80, save_every=80).state
    np.testing.assert_array_equal(again.position, found.position)  # the key is in the state


@BOTH
def test_without_friction_it_is_velocity_verlet(kind):
    pendulum = lambda t, q: -jnp.sin(q) * (1 + 0.1 * jnp.cos(t))
    q, p, mass = jnp.asarray([0.4, 2.0]), jnp.asarray([0.3, -0.2]), jnp.asarray([1.3, 0.6])

    def in_bath(given):
        q, p, mass, dt, kT = given
        simulator = kind(pendulum, dt=dt, mass=mass, friction=jnp.zeros(()), kT=kT)
        end = rollout(simulator, at(q, p), 10, save_every=10).state
        return end.position, end.momentum

    def alone(given):
        q, p, mass, dt, _ = given
        field = lambda t, y, args: (y[1] / mass, pendulum(t, y[0]))
        return rollout(VelocityVerlet(field, dt), TimeState(t=jnp.zeros(()), y=(q, p)), 10, save_every=10).state.y

    given = (q, p, mass, jnp.asarray(0.1), jnp.asarray(KT))
    np.testing.assert_allclose(in_bath(given), alone(given), rtol=1e-13)
    (found, expected) = (jax.jit(jax.jacrev(f))(given) for f in (in_bath, alone))  # of the noise: 0, not 0 / 0
    for a, b in zip(*map(jax.tree.leaves, (found, expected)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)


def test_called_directly_with_a_typed_key_and_an_integer_time():
    start = LangevinState(t=0, position=jnp.ones(2), momentum=jnp.ones(2), key=jax.random.key(0))
    end = Repeated(BAOAB(spring, dt=0.1, mass=MASS, friction=FRICTION, kT=KT), 3)(start)
    np.testing.assert_allclose(end.t, 0.3, rtol=1e-14)


def test_masses_of_atoms_and_bad_input():
    mass = np.array([[1.0], [4.0]])
    simulator = BAOAB(free, dt=100.0, mass=mass, friction=1.0, kT=KT)
    momenta = rollout(simulator, at(np.zeros((2, 30_000)), np.zeros((2, 30_000))), 1).state.momentum
    np.testing.assert_allclose(np.var(momenta, axis=1), KT * mass[:, 0], rtol=4 * np.sqrt(2 / 30_000))
    good = dict(dt=0.1, mass=1.0, friction=1.0, kT=1.0)
    for bad, message in (
        (dict(dt=0.0), "dt must be positive"),
        (dict(mass=[1.0, -1.0]), "mass must be positive"),
        (dict(friction=-1.0), "friction must not be negative"),
        (dict(kT=float("nan")), "kT must not be negative"),
    ):
        with pytest.raises(ValueError, match=message):
            OBABO(free, **(good | bad))
