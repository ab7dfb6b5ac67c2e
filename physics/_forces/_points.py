"""Bodies, their points, and the forces of the joints that wrenches on bodies are."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from .._mechanism import Mechanism
from .._mechanism._dynamics import joint_forces
from .._mechanism._geometry import Geometry, geometry
from .._mechanism._tables import apply, SKEW
from .._mechanism._topology import plan
from .._spatial import matmul

WORLD = "world"


class Point(NamedTuple):
    """Where a point is (3,), and the Jacobian (3, nv) of its velocity; along the world's axes."""

    position: Array
    jacobian: Array


def placed(mechanism: Mechanism, q: Array) -> Geometry:
    """Where the bodies are. The compiler merges equal calls of several forces into one."""
    return geometry(mechanism, plan(mechanism.topology), q)


def point_of(mechanism: Mechanism, found: Geometry, body: str, point: Any) -> Point:
    """A point of a body, or of the world."""
    if body == WORLD:
        return Point(point, jnp.zeros_like(found.axes[:3]))
    k = mechanism.topology.body(body)
    arm = matmul(found.pose[:3, :, k], jnp.append(point, jnp.ones_like(point, shape=())))
    linear = found.axes[3:] - matmul(SKEW(arm), found.axes[:3])
    return Point(found.start[:, k] + arm, jnp.where(mechanism.masks.moves[k][None], linear, 0))


def twists(mechanism: Mechanism, found: Geometry, v: Array) -> Array:
    """(6, nb) about the first frames of the trees."""
    return matmul(found.axes * v[None], mechanism.masks.moves.astype(v.dtype).T)


def pushed(mechanism: Mechanism, found: Geometry, point: Array, torque: Array, force: Array) -> Array:
    """The forces of the joints (nv,) that a torque and a force at a point of each body are, all (3, nb)."""
    wrench = jnp.concatenate([torque + apply(SKEW(point), force), force])
    return joint_forces(found, mechanism.masks, wrench)


def times(a: Array, b: Array) -> Array:
    """Aᵀ b in full precision."""
    return matmul(a.T, b)
