"""Against Pinocchio: derivatives of the dynamics, regressors."""

import pathlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import Fixed, Free, JointState, Mechanism, read_urdf, rotation_matrix

ROBOTS = pathlib.Path(__file__).parent / "robots"
CASES = [("arm", Fixed()), ("tree", Fixed()), ("walker", Free())]

pytestmark = pytest.mark.parity


class Peer(NamedTuple):
    """Pinocchio's model, and the state, accelerations and forces in its coordinates.

    It sorts joints by name, has (cos, sin) for continuous joints, and gives the velocity of a floating base along the
    body's own axes: `turn` is the matrix from kinax's velocities to its velocities.
    """

    pin: Any
    model: Any
    q: np.ndarray
    v: np.ndarray
    a: np.ndarray
    turn: np.ndarray


def peer_of(name: str, mechanism: Mechanism, q: np.ndarray, v: np.ndarray, a: np.ndarray) -> Peer:
    pin = pytest.importorskip("pinocchio")
    floats = mechanism.topology.nq > mechanism.topology.nv
    path = str(ROBOTS / f"{name}.urdf")
    model = pin.buildModelFromUrdf(path, pin.JointModelFreeFlyer()) if floats else pin.buildModelFromUrdf(path)
    there_q, turn = np.zeros(model.nq), np.zeros((model.nv, mechanism.topology.nv))
    for k in range(1, model.njoints):
        joint, i = model.joints[k], model.joints[k].idx_q
        ours = mechanism.topology.joints[0].name if floats and k == 1 else model.names[k]
        ours_q, ours_v = mechanism.topology.q_of(ours), mechanism.topology.v_of(ours)
        x = q[ours_q]
        if joint.nv == 6:
            there_q[i : i + 7] = np.concatenate([x[:3], x[4:], x[3:4]])
            turn[:3, :3], turn[3:6, 3:6] = np.asarray(rotation_matrix(jnp.asarray(x[3:]))).T, np.eye(3)
        else:
            there_q[i : i + joint.nq] = x if joint.nq == 1 else [np.cos(x[0]), np.sin(x[0])]
            turn[joint.idx_v, ours_v] = 1
    there_v, there_a = turn @ v, turn @ a
    if floats:  # the axes in which the velocity is given turn
        there_a[:3] -= np.cross(there_v[3:6], there_v[:3])
    return Peer(pin, model, there_q, there_v, there_a, turn)


def state_of(mechanism: Mechanism) -> tuple[JointState, np.ndarray]:
    generator = np.random.default_rng(3)
    change, v, a = generator.normal(size=(3, mechanism.topology.nv))
    return JointState(np.asarray(mechanism.retract(mechanism.rest, jnp.asarray(change))), v), a


def skew(x: np.ndarray) -> np.ndarray:
    return np.cross(np.eye(3), x)


def slopes_there(peer: Peer, floats: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pinocchio's derivatives of inverse dynamics, by the chain rule in kinax's velocities."""
    data = peer.model.createData()
    by_q, by_v, mass = peer.pin.computeRNEADerivatives(peer.model, data, peer.q, peer.v, peer.a)
    mass = np.triu(mass) + np.triu(mass, 1).T
    turn = peer.turn
    v_by_q, a_by_q, a_by_v, tau_by_q = (np.zeros_like(turn) for _ in range(4))
    if floats:
        rotation, linear, omega = turn[:3, :3].T, peer.v[:3], peer.v[3:6]
        still = peer.a[:3] + np.cross(omega, linear)
        v_by_q[:3, 3:6] = skew(linear)
        a_by_q[:3, 3:6] = skew(still) - skew(omega) @ skew(linear)
        a_by_v[:3, :3], a_by_v[:3, 3:6] = -skew(omega) @ rotation.T, skew(linear)
        tau_by_q[:3, 3:6] = -rotation @ skew(peer.pin.rnea(peer.model, data, peer.q, peer.v, peer.a)[:3])
    d_q = turn.T @ (by_q @ turn + by_v @ v_by_q + mass @ a_by_q) + tau_by_q
    return d_q, turn.T @ (by_v @ turn + mass @ a_by_v), turn.T @ mass @ turn


def answers(mechanism: Mechanism, q: jax.Array, v: jax.Array, a: jax.Array) -> dict[str, Any]:
    """What is compared, as one program."""
    tau = mechanism.inverse_dynamics(q, v, a)
    moved = lambda u, v, tau: mechanism.forward_dynamics(mechanism.retract(q, u), v, tau)
    return dict(
        tau=tau,
        slopes=mechanism.inverse_dynamics_derivatives(q, v, a),
        forward=jax.jacfwd(moved, argnums=(0, 1, 2))(jnp.zeros_like(v), v, tau),
        regressor=mechanism.regressor(q, v, a),
    )


@pytest.mark.parametrize("name, root", CASES, ids=[name for name, _ in CASES])
def test_pinocchio(name, root):
    mechanism = read_urdf(ROBOTS / f"{name}.urdf", root=root)
    state, a = state_of(mechanism)
    floats = isinstance(root, Free)
    peer = peer_of(name, mechanism, state.q, state.v, a)
    q, v, a = jnp.asarray(state.q), jnp.asarray(state.v), jnp.asarray(a)
    assert_close = lambda ours, theirs: np.testing.assert_allclose(
        ours, theirs, rtol=0, atol=1e-10 * np.abs(theirs).max()
    )

    ours = jax.tree.map(np.asarray, jax.jit(answers)(mechanism, q, v, a))
    data = peer.model.createData()
    assert_close(ours["tau"], peer.turn.T @ peer.pin.rnea(peer.model, data, peer.q, peer.v, peer.a))
    expected = slopes_there(peer, floats)
    for mine, theirs in zip(ours["slopes"], expected, strict=True):
        assert_close(mine, theirs)
    if floats:
        inverse = np.linalg.inv(expected[2])
        there = [-inverse @ expected[0], -inverse @ expected[1], inverse]
    else:
        there = peer.pin.computeABADerivatives(peer.model, data, peer.q, peer.v, peer.turn @ ours["tau"])
        inverse = np.triu(there[2]) + np.triu(there[2], 1).T
        there = [peer.turn.T @ x @ peer.turn for x in (*there[:2], inverse)]
    for mine, theirs in zip(ours["forward"], there, strict=True):
        assert_close(mine, theirs)

    regressor = ours["regressor"]
    assert_close(regressor @ np.asarray(mechanism.inertia.ten()).T.reshape(-1), ours["tau"])
    theirs = peer.turn.T @ peer.pin.computeJointTorqueRegressor(peer.model, data, peer.q, peer.v, peer.a)
    for k in range(1, peer.model.njoints):
        joint = mechanism.topology.joints[0].name if floats and k == 1 else peer.model.names[k]
        body = mechanism.topology.joint(joint).body
        assert_close(regressor[:, 10 * body : 10 * body + 10], theirs[:, 10 * k - 10 : 10 * k])
