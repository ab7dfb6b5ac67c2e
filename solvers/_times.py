"""The times at which a solve is saved: checked, and padded when they are ragged."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from ._host import as_array
from ._tree import is_concrete
from ._types import RealScalarLike, Scalar


class SaveTimes(eqx.Module):
    """Times that can be given to a solver, whatever the user gave: finite, never decreasing, inside [t0, t1]."""

    t0: Scalar
    t1: Scalar
    ts: Float[Array, " t"]
    padded: Bool[Array, " t"]
    valid: Bool[Array, ""]

    def restore(self, ts: Float[Array, " t"]) -> Float[Array, " t"]:
        """NaN again where the user's times were padding."""
        return jnp.where(self.padded, jnp.nan, ts)


def as_times(ts: Any, dtype: Any) -> Array:
    """The times as an array of the state's precision; a list may hold tracers."""
    if isinstance(ts, list | tuple) and any(isinstance(t, Array) for t in ts):
        return jnp.stack([jnp.asarray(t, dtype) for t in ts])
    return as_array(ts, dtype)


def check_times(ts: Array, t0: RealScalarLike | None) -> None:
    """Raise a ValueError for times that cannot be right, as far as their values can be looked at."""
    if ts.ndim != 1 or ts.size == 0:
        raise ValueError(
            f"ts must be a 1-D array of times, not of shape {ts.shape}. For one ts per member use jax.vmap."
        )
    if ts.size == 1 and t0 is None:
        raise ValueError("One time is no interval: give at least two times in ts, or pass t0=.")
    if not is_concrete((ts, t0)):
        return
    times = np.asarray(ts)
    start = times[0] if t0 is None else np.asarray(t0)
    if not np.isfinite(start) or np.isinf(times).any():
        raise ValueError("ts and t0 must be finite (NaN is allowed in ts as padding at the end only).")
    if (np.isnan(times[:-1]) & ~np.isnan(times[1:])).any():
        raise ValueError("ts holds a NaN before a number; NaN is padding and belongs at the end (see `pad_times`).")
    if start > times[0]:
        raise ValueError(f"ts[0] = {times[0]} lies before t0 = {start}, outside the range to integrate.")
    falls = times[1:] < times[:-1]
    if falls.any():
        k = int(np.argmax(falls))
        raise ValueError(
            f"ts must not decrease, but ts[{k}] = {times[k]} > ts[{k + 1}] = {times[k + 1]}. Sort the times."
        )


def save_times(ts: Float[Array, " t"], t0: RealScalarLike | None) -> SaveTimes:
    """Split `ts` into start, end and times to save at; a bad one is not `valid` and ends its solve at once."""
    start = ts[0] if t0 is None else jnp.asarray(t0, ts.dtype)
    padded = jnp.isnan(ts)
    unsorted = jnp.any((ts[1:] < ts[:-1]) | (padded[:-1] & ~padded[1:]))
    valid = ~unsorted & (start <= ts[0]) & ~jnp.any(jnp.isinf(ts)) & jnp.isfinite(start)
    start = jnp.where(jnp.isfinite(start), start, 0)
    end = jnp.where(valid, jnp.max(jnp.where(padded, start, ts)), start)
    return SaveTimes(t0=start, t1=end, ts=jnp.where(padded | ~valid, end, ts), padded=padded, valid=valid)


def pad_times(times: Sequence[ArrayLike | Sequence[RealScalarLike]]) -> Float[Array, "n t"]:
    """Ragged times of several members as one array, padded with NaN at the end, for `jax.vmap(integrate)`.

    A padded entry of `Solution.ts` is NaN and its `ys` repeat the last state (finite, so that a masked loss has a
    right gradient): mask with `jnp.isfinite(solution.ts)`.
    """
    rows = [np.atleast_1d(np.asarray(t, float)) for t in times]
    if not rows or any(row.ndim != 1 or row.size == 0 for row in rows):
        raise ValueError("pad_times needs at least one member, each with a non-empty 1-D sequence of times.")
    width = max(row.size for row in rows)
    return jnp.asarray(np.stack([np.pad(row, (0, width - row.size), constant_values=np.nan) for row in rows]))
