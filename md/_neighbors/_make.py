"""Which neighbor structure suits a system."""

from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from ._all_pairs import AllPairs
from ._list import NeighborList
from ._neighbors import AbstractNeighbors

_FEW = 600  # atoms: below, all pairs are as fast as a list


def neighbor_list(system: Any, reach: Any, *, skin: float | None = None) -> AbstractNeighbors:
    """The neighbors of each atom within `reach` [length]: all pairs of a small system, else a list with a skin.

    - `skin` [length]: how much farther the list reaches, so that it lasts some steps; by default a fifth of `reach`
      (see docs/md-notes.md). 0 is right for a single configuration.

    Sizes are taken from the configuration, so values must be known: call it outside `jit`. Right for every box, also
    one smaller than the cutoff. Raises ValueError if reach is not positive, or a position NaN.
    """
    if any(isinstance(x, Tracer) for x in jax.tree.leaves((system.space, system.position, reach))):
        raise ValueError(
            "neighbor_list sizes its arrays from values, which are not known under jit, vmap or grad: make the list "
            "outside and pass it in; inside, `neighbors.refresh(system)` fills it anew."
        )
    reach = float(reach)
    skin = float(reach / 5 if skin is None else skin)
    if not reach > 0 or not np.isfinite(reach) or not skin >= 0:
        raise ValueError(f"reach must be positive and finite and skin not negative, got {reach} and {skin}.")
    bad = ~np.isfinite(np.asarray(system.position))
    if bad.any():
        raise ValueError(f"The position of atom {np.argwhere(bad)[0][0]} is NaN or infinite.")
    pairs = AllPairs.make(system.space, reach)
    if system.position.shape[0] * max(1, len(pairs.images)) <= _FEW:
        return pairs
    return NeighborList.make(system, reach + skin)
