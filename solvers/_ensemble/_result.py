"""What `ensemble` returns, and how it is filled as results arrive."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ._family import OutputLeaf, Outputs


@dataclasses.dataclass(frozen=True, repr=False)
class EnsembleResult:
    """The outcome of `ensemble`, in the order of the inputs.

    - `values`: what the function returned, stacked along a new first axis; NumPy arrays (memory maps with `store=`).
    - `failed`: bool array `(n,)`.
    - `failures`: index of a failed member -> why.
    - `stats`: seconds, compile_seconds, units, workers, batch_sizes, pilot, efficiency (useful share of the lanes).
    """

    values: PyTree
    failed: np.ndarray
    failures: dict[int, str]
    stats: dict[str, Any]

    def __repr__(self) -> str:
        n, bad = len(self.failed), len(self.failures)
        lines = [f"EnsembleResult of {n} members, {bad} failed, in {self.stats['seconds']:.3g} s"]
        lines += [f"  {name}" for name in describe(self.values)]
        lines += [f"  member {i} failed: {why.splitlines()[0]}" for i, why in sorted(self.failures.items())[:5]]
        if bad > 5:
            lines.append(f"  ... and {bad - 5} more in `failures`")
        return "\n".join(lines)


def describe(values: PyTree) -> list[str]:
    """One line per array of a PyTree: path, dtype, shape."""
    flat = jax.tree_util.tree_flatten_with_path(values)[0]
    return [
        f"values{jax.tree_util.keystr(path)}: {leaf.dtype}{list(leaf.shape)}"
        for path, leaf in flat
        if hasattr(leaf, "dtype")
    ]


class Memory:
    """Results kept as arrays."""

    def __init__(self, n: int, outputs: Outputs) -> None:
        self.failed = np.zeros(n, bool)
        self.done = np.zeros(n, bool)
        self.failures: dict[int, str] = {}
        self._arrays = [np.zeros((n, *leaf.one.shape), leaf.one.dtype) for leaf in outputs.leaves]

    def write(self, indices: np.ndarray, arrays: Sequence[np.ndarray], failures: dict[int, str]) -> None:
        """Take the results of some members."""
        for kept, new in zip(self._arrays, arrays, strict=True):
            kept[indices] = new
        self.failures.update(failures)
        self.failed[list(failures)] = True
        self.done[indices] = True

    def finish(self) -> list[np.ndarray]:
        """The stacked outputs."""
        return self._arrays

    def close(self) -> None:
        """Nothing to keep."""


def failures_in(
    outputs: Sequence[OutputLeaf], indices: np.ndarray, arrays: Sequence[np.ndarray], raised: dict[int, str]
) -> dict[int, str]:
    """Why members failed: their evaluation raised, a `RESULTS` item says so, or a float is NaN.

    The NaN with which the times of a `Solution` are padded are none of these. `raised` counts within the unit; the
    answer is by index of member.
    """
    stems = [leaf.name.rpartition(".result") for leaf in outputs if leaf.outcomes is not None]
    times = {f"{stem}.ts" for stem, found, _ in stems if found}
    why = dict(raised)
    for leaf, array in zip(outputs, arrays, strict=True):
        if leaf.outcomes is None:
            continue
        codes = array.reshape(len(indices), -1)
        for position in np.flatnonzero(~_accepted(leaf.outcomes, codes).all(axis=1)):
            first = codes[position][~_accepted(leaf.outcomes, codes[position])][0]
            why.setdefault(int(position), f"{leaf.name}: {_message(leaf.outcomes, first)}")
    for leaf, array in zip(outputs, arrays, strict=True):
        if jnp.issubdtype(array.dtype, jnp.inexact) and leaf.name not in times:
            for position in np.flatnonzero(np.isnan(array.reshape(len(indices), -1)).any(axis=1)):
                why.setdefault(int(position), f"{leaf.name} contains NaN")
    return {int(indices[position]): message for position, message in why.items()}


def blanks(outputs: Sequence[OutputLeaf]) -> list[np.ndarray]:
    """What stands in the place of a member whose evaluation raised: NaN, zero, or an internal error."""
    arrays = []
    for leaf in outputs:
        array = np.zeros((1, *leaf.one.shape), leaf.one.dtype)
        if leaf.outcomes is not None and hasattr(leaf.outcomes, "internal_error"):
            array[...] = _code(leaf.outcomes.internal_error)
        elif jnp.issubdtype(leaf.one.dtype, jnp.inexact):
            array[...] = np.nan
        arrays.append(array)
    return arrays


def _code(item: Any) -> int:
    return int(jax.tree.leaves(item)[0])


def _accepted(outcomes: Any, codes: np.ndarray) -> np.ndarray:
    accepted = codes == _code(outcomes.successful)
    if hasattr(outcomes, "event_occurred"):
        accepted |= codes == _code(outcomes.event_occurred)
    return accepted


def _message(outcomes: Any, code: Any) -> str:
    item = jax.tree.map(lambda _: np.asarray(code), outcomes.successful)
    return str(outcomes[item]) or repr(item)
