"""Energies of sums over neighbors: many-body potentials at the cost of pair potentials."""

import abc
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._gathered import AbstractGathered
from .._neighbors import FINE
from .._pair import stretched


class AbstractEmbedded(AbstractGathered):
    r"""$\sum_i F(\rho_i, a_i)$, $\rho_i = \sum_j \varphi(x_i - x_j, a_i, a_j)$: write `densities`, `embed`, `reach`.

    The embedded atom is of this form; so is every angular term that is a polynomial of the cosine, because moments of
    the directions hold it (`StillingerWeber`); so are many descriptors of neural potentials. Two loops over the
    neighbors give all forces, and no triples are visited. Forces, stress and derivatives follow.
    """

    @abc.abstractmethod
    def densities(self, d: Any, a: Any, b: Any) -> tuple[Any, ...]:
        """What a neighbor of species `b` adds to an atom of species `a`; 0 from `reach` on.

        `d` holds the three components of x_i - x_j, each a number: vectors in arrays would be slower.
        """

    @abc.abstractmethod
    def embed(self, densities: tuple[Any, ...], a: Any) -> Any:
        """Energy of one atom of species `a` from the sums of what its neighbors add."""

    def shared(self, d: Any, a: Any, b: Any, mine: tuple[Any, ...], theirs: tuple[Any, ...]) -> Any:
        """What two atoms add to each other's densities, weighted; a class that can say it shorter may do so."""
        return _dot(mine, self.densities(d, a, b)) + _dot(theirs, self.densities(_back(d), b, a))

    def sum_energy(self, space: Any, position: Any, species: Any, neighbors: Any) -> Array:
        """The sum over the atoms."""
        return jnp.sum(jax.vmap(self.embed)(self._sums(space, position, species, neighbors, None), species))

    def sum_force(self, space: Any, position: Any, species: Any, neighbors: Any, strain: Any = None) -> Array:
        """What an atom's own sums push it by, and what those of its neighbors do."""
        slopes = self._slopes(space, position, species, neighbors, strain)

        def of_pair(d, i, j):
            weights = pick(slopes, i), pick(slopes, j)
            return _back(jax.grad(self.shared)(d, pick(species, i), pick(species, j), *weights))

        return jnp.stack(self._sweep(of_pair, space, position, neighbors, strain, chunk=1), axis=1)

    def sum_virial(self, space: Any, position: Any, species: Any, neighbors: Any) -> Array:
        """The slopes by the vectors times the vectors."""
        slopes = self._slopes(space, position, species, neighbors, None)

        def of_pair(d, i, j):
            mine, a, b = pick(slopes, i), pick(species, i), pick(species, j)
            slope = jax.grad(lambda d: _dot(mine, self.densities(d, a, b)))(d)
            return tuple(d[m] * slope[k] for m in range(3) for k in range(3))

        return jnp.stack([jnp.sum(x) for x in self._sweep(of_pair, space, position, neighbors, None)]).reshape(3, 3)

    def _sums(self, space, position, species, neighbors, strain):
        of_pair = lambda d, i, j: self.densities(d, pick(species, i), pick(species, j))
        return self._sweep(of_pair, space, position, neighbors, strain)

    def _slopes(self, space, position, species, neighbors, strain):
        """The derivatives of each atom's energy by its sums."""
        return jax.vmap(jax.grad(self.embed))(self._sums(space, position, species, neighbors, strain), species)

    def _sweep(self, of_pair, space, position, neighbors, strain, chunk=FINE):
        """Sums over the neighbors of a function of one pair: vector and numbers of the atoms."""

        def of_pairs(d, i, j):
            d = stretched(d, strain)
            present = d[0] * d[0] + d[1] * d[1] + d[2] * d[2] < self.reach**2
            # all others are put at the reach, where everything is finite
            idle = (self.reach, jnp.zeros_like(self.reach), jnp.zeros_like(self.reach))
            d = tuple(jnp.where(present, x, at) for x, at in zip(d, idle, strict=True))
            function = of_pair
            for _ in range(present.ndim):
                function = jax.vmap(function)
            return tuple(jnp.where(present, x, 0) for x in function(d, i, j))

        numbers = jnp.arange(position.shape[0], dtype=jnp.int32)
        return neighbors.sweep(of_pairs, space, position, numbers, chunk=chunk)


def pick(x: Any, index: Any) -> Any:
    """Entries of arrays at an index that is known to be valid."""
    return jax.tree.map(lambda x: x.at[index].get(mode="promise_in_bounds"), x)


def _back(d: Any) -> tuple[Any, Any, Any]:
    return -d[0], -d[1], -d[2]


def _dot(a: tuple[Any, ...], b: tuple[Any, ...]) -> Any:
    return sum((x * y for x, y in zip(a[1:], b[1:], strict=True)), a[0] * b[0])
