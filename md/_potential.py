"""What a potential is: energies and forces of a system, sums and multiples."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..solvers import parameter
from ._neighbors import AbstractNeighbors
from ._system import System


class AbstractPotential(eqx.Module):
    """Interaction energy of a system; parameters are float leaves. Potentials add, and scale by numbers.

    `reach` is the distance [length] up to which atoms must be in the neighbor list, 0 if none is needed. The methods
    are given a list that covers it; `energy`, `forces` and `stress` of this package find one if there is none.
    """

    @property
    @abc.abstractmethod
    def reach(self) -> Any:
        """Largest distance at which two atoms interact [length]."""

    @abc.abstractmethod
    def total(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Potential energy of the system, a scalar."""

    @abc.abstractmethod
    def force(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Minus the derivative of `total` by the positions (n, 3)."""

    def virial(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """The derivative of `total` by strain (3, 3)."""
        strain = jnp.zeros((3, 3), system.position.dtype)
        return jax.grad(lambda strain: self.total(system.strained(strain), neighbors))(strain)

    def __add__(self, other: "AbstractPotential") -> "AbstractPotential":
        """The sum, made so that pair potentials share one loop over the neighbors."""
        if not isinstance(other, AbstractPotential):
            return NotImplemented
        return Sum.of(self, other)

    def __mul__(self, factor: Any) -> "AbstractPotential":
        """The potential times a number, itself a float leaf."""
        return NotImplemented if isinstance(factor, AbstractPotential) else Scaled(factor=factor, potential=self)

    __rmul__ = __mul__


class Sum(AbstractPotential):
    """The sum of potentials, as `a + b` makes it."""

    terms: tuple[AbstractPotential, ...]

    @property
    def reach(self) -> Any:
        """The largest of the terms' reaches."""
        reach = self.terms[0].reach
        for term in self.terms[1:]:
            reach = jnp.maximum(reach, term.reach)
        return reach

    def total(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """The sum of the terms' energies."""
        return sum((t.total(system, neighbors) for t in self.terms[1:]), self.terms[0].total(system, neighbors))

    def force(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """The sum of the terms' forces."""
        return sum((t.force(system, neighbors) for t in self.terms[1:]), self.terms[0].force(system, neighbors))

    def virial(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """The sum of the terms' virials."""
        return sum((t.virial(system, neighbors) for t in self.terms[1:]), self.terms[0].virial(system, neighbors))

    @staticmethod
    def of(*potentials: AbstractPotential) -> "Sum":
        """The flat sum."""
        return Sum(tuple(t for p in potentials for t in (p.terms if isinstance(p, Sum) else (p,))))


class Scaled(AbstractPotential):
    """A potential times a number, as `2.0 * a` makes it."""

    potential: AbstractPotential
    factor: Any = parameter()

    @property
    def reach(self) -> Any:
        """That of the potential."""
        return self.potential.reach

    def total(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """The factor times the energy."""
        return self.factor.astype(system.position.dtype) * self.potential.total(system, neighbors)

    def force(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """The factor times the force."""
        return self.factor.astype(system.position.dtype) * self.potential.force(system, neighbors)

    def virial(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """The factor times the virial."""
        return self.factor.astype(system.position.dtype) * self.potential.virial(system, neighbors)


class External(AbstractPotential):
    """Any function of the positions (n, 3), a module with parameters or a plain function: `energy_of(position)`."""

    energy_of: Callable[[Any], Any]

    @property
    def reach(self) -> Any:
        """0: no neighbors are needed."""
        return jnp.zeros(())

    def total(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """The function's value."""
        return in_dtype(self.energy_of, system.position.dtype)(system.position)

    def force(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Minus its gradient."""
        return -jax.grad(in_dtype(self.energy_of, system.position.dtype))(system.position)


class ManyBody(AbstractPotential):
    """Any function of the vectors from an atom to its neighbors, written for one atom; all atoms are added up.

    `energy_of(vectors, a, b, present)`: `vectors` (k, 3) to the neighbors (minimum image, or several images), `a` the
    atom's species, `b` (k,) theirs, `present` (k,) bool; entries that are not present hold a vector of length
    `cutoff` and must not count: mask what goes into roots and divisions (`jnp.where` before, not after), and let the
    energy vanish smoothly at `cutoff` [length]. Vectors up to cutoff + skin are given.

    A pair energy belongs to both of its atoms: count half of it. A class with parameters as leaves is a function too.
    """

    energy_of: Callable[[Any, Any, Any, Any], Any]
    cutoff: Any = parameter()

    @property
    def reach(self) -> Any:
        """The cutoff."""
        return self.cutoff

    def atom_energies(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Energy of each atom (n,)."""
        potential = in_dtype(self, system.position.dtype)
        vectors, b, present = neighbors.vectors(system)
        idle = jnp.stack([potential.cutoff, jnp.zeros_like(potential.cutoff), jnp.zeros_like(potential.cutoff)])
        vectors = jnp.where(present[..., None], vectors, idle[None, None, :])
        return jax.vmap(potential.energy_of)(vectors, system.species, b, present)

    def total(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """The sum over the atoms."""
        return jnp.sum(self.atom_energies(system, neighbors))

    def force(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Minus the gradient of the sum."""
        return -jax.grad(lambda position: self.total(system.replace(position=position), neighbors))(system.position)


def in_dtype(module: Any, dtype: Any) -> Any:
    """The module with its float leaves in the dtype of the positions."""
    return jax.tree.map(lambda x: x.astype(dtype) if eqx.is_inexact_array(x) else x, module)
