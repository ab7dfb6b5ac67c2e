"""States with names, shared by the ready-made systems, and the types of their numbers."""

from typing import Any, NamedTuple, TYPE_CHECKING

from jaxtyping import ArrayLike, Float

if TYPE_CHECKING:  # a checker must accept 1.0, an array and a tracer where a float array ends up
    Real = Any
    Reals = Any
else:
    Real = Float[ArrayLike, ""] | int
    Reals = Float[ArrayLike, "..."]


class Motion(NamedTuple):
    """Where things are and how fast they move: `q` positions or angles, `v` $= dq/dt$, the same structure."""

    q: Any
    v: Any


class Phase(NamedTuple):
    """A point in phase space: `q` positions or angles, `p` their conjugate momenta, the same structure."""

    q: Any
    p: Any
