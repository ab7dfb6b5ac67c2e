"""Hybrid systems: continuous motion and transitions."""

from ._hybrid import hybrid as hybrid
from ._transitions import (
    AbstractGuarded as AbstractGuarded,
    AbstractScheduled as AbstractScheduled,
    AbstractTransition as AbstractTransition,
    Crossing as Crossing,
    Doses as Doses,
    Events as Events,
    Schedule as Schedule,
    Stop as Stop,
)
