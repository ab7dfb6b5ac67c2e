"""What each member will cost: given, or predicted from a pilot sample."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from ._family import OutputLeaf
from ._members import Members, rebuild, refuse_tracers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pilot:
    """Predict the cost of every member from `members` of them, which are run first; their results are kept.

    The cost is `stats["num_steps"]` (the leaf of that name anywhere in the output), or the measured time of the member
    if the function returns no such thing. Prediction: least squares of log(cost) on the ranks of the inputs,
    corrected by the residuals of the `neighbors` nearest sampled members.
    """

    members: int = 64
    neighbors: int = 2

    def __post_init__(self) -> None:
        if self.members < 2 or self.neighbors < 1:
            raise ValueError("`Pilot` needs at least 2 members and 1 neighbor.")


def given_cost(cost: Any, members: Members) -> np.ndarray:
    """A cost array or a function of one member, as floats, one per member."""
    if callable(cost):
        one = lambda *leaves: cost(rebuild(members.treedef, leaves, [leaf.key_impl for leaf in members.leaves]))
        cost = jax.jit(jax.vmap(one))(*(leaf.array for leaf in members.leaves))
    refuse_tracers(jax.tree.leaves(cost))
    try:
        values = np.asarray(cost, np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"`cost` must be an array, a function of one member, or `Pilot(...)`, not {cost!r}.") from error
    if values.shape != (members.n,):
        raise ValueError(
            f"`cost` has shape {values.shape}, but there are {members.n} members: give one number for each, "
            f"shape ({members.n},), or a function of one member that returns a scalar."
        )
    bad = np.flatnonzero(~(np.isfinite(values) & (values >= 0)))
    if bad.size:
        raise ValueError(
            f"`cost` must be finite and not negative; member {bad[0]} has {values[bad[0]]} ({bad.size} such). "
            "It is a predicted time in any unit; leave `cost` out to have it measured."
        )
    return values


def features(members: Members) -> np.ndarray:
    """The inputs as ranks in [0, 1], one row per member, without constant columns and PRNG keys, which say nothing."""
    columns = []
    for leaf in members.leaves:
        if leaf.key_impl is not None or leaf.array.dtype.kind not in "biufV":
            continue
        flat = leaf.array.reshape(members.n, -1)[:, : 64 - len(columns)].astype(np.float64)
        for column in flat.T:
            values, inverse = np.unique(column, return_inverse=True)
            if 1 < len(values):
                columns.append(inverse / (len(values) - 1))
    return np.stack(columns, axis=1) if columns else np.zeros((members.n, 0))


def sample(rows: np.ndarray, m: int) -> np.ndarray:
    """`m` rows spread evenly over the ranks of the features, with the extremes; sorted along the first feature."""
    n, columns = rows.shape
    if columns == 0:
        return np.arange(n)[:: max(1, n // m)][:m]
    chosen: list[int] = []
    share = max(2, m // min(columns, 8))
    for column in rows.T[:8]:
        order = np.argsort(column, kind="stable")
        chosen += order[np.linspace(0, n - 1, min(share, n)).astype(int)].tolist()
    spread = np.random.default_rng(0).permutation(n)  # fills up what the columns had in common
    unique = list(dict.fromkeys([*chosen, *spread.tolist()]))[:m]
    return np.array(sorted(unique, key=lambda i: -rows[i, 0]))


def predict(rows: np.ndarray, sampled: np.ndarray, cost: np.ndarray, neighbors: int) -> np.ndarray:
    """The cost of every member from the cost of a sample."""
    logs = np.log(np.maximum(cost, 1e-12))
    design = np.column_stack([np.ones(len(rows)), rows])
    known = design[sampled]
    ridge = 1e-3 * np.eye(design.shape[1])
    weights = np.linalg.solve(known.T @ known + ridge, known.T @ logs)
    residual = logs - known @ weights
    correction = np.empty(len(rows))
    for start in range(0, len(rows), 4096):  # blocks, so that the distances stay small in memory
        block = rows[start : start + 4096, None, :] - rows[sampled][None]
        distance = np.sqrt(np.einsum("ijk,ijk->ij", block, block)) + 1e-9
        nearest = np.argsort(distance, axis=1)[:, :neighbors]
        weight = 1 / np.take_along_axis(distance, nearest, axis=1)
        correction[start : start + 4096] = np.sum(weight * residual[nearest], axis=1) / np.sum(weight, axis=1)
    predicted = np.exp(design @ weights + correction)
    predicted[sampled] = cost
    return predicted


def steps_leaves(outputs: Sequence[OutputLeaf]) -> list[int]:
    """Which raw outputs count steps, if any."""
    return [i for i, leaf in enumerate(outputs) if leaf.name.endswith(("['num_steps']", ".num_steps"))]


def steps_of(found: Sequence[int], arrays: Sequence[np.ndarray]) -> np.ndarray:
    """The number of steps of each member, from the raw outputs that count them."""
    return np.sum([arrays[i].reshape(len(arrays[i]), -1).sum(axis=1).astype(np.float64) for i in found], axis=0)
