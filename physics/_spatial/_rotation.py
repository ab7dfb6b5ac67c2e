"""SO(3) as matrices, and the derivative of its exponential."""

from jaxtyping import Array

from ...solvers import compiled
from ._quaternion import quaternion_exp, quaternion_log, quaternion_of_matrix, rotation_matrix
from ._series import cotangent_rest, third, versine
from ._vectors import cross3, dot3


@compiled
def so3_exp(rotation: Array) -> Array:
    r"""The rotation matrix (3, 3) of a rotation vector (3,) [rad]: $e^{\hat r}$."""
    return rotation_matrix(quaternion_exp(rotation))


@compiled
def so3_log(matrix: Array) -> Array:
    r"""The rotation vector (3,) [rad] of a rotation matrix, of length at most $\pi$."""
    return quaternion_log(quaternion_of_matrix(matrix))


def right_jacobian(rotation: Array, omega: Array) -> Array:
    r"""The angular velocity in the body of $e^{\hat r(t)}$ if $\dot r$ is `omega`: $J_r(r)\, \dot r$."""
    square = dot3(rotation, rotation)
    once = cross3(rotation, omega)
    return omega - versine(square)[None] * once + third(square)[None] * cross3(rotation, once)


def inverse_right_jacobian(rotation: Array, omega: Array) -> Array:
    r"""$\dot r$ such that $e^{\hat r(t)}$ turns with the angular velocity `omega` in the body: $J_r(r)^{-1} \omega$.

    Source: A. Iserles et al., Acta Numerica 9, 215 (2000), doi:10.1017/S0962492900002154.
    """
    square = dot3(rotation, rotation)
    once = cross3(rotation, omega)
    return omega + once / 2 + cotangent_rest(square)[None] * cross3(rotation, once)


def left_jacobian(rotation: Array, vector: Array) -> Array:
    r"""$J_l(r)\, x = \int_0^1 e^{s \hat r} x\, \mathrm{d}s$."""
    return right_jacobian(-rotation, vector)


def inverse_left_jacobian(rotation: Array, vector: Array) -> Array:
    r"""$J_l(r)^{-1} x$."""
    return inverse_right_jacobian(-rotation, vector)
