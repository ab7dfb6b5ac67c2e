"""SE(3): where a body is and how it is turned, and motions of it as 6-vectors."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from ...solvers import compiled
from ._quaternion import quaternion_exp, quaternion_inverse, quaternion_log, quaternion_product, rotate
from ._rotation import inverse_left_jacobian, left_jacobian
from ._vectors import cross3


class Pose(NamedTuple):
    """A frame seen from another: `position` of its origin, `orientation` a unit quaternion, scalar first.

    One pose has the shapes (3,) and (4,); what `Mechanism` returns has the body as the first axis.
    """

    position: Array
    orientation: Array


@compiled
def compose(a: Pose, b: Pose) -> Pose:
    """b, given in the frame a, seen from where a is given."""
    return Pose(a.position + rotate(a.orientation, b.position), quaternion_product(a.orientation, b.orientation))


@compiled
def inverse(a: Pose) -> Pose:
    """The frame in which a is given, seen from a."""
    back = quaternion_inverse(a.orientation)
    return Pose(-rotate(back, a.position), back)


@compiled
def se3_exp(twist: Array) -> Pose:
    r"""Where a frame is after moving for a unit of time with a constant twist $(\omega, v)$ in its own axes."""
    rotation, velocity = twist[:3], twist[3:]
    return Pose(left_jacobian(rotation, velocity), quaternion_exp(rotation))


@compiled
def se3_log(pose: Pose) -> Array:
    """The twist (6,), angular part first, that reaches the pose in a unit of time; its angle is at most a half turn."""
    rotation = quaternion_log(pose.orientation)
    return jnp.concatenate([rotation, inverse_left_jacobian(rotation, pose.position)])


@compiled
def move_twist(pose: Pose, twist: Array) -> Array:
    r"""A twist given in the frame, seen from outside: $(R\omega,\, R v + p \times R\omega)$."""
    angular = rotate(pose.orientation, twist[:3])
    return jnp.concatenate([angular, rotate(pose.orientation, twist[3:]) + cross3(pose.position, angular)])


@compiled
def move_wrench(pose: Pose, wrench: Array) -> Array:
    r"""A wrench given in the frame, seen from outside: $(R n + p \times R f,\, R f)$."""
    force = rotate(pose.orientation, wrench[3:])
    return jnp.concatenate([rotate(pose.orientation, wrench[:3]) + cross3(pose.position, force), force])
