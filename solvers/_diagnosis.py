"""Why a solve stalled: which number of the vector field is not finite."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PyTree

_AHEAD = (0.0, 1e2, 1e4, 1e6)  # roundings of time: a solve stalls just before what it cannot pass


def culprit(field: Callable[[Any, PyTree], PyTree], t: Array, y: PyTree, span: Array) -> Int[Array, ""]:
    """The place among all numbers of `field(t, y)` of the first that is not finite at t or just after it; else -1.

    `span` is the largest time of the solve.
    """
    slope, eps, bad = field(t, y), jnp.finfo(span.dtype).eps, []
    for reach in _AHEAD:
        ahead = jnp.asarray(reach, span.dtype) * eps * span
        there = jax.tree.map(lambda y, f, ahead=ahead: y + f * ahead.astype(y.dtype), y, slope)
        there = jax.tree.map(lambda a, b: jnp.where(jnp.isfinite(a), a, b), there, y)
        bad.append(_flags(field(t + ahead, there)))
    bad = jnp.stack(bad)
    first = jnp.argmax(jnp.any(bad, axis=1))
    return jnp.where(jnp.any(bad), jnp.argmax(bad[first]), -1)


def _flags(tree: PyTree) -> Bool[Array, " n"]:
    return jnp.concatenate([~jnp.isfinite(x).reshape(-1) for x in jax.tree.leaves(tree)])
