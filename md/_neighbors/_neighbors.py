"""What the engine asks of a neighbor structure."""

import abc
from collections.abc import Callable
from typing import Any, TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp

if TYPE_CHECKING:  # pyright counts an eqx.AbstractVar as a constructor argument
    from typing import ClassVar as AbstractVar
else:
    from equinox import AbstractVar

OfPairs = Callable[[tuple[Any, Any, Any], Any, Any], tuple[Any, ...]]
FAR = 1e12  # [length]; how far apart pairs are put that are none: out of all reach, and its square is still finite
CHUNK, FINE = 5, 3  # neighbors of each atom at a time: so few are unrolled and vectorized, of longer terms fewer


class AbstractNeighbors(eqx.Module):
    """Every ordered pair (i, j) of atoms, or images of them, within `cutoff` [length] of each other, once.

    Pairs farther apart may be among them. How many there is room for is fixed; `fault` says whether that, and the
    skin, was enough, and only then are results right.
    """

    cutoff: AbstractVar[Any]
    slack: AbstractVar[Any]  # the longest reach for which it was right at all times since it was made

    @abc.abstractmethod
    def sweep(
        self, of_pairs: OfPairs, space: Any, position: Any, species: Any, *, chunk: int = CHUNK
    ) -> tuple[Any, ...]:
        """For each atom the sum of `of_pairs` over its neighbors: a tuple of arrays (n,).

        `of_pairs((dx, dy, dz), a, b)` is given arrays of one shape, and returns such, 0 beyond the reach: components of
        d = x_i - x_j, and species of i and of j (any whole numbers that go with the atoms). Free places of the list are
        pairs at the distance FAR. `chunk`: how many neighbors of each atom at a time; 1 is faster if `of_pairs` reads
        much.
        """

    @abc.abstractmethod
    def vectors(self, system: Any) -> tuple[Any, Any, Any]:
        """Of each atom: vectors to the neighbors (n, k, 3), their species (n, k), and which are present (n, k)."""

    @abc.abstractmethod
    def refresh(self, system: Any) -> "AbstractNeighbors":
        """The pairs of a new configuration, in arrays of the same sizes."""

    @abc.abstractmethod
    def watch(self, space: Any, position: Any) -> "AbstractNeighbors":
        """Note how far the atoms have moved since the last refresh, for `fault`; at every step."""

    @abc.abstractmethod
    def fault(self, reach: Any) -> "Standing":
        """Whether a pair within `reach` may have been missed since the list was made, and why."""

    @abc.abstractmethod
    def grown(self, system: Any, failed: "AbstractNeighbors", reach: Any) -> "AbstractNeighbors":
        """With room for what `failed`, a later state of this structure, lacked; on the host, with known values."""


class Finer(eqx.Module):
    """The same pairs, fewer at a time: for derivatives, whose terms are longer."""

    neighbors: AbstractNeighbors

    def sweep(
        self, of_pairs: OfPairs, space: Any, position: Any, species: Any, *, chunk: int = FINE
    ) -> tuple[Any, ...]:
        """As that of the neighbors."""
        return self.neighbors.sweep(of_pairs, space, position, species, chunk=min(chunk, FINE))


class Standing(eqx.Module):
    """Why a neighbor structure fell short: booleans, all False if it did not."""

    full: Any
    moved: Any

    @property
    def any(self) -> Any:
        """Whether anything is wrong."""
        return self.full | self.moved


def sum_slots(body: Callable[[Any], tuple[Any, ...]], slots: Any, *, chunk: int) -> tuple[Any, ...]:
    """The sum of `body(chunk of slots)` over chunks of the leading axis of `slots`, the last with what is left."""
    size = jax.tree.leaves(slots)[0].shape[0]
    whole = size - size % chunk
    pieces = jax.tree.map(lambda x: x[:whole].reshape(-1, chunk, *x.shape[1:]), slots)
    rest = jax.tree.map(lambda x: x[whole:], slots)
    body = jax.checkpoint(body, prevent_cse=False)  # recomputing a chunk costs less than storing it
    shapes = jax.eval_shape(body, rest)
    total = body(rest) if whole < size else tuple(jnp.zeros(s.shape, s.dtype) for s in shapes)
    return jax.lax.scan(lambda total, x: (tuple(map(jnp.add, total, body(x))), None), total, pieces)[0]
