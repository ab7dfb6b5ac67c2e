"""Sums over the pairs of a neighbor list."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array


def pair_energy(pair: Any, space: Any, position: Any, species: Any, neighbors: Any) -> Array:
    """Half the sum of the pair energies over the full list."""
    of_pairs = lambda d, a, b: (_curve(pair, d, a, b)[0],)
    return jnp.sum(neighbors.sweep(of_pairs, space, position, species)[0]) / 2


def pair_force(pair: Any, space: Any, position: Any, species: Any, neighbors: Any, strain: Any = None) -> Array:
    """The force on each atom (n, 3)."""

    def of_pairs(d, a, b):
        push = -2 * _curve(pair, stretched(d, strain), a, b)[1]
        return tuple(push * x for x in stretched(d, strain))

    return jnp.stack(neighbors.sweep(of_pairs, space, position, species), axis=1)


def pair_virial(pair: Any, space: Any, position: Any, species: Any, neighbors: Any) -> Array:
    r"""The derivative of the energy by strain (3, 3), $\sum_{i<j} u'(r)/r \; d \otimes d$."""

    def of_pairs(d, a, b):
        slope = _curve(pair, d, a, b)[1]
        return tuple(slope * d[k] * d[m] for k, m in UPPER)

    return symmetric_matrix(neighbors.sweep(of_pairs, space, position, species))


UPPER = ((0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1))


def symmetric_matrix(sums: tuple[Any, ...]) -> Array:
    """The matrix (3, 3) whose entries `UPPER` are the sums of these arrays."""
    xx, yy, zz, yz, xz, xy = (jnp.sum(x) for x in sums)
    return jnp.stack([jnp.stack(row) for row in ((xx, xy, xz), (xy, yy, yz), (xz, yz, zz))])


def stretched(d: tuple[Any, Any, Any], strain: Any) -> tuple[Any, Any, Any]:
    """Components of vectors, times 1 + strain if there is one."""
    if strain is None:
        return d
    along = lambda k: d[k] + sum(d[m] * strain[m, k] for m in range(3))
    return along(0), along(1), along(2)


def _curve(pair, d, a, b):
    """Energies of pairs and their derivatives by the squared distance; 0 from the reach on."""
    reach2 = pair.reach**2
    # pairs out of reach are put at the reach: what is computed of them is finite, and so are its derivatives
    r2 = jnp.minimum(d[0] * d[0] + d[1] * d[1] + d[2] * d[2], reach2)
    curve = lambda r2, a, b: jax.jvp(lambda r2: pair.energy(r2, a, b), (r2,), (jnp.ones_like(r2),))
    for _ in range(r2.ndim):
        curve = jax.vmap(curve)
    energy, slope = curve(r2, a, b)
    return jnp.where(r2 < reach2, energy, 0), jnp.where(r2 < reach2, slope, 0)
