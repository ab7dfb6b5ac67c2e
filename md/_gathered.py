"""Potentials that gather from a neighbor list: forwards, and again in every derivative by positions and cell.

A pair of atoms enters by d_ij = x_i - x_j - S_ij h alone, and the list is full: it holds j with i, and i with j. So
the force on i is a sum over the row of i; the second derivative is a symmetric matrix, whose transpose is the same
sum; and a change of the cell, dh = h e, moves pairs like the strain e does after the positions are moved by -x e.
"""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._neighbors import AbstractNeighbors, Finer
from ._potential import AbstractPotential, in_dtype
from ._space import inverse, times
from ._symmetric import symmetric
from ._system import System


class AbstractGathered(AbstractPotential):
    """A potential that writes its energy, force and virial as sums over a neighbor list, without scattering."""

    @abc.abstractmethod
    def sum_energy(self, space: Any, position: Any, species: Any, neighbors: Any) -> Array:
        """The energy, a scalar."""

    @abc.abstractmethod
    def sum_force(self, space: Any, position: Any, species: Any, neighbors: Any, strain: Any = None) -> Array:
        """The force on each atom (n, 3), where every vector between two atoms is multiplied by 1 + strain."""

    @abc.abstractmethod
    def sum_virial(self, space: Any, position: Any, species: Any, neighbors: Any) -> Array:
        """The derivative of the energy by strain (3, 3)."""

    def total(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """The energy, whose derivatives by positions and cell are `force` and virial."""
        return _energy(*_operands(self, system, neighbors))

    def force(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Force on each atom, gathered from its neighbors."""
        return _force(*_operands(self, system, neighbors))

    def virial(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Gathered too: the derivative of `total` would find the forces besides, of a motion that is zero."""
        potential, *rest = _operands(self, system, neighbors)
        return potential.sum_virial(*rest)


def _operands(potential: AbstractGathered, system: System, neighbors: AbstractNeighbors) -> tuple[Any, ...]:
    return in_dtype(potential, system.position.dtype), system.space, system.position, system.species, neighbors


def _plain_energy(potential, *rest):
    return potential.sum_energy(*rest)


def _plain_force(potential, *rest):
    return potential.sum_force(*rest)


@eqx.filter_custom_jvp
def _energy(potential, space, position, species, neighbors):
    return potential.sum_energy(space, position, species, neighbors)


@_energy.def_jvp
def _energy_jvp(primals, tangents):
    potential, space, position, *_ = primals
    moving_potential, moving_space, motion, *_ = tangents
    value = _energy(*primals)
    strain, motion = _strain(space, position, moving_space, motion)
    change = jnp.zeros_like(value)
    if motion is not None:
        change -= jnp.vdot(_force(*primals), motion)
    if strain is not None:
        change += jnp.sum(potential.sum_virial(*primals[1:]) * strain)
    if _moves(moving_potential):
        change += _by_parameters(_plain_energy, primals, moving_potential)
    return value, change


@eqx.filter_custom_jvp
def _force(potential, space, position, species, neighbors):
    return potential.sum_force(space, position, species, neighbors)


@_force.def_jvp
def _force_jvp(primals, tangents):
    potential, space, position, *_ = primals
    moving_potential, moving_space, motion, *_ = tangents
    value = _force(*primals)
    strain, motion = _strain(space, position, moving_space, motion)
    change = jnp.zeros_like(value)
    if motion is not None:
        arrays, static = eqx.partition(primals, eqx.is_array)
        known, structure = jax.tree.flatten(arrays)

        def product(known, motion):
            potential, space, position, species, neighbors = eqx.combine(structure.unflatten(known), static)
            force = lambda position: potential.sum_force(space, position, species, Finer(neighbors))
            return jax.jvp(force, (position,), (motion,))[1]

        change += symmetric(product, known, motion)
    if strain is not None:
        force = lambda strain: potential.sum_force(*primals[1:], strain)
        change += jax.jvp(force, (jnp.zeros_like(strain),), (strain,))[1]
    if _moves(moving_potential):
        change += _by_parameters(_plain_force, primals, moving_potential)
    return value, change


def _by_parameters(function, primals, moving_potential):
    potential, *rest = primals
    return eqx.filter_jvp(lambda potential: function(potential, *rest), (potential,), (moving_potential,))[1]


def _moves(tangent: Any) -> bool:
    return bool(jax.tree.leaves(tangent))


def _strain(space, position, moving_space, motion):
    """The strain that a change of the cell amounts to, and the motion of the atoms that is left beside it."""
    if not _moves(moving_space):
        return None, motion
    change = eqx.filter_jvp(lambda space: space.cell, (space,), (moving_space,))[1]
    strain = times(inverse(space.cell), change)
    left = -times(position, strain)
    return strain, left if motion is None else motion + left
