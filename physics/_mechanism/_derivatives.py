"""Closed-form derivatives of inverse dynamics.

Source: S. Singh, R. P. Russell, P. M. Wensing, IEEE Robot. Autom. Lett. 7, 1753 (2022), doi:10.1109/LRA.2022.3141194,
written with masks. Twice the matrix that they call B is, about any point, ((Q, 0), (-2 F x, 0)) with a 3 x 3 matrix Q
and the linear momentum F, so that its sum over a subtree is one of twelve numbers.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from .._spatial import matmul
from ._dynamics import Loads, loads, Moving, moving, subtree_sums, symmetric
from ._geometry import Geometry
from ._tables import apply, CROSSED_WRENCH, DOUBLE_B, INERTIA, SKEW, TWIST_CROSS
from ._topology import Plan


class Slopes(NamedTuple):
    """Derivatives (nv, nv) of the joints' forces with respect to q (as small changes), v and a."""

    q: Array
    v: Array
    a: Array


def inverse_dynamics_slopes(mechanism: Any, plan: Plan, found: Geometry, v: Array, a: Array) -> Slopes:
    """All three Jacobians for the price of about two inverse dynamics."""
    masks, axes = mechanism.masks, found.axes
    motion = moving(found, masks, v)
    load = loads(found, masks, motion, v, a, mechanism.gravity)
    sums = subtree_sums(masks, found.ten, load.wrench, _q_matrix(found, motion, load), 2 * load.momentum[3:])
    inertia, wrench, double_b = INERTIA(sums[:10]), CROSSED_WRENCH(sums[10:16]), DOUBLE_B(sums[16:])
    second = apply(TWIST_CROSS(load.near), axes) + apply(TWIST_CROSS(motion.near), motion.change)
    twice = motion.change + (apply(TWIST_CROSS(_after(mechanism, found, v)), axes) if plan.balls else motion.change)

    left = jnp.concatenate([apply(inertia, axes), apply(jnp.swapaxes(double_b[:, :3], 0, 1), axes)])
    columns = jnp.concatenate(
        [
            jnp.concatenate([second, motion.change[:3]]),
            jnp.concatenate([twice, axes[:3]]),
            jnp.concatenate([axes, jnp.zeros_like(axes[:3])]),
        ],
        axis=1,
    )
    below_q, below_v, half = jnp.split(matmul(left.T, columns), 3, axis=1)

    right_q = apply(double_b, motion.change) + apply(inertia, second) + apply(wrench, axes)
    right_v = apply(double_b, axes) + apply(inertia, twice)
    above_q, above_v = jnp.split(matmul(axes.T, jnp.concatenate([right_q, right_v], axis=1)), 2, axis=1)

    below, above = masks.upto.astype(v.dtype), masks.before.astype(v.dtype).T
    return Slopes(
        q=below * below_q + above * above_q,
        v=below * below_v + above * above_v,
        a=symmetric(masks, half, mechanism.armature),
    )


def _after(mechanism: Any, found: Geometry, v: Array) -> Array:
    """(6, nv) the twist of what each joint moves."""
    return matmul(found.axes * v[None], mechanism.masks.upto.astype(v.dtype).T)


def _q_matrix(found: Geometry, motion: Moving, load: Loads) -> Array:
    """Q of each body by rows, (9, nb): the angular part of (v x*) I - I (v x) - n x, n the angular momentum."""
    cross, inertia = TWIST_CROSS(motion.twist)[:, :3], INERTIA(found.ten)[:, :3]
    product = jnp.sum(cross[:, :, None] * inertia[:, None], axis=0)
    return -(product + jnp.swapaxes(product, 0, 1) + SKEW(load.momentum[:3])).reshape(9, -1)
