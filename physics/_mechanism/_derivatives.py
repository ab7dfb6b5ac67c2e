"""Closed-form derivatives of inverse dynamics, as rules that every mode of differentiation takes.

Source: S. Singh, R. P. Russell, P. M. Wensing, IEEE Robot. Autom. Lett. 7, 1753 (2022), doi:10.1109/LRA.2022.3141194,
written with masks. The matrix that they call B has, about any point, the form ((Q/2, 0), (-F x, 0)), Q a 3 x 3 matrix
and F the linear momentum, so that its sum over a subtree is one of twelve numbers.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from .._spatial import apply_inertia, cross3, dot3, matmul, twist_cross, wrench_cross
from ._dynamics import Loads, loads, Moving, moving, subtree_sums
from ._geometry import Geometry
from ._topology import Plan


class Slopes(NamedTuple):
    """Derivatives (nv, nv) of the joints' forces with respect to q (as small changes), v and a."""

    q: Array
    v: Array
    a: Array


def inverse_dynamics_slopes(mechanism: Any, plan: Plan, found: Geometry, v: Array, a: Array) -> Slopes:
    """All three Jacobians for the price of about one and a half inverse dynamics."""
    masks, axes = mechanism.masks, found.axes
    motion = moving(found, masks, v)
    load = loads(found, masks, motion, v, a, mechanism.gravity)
    q_matrices = _q_matrix(found, motion, load)
    sums = subtree_sums(masks, found.ten, load.wrench, load.momentum[3:], q_matrices.reshape(9, -1))
    composite, wrench, linear, q_matrix = sums[:10], sums[10:16], sums[16:19], sums[19:].reshape(3, 3, -1)
    second = twist_cross(load.near, axes) + twist_cross(motion.near, motion.change)
    own = twist_cross(_after(plan, mechanism, found, v), axes) if plan.balls else motion.change
    twice = motion.change + own

    momenta = apply_inertia(composite, axes)
    left = jnp.concatenate([momenta, _row(q_matrix, linear, axes)])
    columns = jnp.concatenate(
        [
            jnp.concatenate([second, motion.change[:3]]),
            jnp.concatenate([twice, axes[:3]]),
            jnp.concatenate([axes, jnp.zeros_like(axes[:3])]),
        ],
        axis=1,
    )
    below_q, below_v, below_a = jnp.split(matmul(left.T, columns), 3, axis=1)

    about = lambda x: _column(q_matrix, linear, x)
    right_q = about(motion.change) + apply_inertia(composite, second) + wrench_cross(axes, wrench)
    right_v = about(axes) + apply_inertia(composite, twice)
    above_q, above_v = jnp.split(matmul(axes.T, jnp.concatenate([right_q, right_v], axis=1)), 2, axis=1)

    below, above = masks.upto.astype(v.dtype), masks.before.astype(v.dtype).T
    return Slopes(
        q=below * below_q + above * above_q,
        v=below * below_v + above * above_v,
        a=below * below_a + above * below_a.T + jnp.diag(mechanism.armature),
    )


def _after(plan: Plan, mechanism: Any, found: Geometry, v: Array) -> Array:
    """(6, nv) the twist of what each joint moves."""
    return matmul(found.axes * v[None], mechanism.masks.upto.astype(v.dtype).T)


def _q_matrix(found: Geometry, motion: Moving, load: Loads) -> Array:
    r"""(3, 3, nb) $\hat\omega J + (\hat\omega J)^T - (\hat u \hat h + \hat h \hat u) - \hat n$."""
    omega, u, h, n = motion.twist[:3], motion.twist[3:], found.ten[1:4], load.momentum[:3]
    xx, xy, yy, xz, yz, zz = found.ten[4:]
    columns = (jnp.stack([xx, xy, xz]), jnp.stack([xy, yy, yz]), jnp.stack([xz, yz, zz]))
    turned = jnp.stack([cross3(omega, column) for column in columns], axis=1)
    double = jnp.stack([jnp.stack([u[i] * h[j] + h[i] * u[j] for j in range(3)]) for i in range(3)])
    trace = double[0, 0] + double[1, 1] + double[2, 2]
    # skew(u) skew(h) = h uᵀ - (u·h) 1
    eye = jnp.eye(3, dtype=u.dtype)[:, :, None]
    zero = jnp.zeros_like(n[0])
    tilt = jnp.stack([jnp.stack([zero, -n[2], n[1]]), jnp.stack([n[2], zero, -n[0]]), jnp.stack([-n[1], n[0], zero])])
    return turned + jnp.swapaxes(turned, 0, 1) - (double - trace[None, None] * eye) - tilt


def _column(q_matrix: Array, linear: Array, x: Array) -> Array:
    """2 B x."""
    angular = x[:3]
    top = jnp.stack([dot3(q_matrix[i], angular) for i in range(3)])
    return jnp.concatenate([top, -2 * cross3(linear, angular)])


def _row(q_matrix: Array, linear: Array, x: Array) -> Array:
    """The angular part of 2 xᵀ B; the linear part is zero."""
    top = jnp.stack([dot3(q_matrix[:, j], x[:3]) for j in range(3)])
    return top + 2 * cross3(linear, x[3:])
