"""Where atoms live: open space and periodic boxes."""

from ._space import (
    AbstractSpace as AbstractSpace,
    Free as Free,
    inverse as inverse,
    Periodic as Periodic,
    times as times,
    Triclinic as Triclinic,
)
