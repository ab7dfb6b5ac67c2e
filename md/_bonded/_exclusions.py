"""Pairs that a potential leaves out, and pairs that are listed."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._gathered import AbstractGathered
from .._neighbors import AbstractNeighbors, FAR, FINE
from .._pair import AbstractPair
from .._potential import AbstractPotential, in_dtype
from .._system import System
from ._terms import as_numbers, check_atoms, numbers


class Excluding(AbstractGathered):
    """A potential without the pairs in `atoms` (m, 2), such as those of bonded atoms, and without all their images.

    Nothing is subtracted: the pairs do not enter, so that no digits are lost. For pairs that count in part, exclude
    them here and add `0.5 * ListedPairs(...)`.
    """

    potential: AbstractGathered
    partners: Any  # (atoms that have any, most that one has): the numbers of an atom's partners, padded with -1

    def __init__(self, potential: AbstractGathered, *, atoms: Any) -> None:
        check_atoms("Excluding", as_numbers(atoms), 2)
        listed = np.asarray(atoms)
        pairs = np.unique(np.concatenate([listed, listed[:, ::-1]]), axis=0)
        rows = [pairs[pairs[:, 0] == i, 1] for i in range(pairs.max(initial=-1) + 1)]
        table = np.full((max(1, len(rows)), max(map(len, rows), default=1)), -1, np.int32)
        for i, row in enumerate(rows):
            table[i, : len(row)] = row
        self.potential = potential
        self.partners = jnp.asarray(table)

    @property
    def reach(self) -> Any:
        """That of the potential."""
        return self.potential.reach

    def sum_energy(self, space: Any, position: Any, species: Any, neighbors: Any) -> Array:
        """The sum over the other pairs."""
        return self.potential.sum_energy(space, position, species, _Without(neighbors, self.partners))

    def sum_force(self, space: Any, position: Any, species: Any, neighbors: Any, strain: Any = None) -> Array:
        """The sum over the other pairs."""
        return self.potential.sum_force(space, position, species, _Without(neighbors, self.partners), strain)

    def sum_virial(self, space: Any, position: Any, species: Any, neighbors: Any) -> Array:
        """The sum over the other pairs."""
        return self.potential.sum_virial(space, position, species, _Without(neighbors, self.partners))


class _Without(eqx.Module):
    """Neighbors less partners."""

    neighbors: Any  # a neighbor structure, or another view of one
    partners: Any

    def sweep(self, of_pairs: Any, space: Any, position: Any, species: Any, *, chunk: int = FINE) -> tuple[Any, ...]:
        """As that of the neighbors."""

        def of_others(d, i, j):
            x = d[0]
            for column in self.partners.T:
                x = jnp.where(column.at[i].get(mode="fill", fill_value=-1) == j, FAR, x)
            kind = lambda x: species.at[x].get(mode="promise_in_bounds")
            return of_pairs((x, d[1], d[2]), kind(i), kind(j))

        numbers = jnp.arange(position.shape[0], dtype=jnp.int32)
        return self.neighbors.sweep(of_others, space, position, numbers, chunk=chunk)


class ListedPairs(AbstractPotential):
    """A pair potential between listed atoms alone, `atoms` (m, 2): each pair once, at its nearest image."""

    pair: AbstractPair
    atoms: Any = numbers()

    def __check_init__(self) -> None:
        check_atoms("ListedPairs", self.atoms, 2)

    @property
    def reach(self) -> Any:
        """0: no neighbors are needed."""
        return jnp.zeros(())

    def total(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Sum over the list."""
        return self._total(system.position, system)

    def force(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Minus the gradient of the sum."""
        return -jax.grad(self._total)(system.position, system)

    def _total(self, position, system):
        pair = in_dtype(self.pair, position.dtype)

        def of_pair(atoms):
            at = position.at[atoms].get(mode="fill", fill_value=jnp.nan)
            a, b = system.species.at[atoms].get(mode="clip")
            r2 = jnp.sum(system.space.displacement(at[0], at[1]) ** 2)
            within = r2 < pair.reach**2
            return jnp.where(within, pair.energy(jnp.where(within, r2, pair.reach**2), a, b), 0)

        return jnp.sum(jax.vmap(of_pair)(self.atoms))
