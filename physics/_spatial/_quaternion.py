"""Unit quaternions, scalar first, that turn vectors of a body into vectors of its parent.

The first axis counts the four components; one quaternion has the shape (4,).
"""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from ...solvers import compiled
from ...solvers._host import namespace_of
from ...solvers._tree import is_concrete
from ...solvers._types import as_parameter, inexact_asarray
from ._series import cos_sqrt, elementwise, sinc_sqrt
from ._vectors import cross3, dot3, unit


@compiled
def quaternion_product(a: Array, b: Array) -> Array:
    """The rotation b, then a."""
    return product_of(a, b)


def product_of(a: Any, b: Any) -> Any:
    """The same, also on the host."""
    return namespace_of(a, b).stack(
        [
            a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
            a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
            a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
            a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
        ]
    )


@compiled
def quaternion_inverse(a: Array) -> Array:
    """The rotation back, of a unit quaternion: its conjugate."""
    return jnp.concatenate([a[:1], -a[1:]])


def normalized(a: Array) -> Array:
    """a / |a|; NaN for zero."""
    return unit(a)


@compiled
def rotate(a: Array, vector: Array) -> Array:
    r"""The vector turned by a unit quaternion $(w, u)$: $x + 2 w\, u \times x + 2\, u \times (u \times x)$."""
    twice = 2 * cross3(a[1:], vector)
    return vector + a[:1] * twice + cross3(a[1:], twice)


@compiled
def rotation_matrix(a: Array) -> Array:
    """The matrix (3, 3) of a unit quaternion; its columns are the body's axes seen from the parent."""
    return matrix_of(a)


def matrix_of(a: Any) -> Any:
    """The same, also on the host."""
    w, x, y, z = a[0], a[1], a[2], a[3]
    xp = namespace_of(a)
    return xp.stack(
        [
            xp.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]),
            xp.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]),
            xp.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]),
        ]
    )


@compiled
def quaternion_of_matrix(matrix: Array) -> Array:
    """The unit quaternion, with w >= 0, of a rotation matrix; from the largest of four equivalent formulas."""
    m = matrix
    rows = jnp.stack(
        [
            jnp.stack([1 + m[0, 0] + m[1, 1] + m[2, 2], m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]]),
            jnp.stack([m[2, 1] - m[1, 2], 1 + m[0, 0] - m[1, 1] - m[2, 2], m[0, 1] + m[1, 0], m[0, 2] + m[2, 0]]),
            jnp.stack([m[0, 2] - m[2, 0], m[0, 1] + m[1, 0], 1 - m[0, 0] + m[1, 1] - m[2, 2], m[1, 2] + m[2, 1]]),
            jnp.stack([m[1, 0] - m[0, 1], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1], 1 - m[0, 0] - m[1, 1] + m[2, 2]]),
        ]
    )
    largest = jnp.argmax(jnp.stack([rows[k, k] for k in range(4)]), axis=0)
    chosen = jnp.take_along_axis(rows, jnp.broadcast_to(largest, (1, *rows.shape[1:])), axis=0)[0]
    return unit(jnp.where(chosen[:1] < 0, -chosen, chosen))


@compiled
def quaternion_exp(rotation: Array) -> Array:
    """The unit quaternion of a rotation vector [rad]: axis times angle; right with all derivatives at zero."""
    quarter = dot3(rotation, rotation) / 4
    return jnp.concatenate([cos_sqrt(quarter)[None], sinc_sqrt(quarter)[None] * rotation / 2])


@compiled
def quaternion_log(a: Array) -> Array:
    r"""The rotation vector [rad] of a unit quaternion, of angle at most $\pi$; right with derivatives at the identity.

    At a half turn the axis may point either way; the result is continuous on the side where $w \ge 0$.
    """
    a = jnp.where(a[:1] < 0, -a, a)
    return 2 * a[1:] * _half_angle_by_sine(a[0], dot3(a[1:], a[1:]))[None]


@elementwise
def _half_angle_by_sine(w: Array, square: Array) -> Array:
    r"""$\arctan(s / w) / s$ with $s^2$ = `square`."""
    near = square < 0.04 * w * w
    ratio = jnp.where(near, square, 0) / jnp.where(near, w * w, 1)
    series = jnp.polyval(jnp.asarray([(-1) ** k / (2 * k + 1) for k in range(12)][::-1], w.dtype), ratio)
    length = jnp.sqrt(jnp.where(near, 1, square))
    angle = jnp.arctan2(length, jnp.where(near, 1, w))
    return jnp.where(near, series / jnp.where(near, w, 1), angle / length)


def about(axis: Any, angle: Any) -> Array:
    """The unit quaternion (4,) of a turn by `angle` [rad] about `axis`, of any length but zero."""
    return as_parameter(_turn(axis, angle))


def euler(roll: ArrayLike, pitch: ArrayLike, yaw: ArrayLike) -> Array:
    """The unit quaternion (4,) of a turn about x by `roll`, then y by `pitch`, then z by `yaw` [rad], axes at rest."""
    first, second, third = _turn([1.0, 0, 0], roll), _turn([0.0, 1, 0], pitch), _turn([0.0, 0, 1], yaw)
    return as_parameter(product_of(third, product_of(second, first)))


def _turn(axis: Any, angle: Any) -> Any:
    """`about`, on the host if the numbers are known."""
    axis, angle = inexact_asarray(axis), inexact_asarray(angle)
    if axis.shape != (3,) or angle.shape != ():
        raise ValueError(f"about() takes an axis (3,) and an angle (), not {axis.shape} and {angle.shape}.")
    if is_concrete(axis) and not np.any(np.asarray(axis)):
        raise ValueError("about() needs an axis that is not zero.")
    if is_concrete((axis, angle)):
        axis, angle = np.asarray(axis), np.asarray(angle)
    xp = namespace_of(axis, angle)
    return xp.concatenate([xp.cos(angle / 2)[None], xp.sin(angle / 2) * unit(axis)])
