"""Several experiments on one model, run together where they look alike."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from .._tree import as_jax, is_concrete, leaf_name, refuse_nonfinite
from .._types import strong
from ._measurement import TimeSeries


class Experiments(eqx.Module):
    """Data of several experiments by name; `residuals(model, data)` is called with one at a time.

    Conditions (doses, temperatures, initial states) are a part of an experiment's data. Experiments whose data have the
    same structure and shapes are simulated as one batch; pad what is ragged with NaN in a `TimeSeries`. Floats in the
    data may differ; what is no float and no array (a number of steps, a text) is a part of the structure.

    Raises ValueError for no experiment, for names that are equal as text, and (in a `Problem`) for data that hold NaN
    outside of a `TimeSeries` or what cannot be hashed.
    """

    names: tuple[str, ...] = eqx.field(static=True)
    data: tuple[PyTree, ...]

    def __init__(self, data: Mapping[Any, PyTree]):
        if not isinstance(data, Mapping) or not data:
            raise ValueError(f"Experiments takes a non-empty mapping from names to data, not {type(data).__name__}.")
        self.names = tuple(str(name) for name in data)
        if len(set(self.names)) < len(self.names):
            raise ValueError(f"Experiments: names must differ as text, but they are {', '.join(self.names)}.")
        self.data = tuple(data.values())

    def __getitem__(self, name: str) -> PyTree:
        """The data of one experiment."""
        if name not in self.names:
            raise KeyError(f"No experiment {name!r}; there are {', '.join(self.names)}.")
        return self.data[self.names.index(name)]


class Group(eqx.Module):
    """Experiments of one kind: their numbers, and their data stacked (not, if it is a single one).

    - `measured`: values that replace those of each `Observed`, in trees like what `residuals` returns, likewise.
    """

    members: tuple[int, ...] = eqx.field(static=True)
    data: PyTree
    measured: PyTree = None

    @property
    def is_single(self) -> bool:
        """Whether it is one experiment, unstacked."""
        return len(self.members) == 1


def as_experiments(data: PyTree) -> Experiments:
    """The data as experiments, floats as arrays; a single one is called "data"."""
    experiments = as_jax(data if isinstance(data, Experiments) else Experiments({"data": data}))
    # a number that differs between experiments must not make each a kind of its own
    experiments = jax.tree.map(lambda x: strong(jnp.asarray(x)) if isinstance(x, float) else x, experiments)
    for name, one in zip(experiments.names, experiments.data, strict=True):
        root = f"data[{name!r}]" if isinstance(data, Experiments) else "data"
        _refuse_nonfinite(one, root)
        _refuse_unhashable(one, root)
    return experiments


def groups_of(experiments: Experiments) -> tuple[Group, ...]:
    """Experiments whose data differ in numbers only are stacked."""
    kinds: dict[Any, list[int]] = {}
    for number, data in enumerate(experiments.data):
        arrays, rest = eqx.partition(data, eqx.is_array)
        shapes = tuple((x.shape, str(x.dtype)) for x in jax.tree.leaves(arrays))
        others = tuple((type(x), x) for x in jax.tree.leaves(rest))  # True equals 1
        kind = (jax.tree.structure(arrays), shapes, jax.tree.structure(rest), others)
        kinds.setdefault(kind, []).append(number)
    groups = []
    for members in kinds.values():
        groups.append(Group(members=tuple(members), data=stacked([experiments.data[k] for k in members])))
    return tuple(groups)


def stacked(data: list[PyTree]) -> PyTree:
    """The data of several experiments of one kind as one; of a single one, as they are."""
    if len(data) == 1:
        return data[0]
    arrays, rest = zip(*(eqx.partition(one, eqx.is_array) for one in data), strict=True)
    return eqx.combine(jax.tree.map(lambda *xs: jnp.stack([jnp.asarray(x) for x in xs]), *arrays), rest[0])


def _refuse_unhashable(data: PyTree, root: str) -> None:
    """What is no array is a part of the compiled program, which is looked up by it."""
    for path, leaf in jax.tree_util.tree_leaves_with_path(data):
        try:
            _ = leaf if eqx.is_array(leaf) else hash(leaf)
        except TypeError:
            raise ValueError(
                f"{leaf_name(path, root)} is a {type(leaf).__name__}, which cannot be hashed: use arrays, numbers, "
                "text, and tuples, lists or dictionaries of these ({name: column.to_numpy()} of a table, say)."
            ) from None


def _refuse_nonfinite(data: PyTree, root: str) -> None:
    """NaN in a `TimeSeries` marks what was not measured; anywhere else it is a mistake."""
    is_series = lambda x: isinstance(x, TimeSeries)
    for path, leaf in jax.tree_util.tree_leaves_with_path(data, is_leaf=is_series):
        if is_series(leaf) or not is_concrete(leaf):
            continue
        if not isinstance(leaf, jax.Array):
            continue
        try:
            refuse_nonfinite(leaf, leaf_name(path, root))
        except ValueError as error:
            raise ValueError(
                f"{error} If NaN marks what was not measured, give the data as TimeSeries(ts, values)."
            ) from None
