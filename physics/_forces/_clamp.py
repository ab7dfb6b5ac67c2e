"""Limits of some of many numbers."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ...solvers import parameter
from ...solvers._host import namespace, on_host


class Clamp(eqx.Module):
    """Each number within its limits, if it has any.

    `lower`, `upper` hold what limits there are, and `pick` says which of them hold for each number, an index one too
    large for none: infinities would be no parameters. Beyond a limit the derivative with respect to the number is
    zero and with respect to the limit one; exactly at it, both are a half, the mean of the two sides.
    """

    pick: Array
    lower: Any = parameter()
    upper: Any = parameter()

    def __call__(self, x: Array) -> Array:
        if self.lower.shape == (0,):
            return x
        of_each = lambda limits, none: jnp.concatenate([limits, jnp.full((1,), none, limits.dtype)])[self.pick]
        return jnp.clip(x, of_each(self.lower, -jnp.inf), of_each(self.upper, jnp.inf))


def clamp(limits: list[Any]) -> Clamp:
    """Of numbers whose limits are (2,), or None."""
    some = [pair for pair in limits if pair is not None]
    index, pick = iter(range(len(some))), []
    for pair in limits:
        pick.append(len(some) if pair is None else next(index))
    dtype = jnp.result_type(float)
    rows = namespace(some).stack([on_host(pair, dtype) for pair in some]) if some else np.zeros((0, 2), dtype)
    return Clamp(pick=jax.device_put(np.asarray(pick, np.int32)), lower=rows[:, 0], upper=rows[:, 1])


def check_limits(owner: Any, name: str) -> None:
    """The field `name` is None or (lower, upper), finite and in this order."""
    value, whose = getattr(owner, name), f"{type(owner).__name__}.{name}"
    if value is None:
        return
    if jnp.shape(value) != (2,):
        raise ValueError(f"{whose} must be (lower, upper), got shape {jnp.shape(value)}.")
    if isinstance(value, Tracer):
        return
    lower, upper = np.asarray(value)
    if not np.isfinite([lower, upper]).all():
        raise ValueError(f"{whose} holds NaN or infinity: ({lower}, {upper}). Write a large number for no limit.")
    if lower >= upper:
        raise ValueError(f"{whose} are swapped: lower {lower} is not below upper {upper}.")
