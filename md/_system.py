"""The state of the atoms."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, PRNGKeyArray

from ..solvers import compiled
from ..solvers._host import as_array, namespace
from ..solvers._tree import is_concrete
from ._space import AbstractSpace, times


class System(eqx.Module):
    """Atoms in a space. No unit is assumed: length, mass and energy are yours, time is length (mass/energy)^(1/2).

    - `position` (n, 3), `velocity` (n, 3; default 0), `mass` (n,) or a number for all (default 1).
    - `species` (n,) int: which row of a potential's tables an atom uses (default 0).
    - `space`: `Free`, `Periodic` or `Triclinic`.
    - `image` (n, 3) int: the boxes an atom has crossed; `unwrapped` is position + image @ cell.
    - `fixed` (n,) bool: atoms that never move, whatever the integrator (default: none); their velocity is 0. Where the
      box changes, they keep their place relative to it.

    All floats get the dtype of `position`. Raises ValueError for wrong shapes, NaN, masses that are not positive,
    fixed atoms that move.
    """

    position: Any
    space: AbstractSpace
    velocity: Any
    mass: Any
    species: Any
    image: Any
    fixed: Any

    def __init__(
        self,
        position: Any,
        space: AbstractSpace,
        *,
        velocity: Any = None,
        mass: Any = 1.0,
        species: Any = 0,
        image: Any = None,
        fixed: Any = None,
    ) -> None:
        self.position = position if isinstance(position, jax.Array) else namespace(position).asarray(position)
        if self.position.ndim != 2 or self.position.shape[1] != 3:
            raise ValueError(f"System.position has shape {self.position.shape}, expected (n, 3).")
        floating = jnp.issubdtype(self.position.dtype, jnp.floating)
        self.position = as_array(self.position, jnp.result_type(self.position if floating else float))
        n, dtype = self.position.shape[0], self.position.dtype
        if not isinstance(space, AbstractSpace):
            raise ValueError(f"System.space must be Free(), Periodic(...) or Triclinic(...), not {space!r}.")
        self.space = jax.tree.map(lambda x: as_array(x, dtype), space)
        self.velocity = _filled("velocity", 0.0 if velocity is None else velocity, (n, 3), dtype)
        self.mass = _filled("mass", mass, (n,), dtype)
        self.species = _filled("species", _whole("species", species), (n,), jnp.int32)
        self.image = _filled("image", _whole("image", 0 if image is None else image), (n, 3), jnp.int32)
        self.fixed = None if fixed is None else _mask(fixed, n)
        _check(self)

    @property
    @compiled
    def unwrapped(self) -> Array:
        """Positions (n, 3) that follow each atom across the borders of the box."""
        return self.position + times(self.image.astype(self.position.dtype), self.space.cell)

    @property
    @compiled
    def momentum(self) -> Array:
        """Total momentum (3,)."""
        return self.mass @ self.velocity

    @property
    @compiled
    def kinetic_energy(self) -> Array:
        r"""$\sum_i m_i v_i^2 / 2$ [energy]."""
        return jnp.sum(self.mass * jnp.sum(self.velocity**2, axis=1)) / 2

    @compiled
    def degrees_of_freedom(self, *, constraints: int = 3) -> Array:
        """Three for each atom that is not fixed, less `constraints`; atoms that are fixed make up for all of those.

        `constraints` is 3 where the total momentum is conserved, else 0 (friction, external forces).
        """
        if self.fixed is None:
            count = jnp.asarray(self.position.size - constraints)
        else:
            count = 3 * jnp.sum(~self.fixed) - jnp.where(jnp.any(self.fixed), 0, constraints)
        return count.astype(self.position.dtype)

    @compiled
    def temperature(self, *, constraints: int = 3) -> Array:
        r"""$kT = 2 E_k / f$ [energy], of f `degrees_of_freedom`."""
        return 2 * self.kinetic_energy / self.degrees_of_freedom(constraints=constraints)

    def held(self, vectors: Any) -> Any:
        """Vectors of the atoms (n, 3), those of fixed atoms made 0."""
        return vectors if self.fixed is None else jnp.where(self.fixed[:, None], 0, vectors)

    def replace(self, *, position: Any = None, velocity: Any = None, space: Any = None, image: Any = None) -> "System":
        """The system with some of what moves exchanged, unchecked."""
        given = {"position": position, "velocity": velocity, "space": space, "image": image}
        given = {name: value for name, value in given.items() if value is not None}
        return eqx.tree_at(lambda s: [getattr(s, name) for name in given], self, list(given.values()))

    @compiled
    def wrapped(self) -> "System":
        """The same places with positions inside the box."""
        position, image = self.space.wrap(self.position)
        return self.replace(position=position, image=self.image + image)

    @compiled
    def strained(self, strain: Any) -> "System":
        r"""Positions and cell times $1 + \varepsilon$; velocities as they are."""
        return self.replace(position=self.position + times(self.position, strain), space=self.space.strained(strain))

    @compiled
    def deformed(self, matrix: Any) -> "System":
        """Positions and cell times the matrix (3, 3), in a box of the same kind; velocities as they are."""
        return self.replace(position=times(self.position, matrix), space=self.space.deformed(matrix))


def draw_velocities(system: System, kT: Any, *, key: PRNGKeyArray, keep_momentum: bool = False) -> System:
    r"""The system with velocities from the Maxwell-Boltzmann distribution, each component of variance $kT/m_i$.

    The total momentum is removed unless `keep_momentum`, or atoms are fixed; energies are then short of three degrees
    of freedom, which `temperature()` takes into account. `kT` [energy].
    """
    kT = as_array(kT, system.position.dtype)
    if is_concrete(kT) and not np.asarray(kT) >= 0:
        raise ValueError(f"kT must not be negative, got {kT}.")
    return system.replace(velocity=_drawn(system, kT, key, keep_momentum))


@compiled
def _drawn(system: System, kT: Array, key: PRNGKeyArray, keep_momentum: bool) -> Array:
    velocity = (
        jax.random.normal(key, system.position.shape, system.position.dtype) * jnp.sqrt(kT / system.mass)[:, None]
    )
    velocity = system.held(velocity)
    if not keep_momentum and system.fixed is None:
        velocity = velocity - ((system.mass @ velocity) / jnp.sum(system.mass))[None, :]
    return velocity


def _filled(name: str, value: Any, shape: tuple[int, ...], dtype: Any) -> Array:
    value = as_array(value, dtype)
    if value.shape not in ((), shape):
        raise ValueError(f"System.{name} has shape {value.shape}, expected {shape}.")
    return value if value.shape == shape else as_array(namespace(value).broadcast_to(value, shape), dtype)


def _whole(name: str, value: Any) -> Any:
    value = value if isinstance(value, jax.Array) else namespace(value).asarray(value)
    if not jnp.issubdtype(value.dtype, jnp.integer):
        raise ValueError(f"System.{name} must be whole numbers, not {value.dtype}.")
    return value


def _mask(fixed: Any, n: int) -> Array:
    fixed = fixed if isinstance(fixed, jax.Array) else namespace(fixed).asarray(fixed)
    if fixed.dtype != bool or fixed.shape != (n,):
        raise ValueError(f"System.fixed must be ({n},) booleans, one for each atom, not {fixed.dtype}{fixed.shape}.")
    return as_array(fixed, bool)


def _check(system: System) -> None:
    for name in ("position", "velocity", "mass"):
        value = getattr(system, name)
        if isinstance(value, Tracer):
            continue
        bad = ~np.isfinite(np.asarray(value))
        if bad.any():
            raise ValueError(f"System.{name} is NaN or infinite for atom {np.argwhere(bad)[0][0]}.")
    if not isinstance(system.mass, Tracer) and not (np.asarray(system.mass) > 0).all():
        atom = int(np.argmin(np.asarray(system.mass) > 0))
        raise ValueError(f"System.mass must be positive; atom {atom} has {system.mass[atom]}.")
    if system.fixed is not None and not isinstance(system.velocity, Tracer) and not isinstance(system.fixed, Tracer):
        moving = np.asarray(system.fixed) & (np.asarray(system.velocity) != 0).any(axis=1)
        if moving.any():
            raise ValueError(f"System.velocity of atom {np.argmax(moving)} is not 0, but the atom is fixed.")
    if not isinstance(system.species, Tracer) and system.species.size and np.min(np.asarray(system.species)) < 0:
        raise ValueError("System.species must not be negative: they number the rows of a potential's tables.")
