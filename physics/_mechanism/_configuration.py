"""Coordinates q on their manifold: numbers for slides and hinges, unit quaternions for balls.

Small changes of q are velocities times time, of shape (nv,).
"""

from collections.abc import Sequence

import equinox as eqx
import jax.numpy as jnp
import numpy as np
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
from ._joint import BALL

Places = Array | np.ndarray  # on the host while a mechanism is planned


class Chart(eqx.Module):
    """Where in coordinates and velocities the numbers of each element lie. An index one too large means "none"."""

    ball_q: Places  # (balls, 4)
    ball_v: Places  # (balls, 3)
    q_of_v: Places  # (nv) the coordinate whose rate this velocity is, or none
    v_of_q: Places  # (nq)
    q_pick: Places  # (nq) from (all as scalars, quaternions)
    v_pick: Places  # (nv) from (all as scalars, rotation vectors)

    @property
    def nv(self) -> int:
        """Number of velocities."""
        return self.q_of_v.shape[0]

    @property
    def balls(self) -> int:
        """How many elements are balls."""
        return self.ball_q.shape[0]

    @property
    def scalars(self) -> int:
        """How many are not."""
        return self.nv - 3 * self.balls

    @staticmethod
    def of(kinds: Sequence[str]) -> "Chart":
        """Elements one after the other, on the host."""
        q, v, ball_q, ball_v, q_of_v, v_of_q = 0, 0, [], [], {}, {}
        for kind in kinds:
            if kind == BALL:
                ball_q.append(range(q, q + 4))
                ball_v.append(range(v, v + 3))
                q, v = q + 4, v + 3
            else:
                q_of_v[v], v_of_q[q] = q, v
                q, v = q + 1, v + 1

        def of_balls(size: int, balls: np.ndarray) -> np.ndarray:
            found = np.arange(size, dtype=np.int32)
            found[balls.ravel()] = size + np.arange(balls.size)
            return found

        index = lambda rows, *shape: np.array(rows, np.int32).reshape(shape)
        at_q, at_v = index(ball_q, -1, 4), index(ball_v, -1, 3)
        return Chart(
            ball_q=at_q,
            ball_v=at_v,
            q_of_v=index([q_of_v.get(k, q) for k in range(v)], -1),
            v_of_q=index([v_of_q.get(k, v) for k in range(q)], -1),
            q_pick=of_balls(q, at_q),
            v_pick=of_balls(v, at_v),
        )


def retract(chart: Chart, q: Array, change: Array) -> Array:
    r"""$q \oplus u$: numbers added, quaternions multiplied from the right by $e^{u/2}$ and normalized."""
    scalars = q + padded(change)[chart.v_of_q]
    if chart.balls == 0:
        return scalars
    turned = quaternion_product(normalized(q[chart.ball_q].T), quaternion_exp(change[chart.ball_v].T))
    return jnp.concatenate([scalars, normalized(turned).T.reshape(-1)])[chart.q_pick]


def difference(chart: Chart, q: Array, start: Array) -> Array:
    r"""$q \ominus q_0$: the change that `retract` undoes; rotations by at most a half turn."""
    scalars = padded(q - start)[chart.q_of_v]
    if chart.balls == 0:
        return scalars
    first, last = normalized(start[chart.ball_q].T), normalized(q[chart.ball_q].T)
    turned = quaternion_log(quaternion_product(quaternion_inverse(first), last))
    return jnp.concatenate([scalars, turned.T.reshape(-1)])[chart.v_pick]


def rate(chart: Chart, q: Array, v: Array) -> Array:
    r"""$\dot q$ of shape (nq,): velocities, and $\frac12 q\, (0, \omega)$ for quaternions."""
    scalars = padded(v)[chart.v_of_q]
    if chart.balls == 0:
        return scalars
    omega = v[chart.ball_v].T
    spun = quaternion_product(q[chart.ball_q].T, jnp.concatenate([jnp.zeros_like(omega[:1]), omega])) / 2
    return jnp.concatenate([scalars, spun.T.reshape(-1)])[chart.q_pick]


def tangent(chart: Chart, q: Array, dq: Array) -> Array:
    r"""The change (nv,) that a change `dq` (nq,) of the coordinates is; what only lengthens a quaternion is none."""
    scalars = padded(dq)[chart.q_of_v]
    if chart.balls == 0:
        return scalars
    quaternion = q[chart.ball_q].T
    square = jnp.sum(quaternion * quaternion, axis=0)
    turned = 2 * quaternion_product(quaternion_inverse(quaternion), dq[chart.ball_q].T)[1:] / square[None]
    return jnp.concatenate([scalars, turned.T.reshape(-1)])[chart.v_pick]


def chart_rate(chart: Chart, u: Array, v: Array) -> Array:
    r"""$\dot u$ if $q_0 \oplus u(t)$ moves with the velocity `v`."""
    if chart.balls == 0:
        return v
    turned = inverse_right_jacobian(u[chart.ball_v].T, v[chart.ball_v].T)
    return jnp.concatenate([v, turned.T.reshape(-1)])[chart.v_pick]


def chart_velocity(chart: Chart, u: Array, du: Array) -> Array:
    r"""The velocity of $q_0 \oplus u(t)$ if u changes by `du`: the inverse of `chart_rate`."""
    if chart.balls == 0:
        return du
    turned = right_jacobian(u[chart.ball_v].T, du[chart.ball_v].T)
    return jnp.concatenate([du, turned.T.reshape(-1)])[chart.v_pick]


def padded(x: Array) -> Array:
    """With a zero at the end, where the index "none" points."""
    return jnp.concatenate([x, jnp.zeros_like(x, shape=(1,))])
