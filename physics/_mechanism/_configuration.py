"""Coordinates q on their manifold: numbers for slides and hinges, unit quaternions for balls.

Small changes of q are velocities times time, of shape (nv,).
"""

import jax.numpy as jnp
from jaxtyping import Array

from .._spatial import (
    inverse_right_jacobian,
    normalized,
    quaternion_exp,
    quaternion_inverse,
    quaternion_log,
    quaternion_product,
    right_jacobian,
)
from ._topology import Masks, Plan


def retract(plan: Plan, masks: Masks, q: Array, change: Array) -> Array:
    r"""$q \oplus u$: numbers added, quaternions multiplied from the right by $e^{u/2}$ and normalized."""
    scalars = q + _padded(change)[masks.v_of_q]
    if plan.balls == 0:
        return scalars
    turned = quaternion_product(normalized(q[masks.ball_q].T), quaternion_exp(change[masks.ball_v].T))
    return jnp.concatenate([scalars, normalized(turned).T.reshape(-1)])[masks.q_pick]


def difference(plan: Plan, masks: Masks, q: Array, start: Array) -> Array:
    r"""$q \ominus q_0$: the change that `retract` undoes; rotations by at most a half turn."""
    scalars = _padded(q - start)[masks.q_of_v]
    if plan.balls == 0:
        return scalars
    first, last = normalized(start[masks.ball_q].T), normalized(q[masks.ball_q].T)
    turned = quaternion_log(quaternion_product(quaternion_inverse(first), last))
    return jnp.concatenate([scalars, turned.T.reshape(-1)])[masks.v_pick]


def rate(plan: Plan, masks: Masks, q: Array, v: Array) -> Array:
    r"""$\dot q$ of shape (nq,): velocities, and $\frac12 q\, (0, \omega)$ for quaternions."""
    scalars = _padded(v)[masks.v_of_q]
    if plan.balls == 0:
        return scalars
    omega = v[masks.ball_v].T
    spun = quaternion_product(q[masks.ball_q].T, jnp.concatenate([jnp.zeros_like(omega[:1]), omega])) / 2
    return jnp.concatenate([scalars, spun.T.reshape(-1)])[masks.q_pick]


def tangent(plan: Plan, masks: Masks, q: Array, dq: Array) -> Array:
    r"""The change (nv,) that a change `dq` (nq,) of the coordinates is; what only lengthens a quaternion is none."""
    scalars = _padded(dq)[masks.q_of_v]
    if plan.balls == 0:
        return scalars
    quaternion = q[masks.ball_q].T
    square = jnp.sum(quaternion * quaternion, axis=0)
    turned = 2 * quaternion_product(quaternion_inverse(quaternion), dq[masks.ball_q].T)[1:] / square[None]
    return jnp.concatenate([scalars, turned.T.reshape(-1)])[masks.v_pick]


def chart_rate(plan: Plan, masks: Masks, u: Array, v: Array) -> Array:
    r"""$\dot u$ if $q_0 \oplus u(t)$ moves with the velocity `v`."""
    if plan.balls == 0:
        return v
    turned = inverse_right_jacobian(u[masks.ball_v].T, v[masks.ball_v].T)
    return jnp.concatenate([v, turned.T.reshape(-1)])[masks.v_pick]


def chart_velocity(plan: Plan, masks: Masks, u: Array, du: Array) -> Array:
    r"""The velocity of $q_0 \oplus u(t)$ if u changes by `du`: the inverse of `chart_rate`."""
    if plan.balls == 0:
        return du
    turned = right_jacobian(u[masks.ball_v].T, du[masks.ball_v].T)
    return jnp.concatenate([du, turned.T.reshape(-1)])[masks.v_pick]


def _padded(x: Array) -> Array:
    """With a zero at the end, where the index "none" points."""
    return jnp.concatenate([x, jnp.zeros_like(x, shape=(1,))])
