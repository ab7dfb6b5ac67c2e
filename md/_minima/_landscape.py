"""The enthalpy as a function of positions and strain, and the motions that do not change it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._dynamics import AbstractShape, Flexible
from .._neighbors import AbstractNeighbors
from .._potential import AbstractPotential
from .._space import Periodic
from .._system import System


class Landscape(eqx.Module):
    """The places that a minimization may visit: all positions, and strains of the cell that the shape allows.

    A place is one array y: the positions before the strain, flattened, and, if there is a shape, nine components of
    strain in units that make them as stiff as atoms.
    """

    system: System
    cell: AbstractShape | None
    pressure: Any
    neighbors: AbstractNeighbors

    @property
    def here(self) -> Array:
        """The place where the system is."""
        flat = self.system.position.reshape(-1)
        return flat if self.cell is None else jnp.concatenate([flat, jnp.zeros(9, flat.dtype)])

    def at(self, y: Any) -> System:
        """The system at a place."""
        n, space = self.system.position.shape[0], self.system.space
        moved = self.system.replace(position=y[: 3 * n].reshape(n, 3))
        if self.cell is None:
            return moved
        unit = jax.lax.stop_gradient(jnp.cbrt(space.volume / n)) * n**0.5
        strain = self.cell.allowed(y[3 * n :].reshape(3, 3)) / unit
        strained = moved.strained(strain)
        if isinstance(space, Periodic) and not isinstance(self.cell, Flexible):
            lengths = space.lengths * (1 + jnp.diagonal(strain))
            strained = moved.replace(position=strained.position, space=Periodic(lengths=lengths, axes=space.axes))
        return strained

    def enthalpy(self, potential: AbstractPotential, y: Any) -> Array:
        """U + P V."""
        system = self.at(y)
        energy = potential.total(system, self.neighbors)
        if self.cell is None:
            return energy
        return energy + jnp.asarray(self.pressure, energy.dtype) * system.space.volume

    def gradient(self, potential: AbstractPotential, y: Any) -> Array:
        """Of the enthalpy."""
        return jax.grad(lambda y: self.enthalpy(potential, y))(y)

    def residual(self, potential: AbstractPotential) -> Any:
        """A function of y that is 0 at a minimum which is here, with a regular derivative there.

        Motions that cost nothing (translation, rotation of a cluster, strains that are not allowed) are held by
        springs at the minimum: they have no force to begin with. What an external field holds has no spring.
        """
        constant = jax.lax.stop_gradient
        here, potential_here, landscape = constant((self.here, potential, self))
        product = lambda v: jax.jvp(lambda y: landscape.gradient(potential_here, y), (here,), (v,))[1]
        stiffness = largest_curvature(product, here)
        modes = self._rigid_motions()
        images = jax.vmap(product)(modes)
        turn = jnp.linalg.eigh(jnp.matmul(images, images.T, precision="highest"))[1].T
        modes, images = constant((turn @ modes, turn @ images))  # one that costs nothing may be a mixture
        cost = jnp.sqrt(jnp.sum(images**2, axis=1))
        free = cost <= jnp.sqrt(jnp.finfo(here.dtype).eps) * stiffness
        springs = constant(jnp.where(free, stiffness, 0))

        def of(y):
            away = y - here
            held = (springs * (modes @ away)) @ modes
            if self.cell is not None:
                strain = away[-9:].reshape(3, 3)
                held = held.at[-9:].add(stiffness * (strain - self.cell.allowed(strain)).reshape(-1))
            return self.gradient(potential, y) + held

        return of

    def _rigid_motions(self):
        """Orthonormal translations, and rotations if nothing is periodic (k, y.size)."""
        position = jax.lax.stop_gradient(self.system.position)
        n, unit = position.shape[0], jnp.eye(3, dtype=position.dtype)
        modes = jnp.tile(unit, (1, n)) / n**0.5
        if not any(self.system.space.axes):
            arms = position - jnp.mean(position, axis=0)[None, :]
            turns = jnp.stack([jnp.cross(axis, arms).reshape(-1) for axis in unit], axis=1)
            modes = jnp.concatenate([modes, jnp.linalg.qr(turns)[0].T])
        return jnp.pad(modes, ((0, 0), (0, 0 if self.cell is None else 9)))


def largest_curvature(product: Any, y: Any) -> Array:
    """Of the symmetric matrix given by its product with vectors: the length of its tenth power, roughly."""
    v = jax.random.normal(jax.random.key(0), y.shape, y.dtype)
    size = lambda v: jnp.sqrt(jnp.sum(v**2))

    def better(_, pair):
        v, _ = pair
        image = product(v / size(v))
        return image, size(image)

    found = jax.lax.fori_loop(0, 10, better, (v, jnp.ones((), y.dtype)))[1]
    return jnp.where(found > 0, found, 1)
