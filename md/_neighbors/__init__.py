"""Which atoms are near which: one interface, all pairs for few atoms, lists for many."""

from ._all_pairs import AllPairs as AllPairs
from ._list import NeighborList as NeighborList
from ._make import neighbor_list as neighbor_list
from ._neighbors import (
    AbstractNeighbors as AbstractNeighbors,
    FAR as FAR,
    FINE as FINE,
    Finer as Finer,
    Standing as Standing,
)
