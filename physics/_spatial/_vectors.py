"""Vectors whose first axis counts components; further axes, if any, count things."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...solvers._host import namespace_of


def dot3(a: Array, b: Array) -> Array:
    """a · b along the first axis."""
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


def cross3(a: Array, b: Array) -> Array:
    """a × b along the first axis."""
    return jnp.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def skew(a: Array) -> Array:
    r"""The matrix $\hat a$ with $\hat a\, b = a \times b$."""
    zero = jnp.zeros_like(a[0])
    return jnp.stack([jnp.stack([zero, -a[2], a[1]]), jnp.stack([a[2], zero, -a[0]]), jnp.stack([-a[1], a[0], zero])])


def matvec3(a: Array, b: Array) -> Array:
    """A b, component by component: XLA makes one loop of it, and calls a library for a batch of small matrices."""
    return jnp.stack([dot3(a[0], b), dot3(a[1], b), dot3(a[2], b)])


def matmul(a: Any, b: Any) -> Any:
    """a @ b in full precision: GPUs would round float32 operands to ten bits."""
    if namespace_of(a, b) is np:
        return a @ b
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)


def safe_norm(a: Array) -> Array:
    """|a| along the first axis; its derivative at zero is zero."""
    square = jnp.sum(a * a, axis=0)
    some = square > 0
    return jnp.where(some, jnp.sqrt(jnp.where(some, square, 1)), 0)


def unit(a: Any) -> Any:
    """a / |a| along the first axis; NaN for zero."""
    if namespace_of(a) is np:
        return a / np.sqrt(np.sum(a * a, axis=0, keepdims=True))
    return a * jax.lax.rsqrt(jnp.sum(a * a, axis=0, keepdims=True))
