"""What `rollout` and `integrate` return, and the one place where a failure becomes an exception."""

from typing import Any, Generic

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, PyTree

from ._results import RESULTS
from ._tree import is_concrete, is_float, leaf_name, nan_where
from ._types import as_parameter, RealScalarLike, Scalar, State


class TimeState(eqx.Module):
    """A time and the state of a differential equation at it."""

    t: Scalar = eqx.field(converter=as_parameter)
    y: PyTree


class Solution(eqx.Module, Generic[State]):
    """The outcome of a run.

    - `ts`: the times of `ys`, first axis time; for `rollout` the time since its start.
    - `ys`: the saved states (or what `observe` made of them), stacked along a new first axis.
    - `state`: the last state; give it to the next call to continue. For `integrate` a `TimeState(t, y)`: the end, or
      where an event ended the run. After a failure `t` is the time of a stall, or infinite, and `y` is infinite
      unless `saveat` or `events` was given.
    - `stats`: counts, such as `num_steps`.
    - `result`: a `RESULTS` member; `successful` has an empty message.
    - `interpolation`, `event_mask`: as in diffrax, if asked for.
    - `events`: for `hybrid`, what happened when: `Events(ts, which, count)`.
    """

    ts: Any
    ys: Any
    state: State
    stats: dict[str, Any]
    result: RESULTS
    interpolation: diffrax.DenseInterpolation | None = None
    event_mask: PyTree = None
    events: Any = None

    @property
    def succeeded(self) -> Bool[Array, "..."]:
        """True where the run ended as asked, by reaching its end or by an event."""
        return (self.result == RESULTS.successful) | (self.result == RESULTS.event_occurred)

    def evaluate(self, t: RealScalarLike) -> PyTree:
        """The state at time `t` by dense output, inside the range that was integrated.

        Needs `integrate(..., saveat=diffrax.SaveAt(dense=True))`. It never extrapolates: outside
        the range it raises, or is NaN where values are traced.
        """
        if self.interpolation is None:
            raise ValueError(
                "This solution has no dense output; pass `saveat=diffrax.SaveAt(dense=True)` to `integrate`."
            )
        first, last = self.interpolation.t0, self.interpolation.t1
        t = jnp.asarray(t, jnp.result_type(last))
        if t.ndim:
            raise ValueError(
                f"evaluate takes one time, not an array of shape {t.shape}; use jax.vmap(solution.evaluate)."
            )
        outside = (t < first) | (t > last)
        if is_concrete((t, first, last)) and bool(outside):
            raise ValueError(f"t = {t} is outside the range that was integrated, [{first}, {last}].")
        return nan_where(outside, self.interpolation.evaluate(t))


def finish(solution: Solution, throw: bool) -> Solution:
    """Raise if `throw` and the run failed; where it is traced nothing can raise, so all floats of a failure are NaN."""
    if not throw:
        return solution
    if not is_concrete(solution.result):
        return nan_where(~solution.succeeded, solution)
    if _code(solution.result) not in (_code(RESULTS.successful), _code(RESULTS.event_occurred)):
        raise RuntimeError(f"{RESULTS[solution.result]}\nStatistics: {_readable(solution)}")
    return solution


def _code(result: Any) -> int:
    (value,) = jax.tree.leaves(result)
    return int(value)


def _readable(solution: Solution) -> str:
    """The counts, and the first saved entry that is not finite."""
    facts = [f"{name} = {value}" for name, value in solution.stats.items() if is_concrete(value)]
    facts += _culprit(solution)
    saved = [np.asarray(y) for y in jax.tree.leaves(solution.ys) if is_float(y) and y.ndim and is_concrete(y)]
    if saved and len({len(y) for y in saved}) == 1:
        bad = np.any([~np.isfinite(y).reshape(len(y), -1).all(axis=1) for y in saved], axis=0)
        if bad.any():
            facts.append(f"first saved entry that is not finite = {int(np.argmax(bad))} of {len(bad)}")
    return ", ".join(facts)


def _culprit(solution: Solution) -> list[str]:
    """The component to blame, if `stats` has its place among all float numbers."""
    stats, y = solution.stats, solution.state
    if not is_concrete((stats, y)):
        return []
    if stats.get("nonfinite_component", -1) >= 0:
        return [f"not finite: the derivative of {_named(y.y, stats['nonfinite_component'])} at t = {y.t}"]
    if stats.get("start_off_by", 0) > 1:
        return [f"farthest off: {_named(y.y, stats['start_component'])}"]
    return []


def _named(tree: PyTree, place: Any) -> str:
    """The name of the number that is in this place of all float numbers."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        if is_float(leaf) and place < leaf.size:
            return leaf_name(path, "y") + "".join(f"[{int(i)}]" for i in np.unravel_index(int(place), leaf.shape))
        place = place - (leaf.size if is_float(leaf) else 0)
    return "y"
