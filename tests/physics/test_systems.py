"""Every ready-made system: SciPy's solution, gradients, dtypes, jit, vmap, bad input."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
from jax.flatten_util import ravel_pytree
from kinax.physics import (
    DoublePendulum,
    FitzHughNagumo,
    Hamiltonian,
    Kepler,
    Lagrangian,
    Lorenz,
    LotkaVolterra,
    Motion,
    NBody,
    Pendulum,
    Phase,
    Robertson,
    VanDerPol,
)
from kinax.solvers import integrate, nonstiff, stiff
from tests.helpers import all_systems, astype

by_system = pytest.mark.parametrize("case", all_systems, ids=lambda case: case.name)


# Right-hand sides written a second time, in NumPy, on flat vectors (the order of `jax.tree.leaves`).


def double_pendulum(t, y):
    (m1, m2), (l1, l2), g = (1.0, 0.7), (0.8, 1.1), 9.80665
    a, b, va, vb = y
    mass = [[(m1 + m2) * l1**2, m2 * l1 * l2 * np.cos(a - b)], [m2 * l1 * l2 * np.cos(a - b), m2 * l2**2]]
    force = [
        -m2 * l1 * l2 * np.sin(a - b) * vb**2 - (m1 + m2) * g * l1 * np.sin(a),
        m2 * l1 * l2 * np.sin(a - b) * va**2 - m2 * g * l2 * np.sin(b),
    ]
    return [va, vb, *np.linalg.solve(mass, force)]


def n_body(t, y):
    masses = [1.0, 0.5, 0.2]
    q, v = y.reshape(2, 3, 3)
    acceleration = np.zeros((3, 3))
    for i in range(3):
        for j in range(3):
            if i != j:
                d = q[j] - q[i]
                acceleration[i] += 0.9 * masses[j] * d / (d @ d + 0.1**2) ** 1.5
    return np.concatenate([v, acceleration]).ravel()


def spring_pendulum(t, y):
    angle, length, v_angle, v_length = y
    return [
        v_angle,
        v_length,
        -(9.8 * np.sin(angle) + 2 * v_length * v_angle) / length,
        length * v_angle**2 - 25.0 / 1.3 * (length - 0.8) + 9.8 * np.cos(angle),
    ]


REFERENCES = {
    "lotka_volterra": lambda t, y: [(0.55 - 0.028 * y[1]) * y[0], (-0.8 + 0.024 * y[0]) * y[1]],
    "van_der_pol": lambda t, y: [y[1], 2 * (1 - y[0] ** 2) * y[1] - y[0]],
    "scaled_van_der_pol": lambda t, y: [y[1], ((1 - y[0] ** 2) * y[1] - y[0]) / 0.01],
    "robertson": lambda t, y: [
        -0.04 * y[0] + 1e4 * y[1] * y[2],
        0.04 * y[0] - 1e4 * y[1] * y[2] - 3e7 * y[1] ** 2,
        3e7 * y[1] ** 2,
    ],
    "lorenz": lambda t, y: [10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]],
    "fitzhugh_nagumo": lambda t, y: [y[0] - y[0] ** 3 / 3 - y[1] + 0.5, (y[0] + 0.7 - 0.8 * y[1]) / 12.5],
    "pendulum": lambda t, y: [y[1], -9.80665 / 1.5 * np.sin(y[0]) - 0.1 * y[1]],
    "double_pendulum": double_pendulum,
    "kepler": lambda t, y: [*y[2:], *(-1.2 * y[:2] / np.hypot(y[0], y[1]) ** 3)],
    "n_body": n_body,
    "hamiltonian": lambda t, y: [y[2], y[3], -y[0] - 2 * y[0] * y[1], -y[1] - y[0] ** 2 + y[1] ** 2],
    "lagrangian": spring_pendulum,
}
INVARIANTS = {
    "lotka_volterra": ["first_integral"],
    "robertson": ["mass"],
    "double_pendulum": ["energy"],
    "kepler": ["energy", "angular_momentum", "laplace_runge_lenz", "period"],
    "n_body": ["energy", "momentum", "angular_momentum"],
    "hamiltonian": ["energy"],
    "lagrangian": ["energy"],
}


@pytest.fixture(scope="module", params=[False, True], ids=["nonstiff", "stiff"])
def trajectories(request):
    """All systems of one kind solved as one: a solve costs seconds to compile, so time is scaled to one interval."""
    cases = {case.name: case for case in all_systems if case.stiff is request.param}
    scaled = np.linspace(0.0, 1.0, 4)

    def rates(t, ys, args):
        of = lambda case: case.system(t * case.ts[-1], ys[case.name], None)
        return {name: jax.tree.map(lambda rate, end=case.ts[-1]: end * rate, of(case)) for name, case in cases.items()}

    solver = stiff() if request.param else nonstiff()
    y0 = {name: case.y0 for name, case in cases.items()}
    ys = integrate(rates, y0, scaled, solver=solver, rtol=1e-10, atol=1e-13).ys
    return {name: (case, scaled * case.ts[-1], ys[name]) for name, case in cases.items()}


def test_systems_agree_with_scipy_and_conserve(trajectories):
    for name, (case, ts, ys) in trajectories.items():
        start, method = np.asarray(ravel_pytree(case.y0)[0]), "Radau" if case.stiff else "DOP853"
        found = np.stack([ravel_pytree(jax.tree.map(lambda y, i=i: y[i], ys))[0] for i in range(ts.size)])
        expected = scipy.integrate.solve_ivp(
            REFERENCES[name], (0, ts[-1]), start, method, ts, rtol=1e-12, atol=1e-15
        ).y.T
        floor = 1e-12 if name == "robertson" else 1e-7
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=floor, err_msg=name)
        for invariant in INVARIANTS.get(name, []):
            values = np.asarray(jax.vmap(getattr(case.system, invariant))(ys))
            constant = np.broadcast_to(values[0], values.shape)
            np.testing.assert_allclose(values, constant, rtol=1e-7, atol=1e-7, err_msg=f"{name} {invariant}")


def test_every_system_has_a_reference():
    assert {case.name for case in all_systems} == REFERENCES.keys()


@by_system
def test_gradient_is_that_of_central_differences(case):
    """Of the rate of change, with respect to every parameter and the whole state."""
    arrays, static = eqx.partition((case.system, case.y0), eqx.is_inexact_array)
    flat, unravel = ravel_pytree(arrays)
    assert flat.size == sum(np.size(leaf) for leaf in jax.tree.leaves((case.system, case.y0)) if eqx.is_array(leaf))

    @jax.jit
    def project(flat):
        system, y = eqx.combine(unravel(flat), static)
        rate, _ = ravel_pytree(system(0.0, y, None))
        return rate @ jnp.linspace(1.0, 2.0, rate.size)

    gradient = jax.jit(jax.grad(project))(flat)
    for i in range(flat.size):
        step = 1e-5 * max(abs(float(flat[i])), 0.1 if case.name != "robertson" else 1e-6)
        difference = project(flat.at[i].add(step)) - project(flat.at[i].add(-step))
        np.testing.assert_allclose(gradient[i], difference / (2 * step), rtol=2e-6, atol=1e-6, err_msg=str(i))


@by_system
def test_dtype_jit_and_vmap(case):
    rate = case.system(0.0, case.y0, None)  # not compiled
    assert jax.tree.structure(rate) == jax.tree.structure(case.y0)
    single = jax.jit(lambda system, y: system(jnp.float32(0), y, None))(*astype((case.system, case.y0), jnp.float32))
    assert {leaf.dtype for leaf in jax.tree.leaves(single)} == {np.dtype("float32")}
    many = jax.tree.map(lambda x: jnp.stack([x, 1.1 * x]), case.y0)
    compiled = jax.jit(lambda y: case.system(0.0, y, None))
    mapped = jax.jit(jax.vmap(compiled))(many)
    for i, expected in enumerate([rate, compiled(jax.tree.map(lambda x: 1.1 * x, case.y0))]):
        assert_close = lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-12, atol=1e-12)
        jax.tree.map(assert_close, mapped, expected)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=1e-5), single, rate)


def test_integer_parameters_become_floats():
    system = VanDerPol(mu=2)
    assert eqx.filter_grad(lambda s: s(0.0, Motion(q=0.5, v=1.0), None).v)(system).mu == 0.75
    assert NBody(masses=[1, 2]).masses.dtype == np.dtype("float64")


BAD = {
    "a family in one module": (lambda: VanDerPol(mu=[1.0, 2.0]), "mu has shape"),
    "negative length": (lambda: Pendulum(length=-1.0), "length must be positive"),
    "NaN": (lambda: Kepler(mu=np.nan), "mu must be positive"),
    "negative mass": (lambda: NBody(masses=[1.0, -1.0]), "masses must not be negative"),
    "masses not a vector": (lambda: NBody(masses=1.0), r"masses has shape \(\), expected \(n,\)"),
    "three rods": (lambda: DoublePendulum(masses=[1.0, 1.0], lengths=[1.0, 1.0, 1.0]), r"lengths has shape \(3,\)"),
    "a batch": (lambda: Lorenz()(0.0, Lorenz.State(x=np.zeros(3), y=0.0, z=0.0)), r"`x` has shape \(3,\), expected"),
    "scalar angle": (
        lambda: DoublePendulum(masses=[1.0, 1.0], lengths=[1.0, 1.0])(0.0, Motion(q=0.0, v=0.0)),
        r"`q` has shape \(\), expected \(2,\)",
    ),
    "one body too many": (
        lambda: NBody(masses=[1.0, 1.0])(0.0, Motion(q=np.zeros((3, 2)), v=np.zeros((3, 2)))),
        r"`q` has shape \(3, 2\), expected \(2, 2\)",
    ),
    "no plane": (lambda: Kepler(mu=1.0)(0.0, Motion(q=np.ones(4), v=np.ones(4))), r"`q` has shape \(4,\)"),
    "q unlike p": (lambda: Hamiltonian(lambda q, p: p)(0.0, Phase(q=np.ones(2), p=1.0)), "`q` and `p` have shapes"),
    "vector energy": (lambda: Hamiltonian(lambda q, p: p)(0.0, Phase(q=np.ones(2), p=np.ones(2))), "scalar function"),
    "wrong force": (
        lambda: Lagrangian(lambda q, v: v**2, force=lambda t, q, v: jnp.ones(2))(0.0, Motion(q=1.0, v=1.0)),
        "force returned",
    ),
}


@pytest.mark.parametrize("make, message", BAD.values(), ids=BAD)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "system", [Robertson(), FitzHughNagumo(), Pendulum(length=1.0)], ids=lambda s: type(s).__name__
)
def test_a_state_without_names_is_refused(system):
    with pytest.raises(TypeError):
        system(0.0, np.zeros(3), None)


def test_integer_state_is_refused_where_it_would_have_no_gradient():
    with pytest.raises(TypeError, match="write 1.0 for 1"):
        Hamiltonian(lambda q, p: p * p)(0.0, Phase(q=1, p=1))


def test_equilibria_are_at_rest():
    neuron, weather, hares = FitzHughNagumo(), Lorenz(), LotkaVolterra(alpha=0.5, beta=0.03, gamma=0.8, delta=0.02)
    rests = [
        (neuron, neuron.equilibrium()),
        (hares, hares.equilibrium()),
        *((weather, y) for y in weather.equilibria()),
    ]
    for system, y in rests:
        jax.tree.map(lambda rate: np.testing.assert_allclose(rate, 0, atol=1e-13), system(0.0, y, None))
    firing = FitzHughNagumo(current=0.33).equilibrium().v
    np.testing.assert_allclose(firing, -np.sqrt(1 - 0.8 / 12.5), atol=3e-3)  # oscillation sets in at the fold's flank
