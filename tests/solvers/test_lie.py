"""Steps on Lie groups: tops in closed form, exponentials of matrices, derivatives at rest, refusals."""

from typing import NamedTuple

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.linalg
import scipy.special
from kinax.solvers import (
    CommutatorFree,
    Euclidean,
    integrate,
    rollout,
    RungeKuttaMuntheKaas,
    SE3,
    SO3,
    TimeState,
    UnitQuaternion,
)

pytestmark = pytest.mark.usefixtures("backward_sweep")

INERTIA = np.array([1.0, 1.7, 2.6])
EVERY = (SO3(), UnitQuaternion(), SE3(), Euclidean())


class Pose(NamedTuple):
    position: jax.Array
    orientation: jax.Array


def cross(a, b):
    return jnp.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def free_bodies(inertia):
    """A body that turns freely, its attitude three times over, and its velocities in its own axes."""

    def field(t, y, args):
        omega, v = y[3]
        slopes = (cross(inertia * omega, omega) / inertia, cross(v, omega))
        return omega, omega, jnp.concatenate([omega, v]), slopes

    return field


def bodies(matrix, omega, v=(0.3, -0.2, 0.5)):
    quaternion = jnp.asarray(quaternion_of(np.asarray(matrix)), omega.dtype)
    v = jnp.asarray(v, omega.dtype)
    pose = Pose(jnp.zeros_like(v), quaternion)
    return jnp.asarray(matrix, omega.dtype), quaternion, pose, (omega, v)


def quaternion_of(m):
    values, vectors = np.linalg.eigh(
        np.array(
            [
                [m[0, 0] + m[1, 1] + m[2, 2], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]],
                [m[2, 1] - m[1, 2], m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]],
                [m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], m[1, 1] - m[0, 0] - m[2, 2], m[1, 2] + m[2, 1]],
                [m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], m[2, 2] - m[0, 0] - m[1, 1]],
            ]
        )
    )
    return vectors[:, np.argmax(values)]


def matrix_of(q):
    w, x, y, z = np.asarray(q)
    u = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + 2 * w * u + 2 * u @ u


class Top:
    """The free asymmetric top, its angular momentum along the z axis, in closed form but for one integral.

    Source: L. D. Landau, E. M. Lifshitz, Mechanics (1976), section 37.
    """

    def __init__(self, momentum, energy):
        self.momentum, self.energy = momentum, energy

    def omega(self, t):
        (i1, i2, i3), square, twice = INERTIA, self.momentum**2, 2 * self.energy
        above, below = twice * i3 - square, square - twice * i1
        middle = square - twice * i2
        first = np.sqrt(above / (i1 * (i3 - i1)))
        last = np.sqrt(below / (i3 * (i3 - i1)))
        if abs(middle) < 1e-14:
            tau = t * np.sqrt((i3 - i2) * below / (i1 * i2 * i3))
            second = np.sqrt(above / (i2 * (i3 - i2)))
            return np.array([first / np.cosh(tau), second * np.tanh(tau), last / np.cosh(tau)])
        if middle > 0:
            tau = t * np.sqrt((i3 - i2) * below / (i1 * i2 * i3))
            sn, cn, dn, _ = scipy.special.ellipj(tau, (i2 - i1) * above / ((i3 - i2) * below))
            return np.array([first * cn, np.sqrt(above / (i2 * (i3 - i2))) * sn, last * dn])
        tau = t * np.sqrt((i2 - i1) * above / (i1 * i2 * i3))
        sn, cn, dn, _ = scipy.special.ellipj(tau, (i3 - i2) * below / ((i2 - i1) * above))
        return np.array([first * dn, np.sqrt(below / (i2 * (i2 - i1))) * sn, last * cn])

    def precession(self, t):
        moments, omega = INERTIA * self.omega(t), self.omega(t)
        return self.momentum * (moments[:2] @ omega[:2]) / (moments[:2] @ moments[:2])

    def attitudes(self, ts):
        """Rotation matrices: of the angles z-x-z the first is an integral, the others follow from the momentum."""
        pieces = [
            scipy.integrate.quad(self.precession, a, b, epsabs=1e-14, epsrel=1e-13)[0]
            for a, b in zip(ts[:-1], ts[1:], strict=True)
        ]
        for t, phi in zip(ts, np.concatenate([[0.0], np.cumsum(pieces)]), strict=True):
            n = INERTIA * self.omega(t) / self.momentum
            across = np.hypot(n[0], n[1])
            turn = lambda c, s: np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
            tilt = np.array([[1, 0, 0], [0, n[2], -across], [0, across, n[2]]])
            yield turn(np.cos(phi), np.sin(phi)) @ tilt @ turn(n[1] / across, n[0] / across)


TOPS = {
    "about the last axis": (Top(3.0, 2.2), 0.3, 18.0),
    "about the first axis": (Top(3.0, 3.4), 0.3, 18.0),
    "separatrix": (Top(3.0, 9 / (2 * INERTIA[1])), -6.0, 12.0),
}
METHODS = {
    "dopri8": (lambda field, dt: RungeKuttaMuntheKaas(field, EVERY, dt, diffrax.Dopri8()), 20),
    "commutator-free": (lambda field, dt: CommutatorFree(field, EVERY, dt), 300),
}


@pytest.mark.parametrize("method", METHODS)
def test_free_asymmetric_top(method):
    make, per_unit = METHODS[method]
    run = jax.jit(
        lambda y, dt, n=8: (
            rollout(
                make(free_bodies(jnp.asarray(INERTIA)), dt),
                TimeState(t=jnp.asarray(0.0), y=y),
                n * chunk,
                save_every=chunk,
            ).ys.y
        )
    )
    for name, (top, start, length) in TOPS.items():
        chunk = round(18 * per_unit / 8)
        ts = start + np.linspace(0, length, 9)
        exact = list(top.attitudes(ts))
        matrix, quaternion, pose, (omega, v) = run(
            bodies(exact[0], jnp.asarray(top.omega(start))), jnp.asarray(length / (8 * chunk))
        )
        shift = exact[0] @ np.array([0.3, -0.2, 0.5])
        for k in range(8):
            np.testing.assert_allclose(omega[k], top.omega(ts[k + 1]), rtol=0, atol=1e-9, err_msg=name)
            np.testing.assert_allclose(matrix[k], exact[k + 1], rtol=0, atol=1e-9, err_msg=name)
            np.testing.assert_allclose(matrix_of(quaternion[k]), exact[k + 1], rtol=0, atol=1e-9, err_msg=name)
            np.testing.assert_allclose(matrix_of(pose.orientation[k]), exact[k + 1], rtol=0, atol=1e-9, err_msg=name)
            np.testing.assert_allclose(pose.position[k], shift * (ts[k + 1] - start), rtol=0, atol=1e-8)
        np.testing.assert_allclose(np.linalg.norm(quaternion, axis=1), 1, rtol=1e-14)


def heavy_top(t, y, args):
    """Gravity turns it, so that the velocity depends on the attitude, and a torque on the time."""
    q, omega = y
    down = jnp.asarray(2.0, q.dtype) * rotated_back(q, jnp.asarray([0.0, 0.0, -1.0], q.dtype))
    torque = cross(jnp.asarray([0.1, 0.2, 0.7], q.dtype), down) + jnp.stack([jnp.sin(t), jnp.cos(t), 0 * t])
    inertia = jnp.asarray(INERTIA, q.dtype)
    return omega, (cross(inertia * omega, omega) + torque) / inertia


def rotated_back(q, x):
    twice = 2 * cross(-q[1:], x)
    return x + q[0] * twice + cross(-q[1:], twice)


HEAVY = (UnitQuaternion(), Euclidean())
START = (jnp.asarray([0.5, 0.5, -0.5, 0.5]), jnp.asarray([1.0, -0.4, 2.0]))
ORDERS = {
    "bosh3": (3, lambda f, dt: RungeKuttaMuntheKaas(f, HEAVY, dt, diffrax.Bosh3())),
    "dopri8": (8, lambda f, dt: RungeKuttaMuntheKaas(f, HEAVY, dt, diffrax.Dopri8())),
}


@pytest.fixture(scope="module")
def heavy_end():
    """As an ordinary equation for the four numbers of the quaternion."""

    def ordinary(t, y, args):
        omega, slope = heavy_top(t, y, args)
        q = y[0]
        return jnp.concatenate([-(q[1:] @ omega)[None], q[0] * omega + cross(q[1:], omega)]) / 2, slope

    return integrate(ordinary, START, [0.0, 2.0], solver=diffrax.Dopri8(), rtol=1e-13, atol=1e-13).state.y


@pytest.mark.parametrize("name", ORDERS)
def test_order(name, heavy_end):
    order, make = ORDERS[name]

    @jax.jit
    def end(n):
        step = make(heavy_top, 2 / jnp.asarray(n, float))
        return jax.lax.fori_loop(0, n, lambda _, s: step(s), TimeState(t=jnp.asarray(0.0), y=START)).y

    counts = (8, 12, 16) if order == 8 else (40, 80, 160)
    errors = [max(float(jnp.max(jnp.abs(a - b))) for a, b in zip(end(n), heavy_end, strict=True)) for n in counts]
    assert abs(-np.polyfit(np.log(counts), np.log(errors), 1)[0] - order) < 0.4, errors


def as_matrix(group, g):
    if isinstance(group, SE3):
        return np.block([[matrix_of(g[1]), np.asarray(g[0])[:, None]], [np.zeros((1, 3)), np.eye(1)]])
    return matrix_of(g) if isinstance(group, UnitQuaternion) else np.asarray(g)


def as_algebra(group, u):
    u = np.asarray(u)
    hat = np.array([[0, -u[2], u[1]], [u[2], 0, -u[0]], [-u[1], u[0], 0]])
    return np.block([[hat, u[3:, None]], [np.zeros((1, 4))]]) if isinstance(group, SE3) else hat


@pytest.mark.parametrize("group", EVERY[:3], ids=lambda g: type(g).__name__)
def test_exponential_and_its_derivative_are_those_of_matrices(group):
    rng = np.random.default_rng(3)
    size = 6 if isinstance(group, SE3) else 3
    both = jax.jit(lambda u, a: (group.exp(u), group.dexpinv(u, a)))
    for angle in (0.0, 1e-9, 1e-4, 0.3, 0.499, 0.501, 1.0, 3.0, np.pi, 5.0, 6.2):
        u, a = rng.normal(size=size), rng.normal(size=size)
        u[:3] *= angle / np.linalg.norm(u[:3])
        element, rate = both(jnp.asarray(u), jnp.asarray(a))
        exact, moved = scipy.linalg.expm_frechet(as_algebra(group, u), as_algebra(group, rate))
        np.testing.assert_allclose(as_matrix(group, element), exact, rtol=0, atol=2e-14)
        back = np.linalg.solve(exact, moved)
        tolerance = 1e-12 if angle < 6 else 1e-10  # near a full turn rates grow without bound
        np.testing.assert_allclose(back, as_algebra(group, a), rtol=0, atol=tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_derivatives_at_rest(method):
    # e^(t omega) for small omega: what a body at rest does when pushed; its velocity changes in second order only
    duration = 0.7
    make, _ = METHODS[method]
    step = make(free_bodies(jnp.asarray(INERTIA)), duration)

    def end(push):
        *attitudes, _ = bodies(np.eye(3), push[:3])
        matrix, quaternion, pose, _ = step(TimeState(t=jnp.asarray(0.0), y=(*attitudes, (push[:3], push[3:])))).y
        rotation = jnp.stack([matrix[2, 1], matrix[0, 2], matrix[1, 0]])
        return rotation, 2 * quaternion[1:], 2 * pose.orientation[1:], pose.position, quaternion[0]

    for mode in (jax.jacfwd, jax.jacrev):
        found = jax.jit(mode(end))(jnp.zeros(6))
        for jacobian in found[:3]:
            np.testing.assert_allclose(jacobian, duration * np.eye(3, 6), rtol=0, atol=1e-14)
        np.testing.assert_allclose(found[3], duration * np.eye(3, 6, 3), rtol=0, atol=1e-14)
        np.testing.assert_allclose(found[4], np.zeros(6), rtol=0, atol=1e-15)


def test_second_derivatives_at_rest():
    # the scalar part of a quaternion is cos(|omega| t / 2)
    q, field = jnp.asarray([1.0, 0, 0, 0]), lambda t, y, args: (y[1], jnp.zeros_like(y[1]))
    step = RungeKuttaMuntheKaas(field, HEAVY, 0.7, diffrax.Midpoint())
    scalar = lambda omega: step(TimeState(t=jnp.asarray(0.0), y=(q, omega))).y[0][0]
    curvature = jax.jit(jax.jacfwd(jax.jacrev(scalar)))(jnp.zeros(3))
    np.testing.assert_allclose(curvature, -(0.7**2) / 4 * np.eye(3), rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32])
def test_elements_stay_in_the_group(dtype):
    eps = float(jnp.finfo(dtype).eps)
    spin = lambda t, y, args: (jnp.stack([jnp.sin(t), 1 + 0 * t, jnp.cos(3 * t)]),) * 2
    groups = (UnitQuaternion(), SO3())
    y = (jnp.asarray([1, 0, 0, 0], dtype), jnp.eye(3, dtype=dtype))
    step = RungeKuttaMuntheKaas(spin, groups, jnp.asarray(0.01, dtype), diffrax.Euler())
    q, m = rollout(step, TimeState(t=jnp.asarray(0, dtype), y=y), 100_000, save_every=100_000).state.y
    q, m = np.asarray(q, float), np.asarray(m, float)
    assert abs(q @ q - 1) < 4 * eps
    np.testing.assert_allclose(m.T @ m, np.eye(3), rtol=0, atol=8 * eps)


def test_elements_off_the_group_are_refused_or_nan():
    step = CommutatorFree(heavy_top, HEAVY, 0.1)
    for norm in (0.0, 2.0):
        state = TimeState(t=jnp.asarray(0.0), y=(norm * START[0], START[1]))
        with pytest.raises(ValueError, match="not in UnitQuaternion"):
            rollout(step, state, 3)
        traced = jax.jit(lambda state: rollout(step, state, 3, throw=False).state.y[0])
        assert np.isnan(traced(state)).all()
    np.testing.assert_allclose(UnitQuaternion().project(2 * START[0]), START[0])
    assert np.isnan(UnitQuaternion().project(jnp.zeros(4))).all()
    nearly = TimeState(t=jnp.asarray(0.0), y=(1.0001 * START[0], START[1]))
    np.testing.assert_allclose(jnp.linalg.norm(step(nearly).y[0]), 1, rtol=1e-14)
    crooked = jnp.asarray([[1.0, 0.2, 0], [0, 1, 0], [0, 0, 3]])
    with pytest.raises(ValueError, match="not in SO3"):
        CommutatorFree(lambda t, y, args: jnp.ones(3), SO3(), 0.1)(TimeState(t=jnp.asarray(0.0), y=crooked))
    np.testing.assert_allclose(SO3().project(crooked), np.eye(3), atol=1e-15)


def test_bad_input_is_refused():
    state = TimeState(t=jnp.asarray(0.0), y=START)
    with pytest.raises(ValueError, match="groups must hold Lie groups"):
        RungeKuttaMuntheKaas(heavy_top, (UnitQuaternion, Euclidean()), 0.1)
    with pytest.raises(ValueError, match="groups must have the structure"):
        CommutatorFree(heavy_top, HEAVY[:1], 0.1)(state)
    with pytest.raises(ValueError, match="SO3 is a rotation matrix"):
        CommutatorFree(heavy_top, (SO3(), Euclidean()), 0.1)(state)
    with pytest.raises(ValueError, match="must return velocities of the groups"):
        RungeKuttaMuntheKaas(lambda t, y, args: y, HEAVY, 0.1)(state)
