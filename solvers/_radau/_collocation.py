"""Dense output of a collocation method."""

from typing import Any

import diffrax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree


class Collocation(diffrax.AbstractLocalInterpolation):
    r"""$y(t_0 + \theta h) = y_0 + \sum_k \theta^k$ `curve[k - 1]`."""

    t0: Any
    t1: Any
    y0: PyTree
    y1: PyTree
    curve: Array

    def evaluate(self, t0, t1=None, left=True):
        """The state at `t0`, or its change from `t0` to `t1`."""
        del left
        flat, unflat = ravel_pytree(self.y0)
        if t1 is not None:
            return unflat(self._change(t1) - self._change(t0))
        return unflat(flat + self._change(t0))

    def _change(self, t: Any) -> Array:
        """What has been added to `y0` at the time t."""
        whole = jnp.where(self.t1 == self.t0, 1, self.t1 - self.t0)
        return along(self.curve, ((t - self.t0) / whole).astype(self.curve.dtype))


def along(curve: Array, theta: Array) -> Array:
    r"""$\sum_k \theta^k$ `curve[k - 1]`."""
    total = jnp.zeros_like(curve[0])
    for row in curve[::-1]:
        total = (total + row) * theta
    return total


def end_slope(curve: Array) -> Array:
    """The derivative by theta at its end."""
    return jnp.tensordot(jnp.arange(1, len(curve) + 1, dtype=curve.dtype), curve, 1)
