"""Pair sums over a neighbor list: gathered forwards, and gathered again in every derivative by the positions.

A pair enters by d_ij = x_i - x_j - S_ij h alone, and the list is full: it holds j with i, and i with j. So the force
on i is a sum over the row of i; the second derivative is a symmetric matrix, whose transpose is the same sum; and a
change of the cell, dh = h e, moves pairs like the strain e does after the positions are moved by -x e.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._space import inverse, times
from ._symmetric import symmetric


@eqx.filter_custom_jvp
def pair_energy(pair: Any, space: Any, position: Any, species: Any, neighbors: Any) -> Array:
    """Half the sum of the pair energies over the full list."""
    return _plain_energy(pair, space, position, species, neighbors)


@pair_energy.def_jvp
def _pair_energy_jvp(primals, tangents):
    pair, space, position, species, neighbors = primals
    moving_pair, moving_space, motion, *_ = tangents
    value = pair_energy(*primals)
    strain, motion = _strain(space, position, moving_space, motion)
    change = jnp.zeros_like(value)
    if motion is not None:
        change -= jnp.vdot(pair_force(*primals), motion)
    if strain is not None:
        change += jnp.sum(pair_virial(*primals) * strain)
    if _moves(moving_pair):
        change += _by_parameters(_plain_energy, primals, moving_pair)
    return value, change


@eqx.filter_custom_jvp
def pair_force(pair: Any, space: Any, position: Any, species: Any, neighbors: Any) -> Array:
    """The force on each atom (n, 3)."""
    return _plain_force(pair, space, position, species, neighbors)


@pair_force.def_jvp
def _pair_force_jvp(primals, tangents):
    pair, space, position, species, neighbors = primals
    moving_pair, moving_space, motion, *_ = tangents
    value = pair_force(*primals)
    strain, motion = _strain(space, position, moving_space, motion)
    change = jnp.zeros_like(value)
    if motion is not None:
        arrays, static = eqx.partition(primals, eqx.is_array)
        known, structure = jax.tree.flatten(arrays)

        def product(known, motion):
            pair, space, position, species, neighbors = eqx.combine(structure.unflatten(known), static)
            force = lambda position: _plain_force(pair, space, position, species, neighbors)
            return jax.jvp(force, (position,), (motion,))[1]

        change += symmetric(product, known, motion)
    if strain is not None:
        force = lambda strain: _plain_force(pair, space, position, species, neighbors, strain)
        change += jax.jvp(force, (jnp.zeros_like(strain),), (strain,))[1]
    if _moves(moving_pair):
        change += _by_parameters(_plain_force, primals, moving_pair)
    return value, change


def pair_virial(pair: Any, space: Any, position: Any, species: Any, neighbors: Any) -> Array:
    r"""The derivative of the energy by strain (3, 3), $\sum_{i<j} u'(r)/r \; d \otimes d$."""

    def of_pairs(d, a, b, present):
        slope = _curve(pair, d, a, b, present)[1]
        return tuple(slope * d[k] * d[m] for k, m in _UPPER)

    xx, yy, zz, yz, xz, xy = (jnp.sum(x) for x in neighbors.sweep(of_pairs, space, position, species))
    return jnp.stack([jnp.stack(row) for row in ((xx, xy, xz), (xy, yy, yz), (xz, yz, zz))])


_UPPER = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def _plain_energy(pair, space, position, species, neighbors):
    of_pairs = lambda d, a, b, present: (_curve(pair, d, a, b, present)[0],)
    return jnp.sum(neighbors.sweep(of_pairs, space, position, species)[0]) / 2


def _plain_force(pair, space, position, species, neighbors, strain=None):
    def of_pairs(d, a, b, present):
        if strain is not None:
            d = tuple(d[k] + sum(d[m] * strain[m, k] for m in range(3)) for k in range(3))
        push = -2 * _curve(pair, d, a, b, present)[1]
        return tuple(push * x for x in d)

    return jnp.stack(neighbors.sweep(of_pairs, space, position, species), axis=1)


def _curve(pair, d, a, b, present):
    """Energies of pairs and their derivatives by the squared distance; 0 where no pair is present."""
    r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    reach2 = pair.reach**2
    present &= r2 < reach2
    # an absent pair is put at the reach: its own distance could be anything, zero too
    r2 = jnp.where(present, r2, reach2)
    curve = lambda r2, a, b: jax.jvp(lambda r2: pair.energy(r2, a, b), (r2,), (jnp.ones_like(r2),))
    for _ in range(r2.ndim):
        curve = jax.vmap(curve)
    energy, slope = curve(r2, a, b)
    return jnp.where(present, energy, 0), jnp.where(present, slope, 0)


def _by_parameters(function, primals, moving_pair):
    pair, *rest = primals
    return eqx.filter_jvp(lambda pair: function(pair, *rest), (pair,), (moving_pair,))[1]


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
