"""Map a function over an ensemble: sorted by cost, in batches, on every core and device, to memory or to disk."""

from ._cost import Pilot as Pilot
from ._ensemble import ensemble as ensemble
from ._result import EnsembleResult as EnsembleResult
from ._store import read_store as read_store, StoredEnsemble as StoredEnsemble
