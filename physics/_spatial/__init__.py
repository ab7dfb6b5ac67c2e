"""Rotations, poses, six-vectors and inertias."""

from ._inertia import (
    AbstractInertia as AbstractInertia,
    apply_inertia as apply_inertia,
    Inertia as Inertia,
    inertia_of_ten as inertia_of_ten,
    LogCholesky as LogCholesky,
    moved_ten as moved_ten,
    stored as stored,
    why_not_physical as why_not_physical,
)
from ._pose import (
    compose as compose,
    inverse as inverse,
    move_twist as move_twist,
    move_wrench as move_wrench,
    Pose as Pose,
    se3_exp as se3_exp,
    se3_log as se3_log,
)
from ._quaternion import (
    about as about,
    euler as euler,
    matrix_of as matrix_of,
    normalized as normalized,
    quaternion_exp as quaternion_exp,
    quaternion_inverse as quaternion_inverse,
    quaternion_log as quaternion_log,
    quaternion_of_matrix as quaternion_of_matrix,
    quaternion_product as quaternion_product,
    rotate as rotate,
    rotation_matrix as rotation_matrix,
)
from ._rotation import (
    inverse_left_jacobian as inverse_left_jacobian,
    inverse_right_jacobian as inverse_right_jacobian,
    left_jacobian as left_jacobian,
    right_jacobian as right_jacobian,
    so3_exp as so3_exp,
    so3_log as so3_log,
)
from ._twist import twist_cross as twist_cross, wrench_cross as wrench_cross
from ._vectors import (
    cross3 as cross3,
    dot3 as dot3,
    matmul as matmul,
    safe_norm as safe_norm,
    skew as skew,
    unit as unit,
)
