"""The base of terms among listed atoms."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from .._neighbors import AbstractNeighbors
from .._potential import AbstractPotential, in_dtype
from .._system import System


class AbstractListed(AbstractPotential):
    """A sum over listed atoms that needs no neighbors."""

    @abc.abstractmethod
    def summed(self, position: Any, space: Any) -> Array:
        """The energy of all terms."""

    @property
    def reach(self) -> Any:
        """0: no neighbors are needed."""
        return jnp.zeros(())

    def total(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Sum over the terms."""
        return self.summed(system.position, system.space)

    def force(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Minus the gradient of the sum."""
        return -jax.grad(self.summed)(system.position, system.space)


class AbstractTerms(AbstractListed):
    r"""A sum over listed groups of atoms, $\sum_m u_m(x_{m1}, x_{m2}, \ldots)$: write `energy`.

    `atoms` (m, k) holds the numbers of the k atoms of each term. `values` names the fields that are one number for all
    terms or one per term (m,). A term may cross the border of the box: each atom is taken at the image nearest to the
    atom before it.
    """

    values: ClassVar[tuple[str, ...]]
    atoms: eqx.AbstractVar[Any]

    @abc.abstractmethod
    def energy(self, *steps: Any) -> Any:
        """Energy of one term from the vectors (3,) from each atom to the next; `values` are numbers, its own."""

    def summed(self, position, space):
        """The energy."""
        fields = lambda terms: [getattr(terms, name) for name in self.values]
        wide = [jnp.broadcast_to(value, self.atoms.shape[:1]) for value in fields(self)]
        terms = in_dtype(eqx.tree_at(fields, self, wide), position.dtype)

        def of_term(term):
            # a number beyond the last atom gives NaN: numbers that are traced cannot be refused
            at = position.at[term.atoms].get(mode="fill", fill_value=jnp.nan)
            return term.energy(*(space.displacement(at[k + 1], at[k]) for k in range(term.atoms.size - 1)))

        return jnp.sum(jax.vmap(of_term)(terms))


def as_numbers(atoms: Any) -> Any:
    """Whole numbers as an array; what is no number, list or array as it is."""
    if not isinstance(atoms, int | float | list | tuple | np.ndarray | jax.Array):
        return atoms
    atoms = np.asarray(atoms) if not isinstance(atoms, jax.Array) else atoms
    if not jnp.issubdtype(atoms.dtype, jnp.integer):
        raise ValueError(f"Atoms, and counts, are whole numbers, not {atoms.dtype}.")
    return jnp.asarray(atoms, jnp.int32)


def numbers() -> Any:
    """The field for whole numbers."""
    return eqx.field(converter=as_numbers)


def check_atoms(name: str, atoms: Any, size: int) -> None:
    """Numbers are (m, size), not negative, different in each row; as far as they are known."""
    if jnp.ndim(atoms) != 2 or jnp.shape(atoms)[1] != size:
        raise ValueError(f"{name}.atoms has shape {jnp.shape(atoms)}, expected (terms, {size}).")
    if isinstance(atoms, Tracer) or not eqx.is_array_like(atoms) or not np.size(atoms):
        return
    listed = np.sort(np.asarray(atoms), axis=1)
    if (listed < 0).any():
        raise ValueError(f"{name}.atoms has the number {listed.min()}: atoms are counted from 0.")
    twice = (listed[:, 1:] == listed[:, :-1]).any(axis=1)
    if twice.any():
        row = int(np.argmax(twice))
        raise ValueError(f"{name}.atoms: term {row} names an atom twice, {np.asarray(atoms)[row].tolist()}.")


def check_terms(terms: Any, size: int, *, positive: tuple[str, ...] = ()) -> None:
    """`atoms` as `check_atoms` says, and values are () or (m,); as far as they are known."""
    name, atoms = type(terms).__name__, terms.atoms
    check_atoms(name, atoms, size)
    for field in terms.values:
        value = getattr(terms, field)
        if jnp.shape(value) not in ((), jnp.shape(atoms)[:1]):
            raise ValueError(f"{name}.{field} has shape {jnp.shape(value)}, expected () or {jnp.shape(atoms)[:1]}.")
        if isinstance(value, Tracer) or not eqx.is_array_like(value):
            continue
        value = np.asarray(value)
        if not np.isfinite(value).all() or (field in positive and not (value > 0).all()):
            raise ValueError(f"{name}.{field} must be finite{' and positive' * (field in positive)}, got {value}.")


def check_listed(potential: Any, system: System) -> None:
    """There is an atom for each number that a part of the potential lists, as far as they are known."""
    n = system.position.shape[0]
    for part in jax.tree.leaves(potential, is_leaf=_lists_atoms):
        if not _lists_atoms(part) or isinstance(part.atoms, Tracer) or not part.atoms.size:
            continue
        last = int(np.asarray(part.atoms).max())  # not of JAX: that would be traced under jit
        if last >= n:
            raise ValueError(f"{type(part).__name__}.atoms names atom {last}, but there are only {n}, 0 to {n - 1}.")


def _lists_atoms(part: Any) -> bool:
    return isinstance(part, AbstractPotential) and isinstance(getattr(part, "atoms", None), jax.Array)
