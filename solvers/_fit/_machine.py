"""Where members of a family run: searches, walks, chains."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from .._ensemble._ensemble import quick_ensemble
from .._ensemble._workers import reason_of, slots_of
from .._programs import quick_options


class Machine(eqx.Module):
    """Where and how wide members run; the numbers depend on the width alone, and on that by rounding only."""

    batch_size: int = eqx.field(static=True)
    devices: Sequence[Any] | None = eqx.field(static=True)

    def __init__(self, batch_size: int | None, devices: Sequence[Any] | None):
        if batch_size is not None and (not isinstance(batch_size, int | np.integer) or batch_size < 1):
            raise ValueError(f"batch_size must be a positive integer, not {batch_size!r}.")
        self.batch_size = 1 if batch_size is None else int(batch_size)
        self.devices = None if devices is None else tuple(devices)

    @property
    def lanes(self) -> int:
        """How many members run at once."""
        return self.batch_size * len(slots_of(self._chosen))

    @property
    def _chosen(self) -> Sequence[Any]:
        return jax.local_devices() if self.devices is None else self.devices

    def run(self, fn: Callable[[Any], PyTree], members: PyTree, certain: Callable[[PyTree], np.ndarray]) -> PyTree:
        """`fn` for every member, as arrays on the host; RuntimeError if one raised.

        `certain(values)` picks numbers of `fn`'s, members first, that are NaN for no other reason.
        """
        options = quick_options({device.platform for device in self._chosen})
        found = quick_ensemble(fn, members, self.batch_size, self.devices, options)
        values = jax.tree.map(np.array, found.values)
        raised = np.flatnonzero(np.isnan(certain(values).reshape(len(found.failed), -1)).any(axis=1))
        if raised.size:
            raise _raised(found.failures[int(raised[0])])
        return values


def raising(fn: Callable[..., PyTree], *arguments: PyTree) -> PyTree:
    """`fn(*arguments)` for one member, here and now; the same RuntimeError if it raised while it ran."""
    try:
        return jax.block_until_ready(fn(*arguments))
    except RuntimeError as error:  # of Equinox or of JAX
        raise _raised(reason_of(error)) from error


def _raised(why: str) -> RuntimeError:
    return RuntimeError(
        f"`residuals` raised: {why.rstrip('.')}. A simulation that fails has to return that as a value: pass "
        "throw=False to it, and return its result (or NaN)."
    )
