"""Parts of the data that a minibatch may draw: whole experiments, or rows of a single one."""

from collections.abc import Sequence

import equinox as eqx
import jax
from jaxtyping import Array, Int, PyTree

from ._experiments import Group


def count_rows(groups: Sequence[Group]) -> int:
    """The number of experiments, or the length that the arrays of a single experiment share.

    Raises ValueError if the experiments differ in shape, or the arrays in length.
    """
    if len(groups) > 1:
        raise ValueError(
            "Minibatches draw among experiments of one kind, but these have data of different shapes: pad what is "
            "ragged with NaN in a TimeSeries."
        )
    group = groups[0]
    if not group.is_single:
        return len(group.members)
    lengths = {x.shape[0] for x in _arrays(group.data)}
    if len(lengths) != 1:
        found = ", ".join(str(x.shape) for x in _arrays(group.data))
        raise ValueError(
            "Minibatches draw rows along the first axis of all arrays in the data, which must have one length (only "
            f"numbers may stand beside them), but their shapes are {found or 'none'}."
        )
    return lengths.pop()


def take_rows(groups: Sequence[Group], rows: Int[Array, " n"]) -> Group:
    """The one group with these rows alone."""
    group = groups[0]
    take = lambda x: x[rows] if eqx.is_array(x) and x.ndim > 0 else x
    return jax.tree.map(take, group)


def _arrays(data: PyTree) -> list[Array]:
    return [x for x in jax.tree.leaves(data) if eqx.is_array(x) and x.ndim > 0]
