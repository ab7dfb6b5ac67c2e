"""Systems whose solution is known in closed form, and systems that are one system written twice."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.special
from kinax.physics import (
    DoublePendulum,
    Hamiltonian,
    Kepler,
    Lagrangian,
    Motion,
    NBody,
    Pendulum,
    Phase,
    ScaledVanDerPol,
    VanDerPol,
)
from kinax.solvers import integrate, RESULTS


def assert_close(found, expected, **tolerances):
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, **tolerances), found, expected)


@pytest.mark.parametrize("amplitude", [1e-3, 1.0, 3.1])
def test_pendulum_swings_with_the_elliptic_period(amplitude):
    period = 4 * np.sqrt(0.7 / 9.81) * scipy.special.ellipk(np.sin(amplitude / 2) ** 2)
    pendulum = Pendulum(length=0.7, gravity=9.81)
    ys = integrate(pendulum, Motion(q=amplitude, v=0.0), [0.0, period / 2, period], rtol=1e-10, atol=1e-14).ys
    np.testing.assert_allclose(ys.q, [amplitude, -amplitude, amplitude], rtol=1e-6)
    np.testing.assert_allclose(jax.vmap(pendulum.energy)(ys), pendulum.energy(Motion(q=amplitude, v=0.0)), rtol=1e-8)


def test_kepler_follows_keplers_equation():
    semi_axis, eccentricity, kepler = 1.3, 0.6, Kepler(mu=2.5)
    start = kepler.periapsis(semi_axis, eccentricity)
    turns = np.linspace(0, 1.4, 5)
    anomaly = np.array(
        [
            scipy.optimize.brentq(lambda E, m=m: E - eccentricity * np.sin(E) - m, m - 1, m + 1)
            for m in 2 * np.pi * turns
        ]
    )
    expected = [np.cos(anomaly) - eccentricity, np.sqrt(1 - eccentricity**2) * np.sin(anomaly)]
    q = integrate(kepler, start, turns * float(kepler.period(start)), rtol=1e-10, atol=1e-12).ys.q
    np.testing.assert_allclose(q, semi_axis * np.stack(expected, axis=1), atol=1e-7)
    np.testing.assert_allclose(kepler.laplace_runge_lenz(start), [2.5 * eccentricity, 0], atol=1e-14)


def test_two_bodies_are_kepler_in_relative_coordinates():
    masses, y = np.array([2.0, 0.5]), Motion(q=jnp.array([0.3, -0.4, 0.5]), v=jnp.array([1.0, 0.2, 0.1]))
    both = jax.tree.map(lambda x: np.array([[-0.2], [0.8]]) * np.asarray(x), y)
    acceleration = NBody(masses=masses)(0.0, both, None).v
    np.testing.assert_allclose(acceleration[1] - acceleration[0], Kepler(mu=2.5)(0.0, y, None).v, rtol=1e-13)
    np.testing.assert_allclose(masses @ acceleration, np.zeros(3), atol=1e-14)


def test_two_scalings_of_van_der_pol_are_one():
    """Time and velocity of the one are those of the other over and times mu."""
    mu, y = 20.0, Motion(q=1.7, v=-0.6)
    scaled = ScaledVanDerPol(eps=mu**-2)(0.0, y, None)
    plain = VanDerPol(mu=mu)(0.0, Motion(q=y.q, v=y.v / mu), None)
    np.testing.assert_allclose([plain.q * mu, plain.v * mu**2], scaled, rtol=1e-13)


def double_pendulum_lagrangian(q, v):
    tips = lambda q: jnp.cumsum(jnp.stack([0.8 * jnp.sin(q[0]), 1.1 * jnp.sin(q[1])]))
    drops = lambda q: jnp.cumsum(jnp.stack([0.8 * jnp.cos(q[0]), 1.1 * jnp.cos(q[1])]))
    masses = jnp.array([1.0, 0.7])
    horizontal, vertical = jax.jvp(tips, (q,), (v,))[1], jax.jvp(drops, (q,), (v,))[1]
    return masses @ (horizontal**2 + vertical**2) / 2 + 9.80665 * masses @ drops(q)


def kepler_lagrangian(q, v):
    return v @ v / 2 + 1.7 / jnp.sqrt(q @ q)


TWICE = [
    (
        DoublePendulum(masses=[1.0, 0.7], lengths=[0.8, 1.1]),
        Lagrangian(double_pendulum_lagrangian),
        [
            ([0.0, 0.0], [0.0, 0.0]),  # at rest
            ([np.pi, 0.0], [0.0, 0.0]),  # folded, at rest
            ([0.4, 0.4], [1.0, -2.0]),  # aligned
            ([2.0, -1.0], [3.0, 0.5]),
        ],
    ),
    (
        Pendulum(length=0.7, damping=0.3),
        Lagrangian(lambda q, v: 0.49 * v**2 / 2 + 9.80665 * 0.7 * jnp.cos(q), lambda t, q, v: -0.3 * 0.49 * v),
        [(0.0, 0.0), (np.pi, 0.0), (1.0, -2.0)],
    ),
    (Kepler(mu=1.7), Lagrangian(kepler_lagrangian), [([1.0, 0.0], [0.0, 0.0]), ([0.3, -0.4, 0.5], [1.0, 0.2, 0.1])]),
]


@pytest.mark.parametrize("by_hand, derived, states", TWICE, ids=lambda x: type(x).__name__)
def test_lagrangian_agrees_with_equations_derived_by_hand(by_hand, derived, states):
    @eqx.filter_jit
    def describe(system, y):
        """The acceleration, its derivative by the position, and the energy above that of another state."""
        acceleration = lambda q: system(0.0, Motion(q=q, v=y.v), None).v
        other = jax.tree.map(jnp.ones_like, y)
        rise = 0.0 if isinstance(by_hand, Pendulum) else system.energy(y) - system.energy(other)
        return acceleration(y.q), jax.jacfwd(acceleration)(y.q), rise

    for q, v in states:
        y = Motion(q=jnp.asarray(q), v=jnp.asarray(v))
        assert_close(describe(derived, y), describe(by_hand, y), rtol=1e-9, atol=1e-10)


def test_hamiltonian_agrees_with_equations_derived_by_hand():
    pendulum = Hamiltonian(lambda q, p: p**2 / (2 * 0.49) - 9.80665 * 0.7 * jnp.cos(q))
    rate = pendulum(0.0, Phase(q=1.2, p=0.49 * 0.4), None)
    expected = Pendulum(length=0.7)(0.0, Motion(q=1.2, v=0.4), None)
    np.testing.assert_allclose([rate.q, rate.p / 0.49], expected, rtol=1e-13)


def test_units_do_not_make_a_mass_matrix_singular():
    """Coordinates of very different scale, and an indefinite mass matrix with a zero diagonal, are both solvable."""
    y = Motion(q=jnp.array([1.0, 1.0]), v=jnp.array([0.0, 0.0]))
    scaled = Lagrangian(lambda q, v: 1e-20 * v[0] ** 2 / 2 + 1e6 * v[1] ** 2 / 2 - 1e-20 * q[0] - 1e6 * q[1])
    np.testing.assert_allclose(eqx.filter_jit(scaled)(0.0, y, None).v, [-1, -1], rtol=1e-12)
    crossed = Lagrangian(lambda q, v: v[0] * v[1] - q[0] ** 2 / 2 - q[1] * q[0])
    np.testing.assert_allclose(eqx.filter_jit(crossed)(0.0, y, None).v, [-1, -2], rtol=1e-12)


SINGULAR = {
    "missing velocity": lambda q, v: v[0] ** 2 / 2 - q @ q,
    "only the sum": lambda q, v: (v[0] + v[1]) ** 2 / 2 - q @ q,
    "homogeneous": lambda q, v: jnp.sqrt(v @ v),
    "nearly singular": lambda q, v: (v[0] + v[1]) ** 2 / 2 + 1e-17 * v[1] ** 2 - q @ q,
}


def test_singular_mass_matrix_is_never_silently_wrong():
    y = Motion(q=jnp.array([1.0, 0.5]), v=jnp.array([0.3, 0.2]))
    accelerations = jax.jit(lambda y: {name: Lagrangian(f)(0.0, y, None).v for name, f in SINGULAR.items()})(y)
    for name, acceleration in accelerations.items():
        assert np.isnan(acceleration).all(), name


def test_singular_mass_matrix_ends_with_a_named_result_and_is_not_contagious():
    """L = m v²/2 - q²/2 for a regular and a vanishing mass."""

    def end(mass):
        system = Lagrangian(lambda q, v: mass * v**2 / 2 - q**2 / 2)
        solution = integrate(system, Motion(q=1.0, v=0.0), [0.0, 1.0], throw=False)
        return solution.ys.q[-1], solution.result

    q, result = jax.vmap(end)(jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(q[0], np.cos(1.0), rtol=1e-5)
    np.testing.assert_array_equal(result == RESULTS.successful, [True, False])


def test_coincident_and_lone_bodies():
    one = NBody(masses=[2.0])(0.0, Motion(q=jnp.zeros((1, 3)), v=jnp.ones((1, 3))), None)
    np.testing.assert_array_equal(one.v, np.zeros((1, 3)))
    together = Motion(q=jnp.zeros((2, 2)), v=jnp.zeros((2, 2)))
    push = lambda q: NBody(masses=[1.0, 1.0], softening=0.1)(0.0, together._replace(q=q), None).v
    stiffness = jax.jit(jax.jacfwd(push))(together.q)
    np.testing.assert_allclose(stiffness[0, 0, 1, 0], 1 / 0.1**3, rtol=1e-12)
    np.testing.assert_array_equal(push(together.q), np.zeros((2, 2)))
    assert np.isnan(NBody(masses=[1.0, 1.0])(0.0, together, None).v).all()
