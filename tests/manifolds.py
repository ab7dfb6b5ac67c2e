"""Motion on constraints and on Lie groups, for the registry of simulators, with references in other coordinates."""

import diffrax
import jax
import jax.numpy as jnp
from kinax.solvers import (
    CommutatorFree,
    Euclidean,
    integrate,
    RATTLE,
    RungeKuttaMuntheKaas,
    SE3,
    SO3,
    TimeState,
    yoshida4,
)

ROD = dict(
    length=jnp.asarray(0.7), mass=jnp.asarray(1.3), gravity=jnp.asarray(9.8), start=jnp.asarray([1.1, -0.6])
)  # angle, momentum along the circle
TOP = dict(
    inertia=jnp.asarray([1.0, 1.7, 2.6]), weight=jnp.asarray(2.0), center=jnp.asarray([0.1, 0.2, 0.7]),
    omega=jnp.asarray([1.0, -0.4, 2.0]), velocity=jnp.asarray([0.3, 0.8, -0.5]),
)  # fmt: skip
ATTITUDE = jnp.asarray([0.5, 0.5, -0.5, 0.5])


def cross(a, b):
    return jnp.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def rod(p, dt):
    """A pendulum in Cartesian coordinates, pushed to and fro, of a mass that changes."""
    field = lambda t, y, args: (swelling(t) * y[1] / p["mass"], jnp.stack([jnp.sin(t), -p["mass"] * p["gravity"]]))
    return RATTLE(field, lambda q: jnp.sqrt(jnp.sum(q**2)) - p["length"], dt)


def swelling(t):
    return 1 + 0.3 * jnp.sin(2 * t)


def placed(p, angle, momentum):
    along = jnp.stack([jnp.cos(angle), jnp.sin(angle)])
    return p["length"] * jnp.stack([along[1], -along[0]]), momentum * along


def rod_start(p):
    return TimeState(t=jnp.zeros((), p["start"].dtype), y=placed(p, p["start"][0], p["start"][1]))


@jax.jit
def rod_reference(p, t):
    def field(t, y, args):
        push = jnp.sin(t) * jnp.cos(y[0]) - p["mass"] * p["gravity"] * jnp.sin(y[0])
        return jnp.stack([swelling(t) * y[1] / (p["mass"] * p["length"]), push])

    y = integrate(field, p["start"], [0.0, t], solver=diffrax.Dopri8(), rtol=1e-13, atol=1e-13).state.y
    return placed(p, y[0], y[1])


def rotated(q, x):
    twice = 2 * cross(q[1:], x)
    return x + q[0] * twice + cross(q[1:], twice)


def inverted(q):
    return q * jnp.asarray([1, -1, -1, -1], q.dtype)


def matrix_of(q):
    return jax.vmap(lambda x: rotated(q, x), out_axes=1)(jnp.eye(3, dtype=q.dtype))


def accelerations(p, t, back, omega, velocity):
    """Gravity and a torque of the time turn a body; all in its own axes, from where `back` points up."""
    torque = p["weight"] * cross(p["center"], -back) + jnp.stack([jnp.sin(t), jnp.cos(t), 0 * t])
    return (cross(p["inertia"] * omega, omega) + torque) / p["inertia"], cross(velocity, omega) - back


def on_poses(p):
    def field(t, y, args):
        (_, q), omega, velocity = y
        back = rotated(inverted(q), jnp.asarray([0, 0, 1], q.dtype))
        return jnp.concatenate([omega, velocity]), *accelerations(p, t, back, omega, velocity)

    return field


def on_rotations(p):
    def field(t, y, args):
        m, omega = y
        return omega, accelerations(p, t, m[2], omega, omega)[0]

    return field


def poses_start(p):
    q = ATTITUDE.astype(p["omega"].dtype)
    return TimeState(t=jnp.zeros((), q.dtype), y=((jnp.zeros_like(p["omega"]), q), p["omega"], p["velocity"]))


def rotations_start(p):
    q = ATTITUDE.astype(p["omega"].dtype)
    return TimeState(t=jnp.zeros((), q.dtype), y=(matrix_of(q), p["omega"]))


@jax.jit
def poses_reference(p, t):
    """Ordinary equations for the seven numbers of the pose."""

    def field(t, y, args):
        (_, q), omega, velocity = y
        _, *slopes = on_poses(p)(t, y, args)
        turn = jnp.concatenate([-(q[1:] @ omega)[None], q[0] * omega + cross(q[1:], omega)]) / 2
        return (rotated(q, velocity), turn), *slopes

    return integrate(field, poses_start(p).y, [0.0, t], solver=diffrax.Dopri8(), rtol=1e-13, atol=1e-13).state.y


def rotations_reference(p, t):
    (_, q), omega, _ = poses_reference(p, t)
    return matrix_of(q), omega


ON_POSES = (SE3(), Euclidean(), Euclidean())
ON_ROTATIONS = (SO3(), Euclidean())
MANIFOLDS = [
    dict(name="rattle", make=rod, order=2, counts=(64, 128), reversible=True),
    dict(name="yoshida4_of_rattle", make=lambda p, dt: yoshida4(rod(p, dt)), order=4, counts=(48, 96), slow=True),
    dict(
        name="munthe_kaas",
        make=lambda p, dt: RungeKuttaMuntheKaas(on_poses(p), ON_POSES, dt),
        order=5,
        counts=(16, 32),
    ),
    dict(name="commutator_free", make=lambda p, dt: CommutatorFree(on_rotations(p), ON_ROTATIONS, dt), order=4),
]
for _case in MANIFOLDS[:2]:
    _case |= dict(start=rod_start, parameters=ROD, reference=rod_reference)
MANIFOLDS[2] |= dict(start=poses_start, parameters=TOP, reference=poses_reference)
MANIFOLDS[3] |= dict(start=rotations_start, parameters=TOP, reference=rotations_reference)
