"""Energy, forces, stress and pressure of one configuration, and what lies beyond the cutoff."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ..solvers import compiled
from ._bonded import check_listed
from ._neighbors import AbstractNeighbors, neighbor_list
from ._pair import AbstractCurve, count_species
from ._potential import AbstractPotential, in_dtype
from ._system import System


def energy(potential: AbstractPotential, system: System, neighbors: AbstractNeighbors | None = None) -> Array:
    """Potential energy [energy]; in all of these, the neighbors are found if they are not given (outside `jit`).

    Neighbors that miss pairs raise a ValueError; under `jit` ask them, `neighbors.watch(space, position).fault(reach)`.
    """
    return _energy(potential, system, covering(potential, system, neighbors))


def forces(potential: AbstractPotential, system: System, neighbors: AbstractNeighbors | None = None) -> Array:
    """Force on each atom (n, 3) [energy/length], minus the gradient of `energy`."""
    return force_of(potential, system, covering(potential, system, neighbors))


def virial(potential: AbstractPotential, system: System, neighbors: AbstractNeighbors | None = None) -> Array:
    r"""The derivative of `energy` by strain (3, 3) [energy], $\partial U / \partial \varepsilon$ at $\varepsilon = 0$.

    For pairs $\sum_{i<j} u'(r) \, d \otimes d / r$. Its trace has the sign opposite to that of NIST's and
    LAMMPS's virial.
    """
    return _virial(potential, system, covering(potential, system, neighbors))


def stress(potential: AbstractPotential, system: System, neighbors: AbstractNeighbors | None = None) -> Array:
    r"""Cauchy stress (3, 3) [energy/length³], positive in tension, with the kinetic part.

    $\sigma = (\partial U / \partial \varepsilon - \sum_i m_i v_i \otimes v_i) / V$.
    """
    return _stress(potential, system, covering(potential, system, neighbors))


def pressure(potential: AbstractPotential, system: System, neighbors: AbstractNeighbors | None = None) -> Array:
    r"""$P = -\mathrm{tr} \, \sigma / 3$ [energy/length³], without what is beyond the cutoff."""
    return _pressure(potential, system, covering(potential, system, neighbors))


@compiled
def tail_energy(pair: AbstractCurve, system: System) -> Array:
    r"""Energy [energy] beyond the cutoff at uniform density: $\frac{2\pi}{V} \sum_{ab} N_a N_b \int_{r_c} u r^2 dr$.

    For curves cut off by `Truncated` that fall faster than $r^{-3}$. A function of the live parameters, cutoff and
    cell. Error: the integral by Gauss-Legendre quadrature in $r_c / r$, exact for powers, $10^{-10}$ for
    exponentials that decay within the cutoff.
    """
    return _tail(pair, system, lambda curve, r: curve(r) * r**2)


@compiled
def tail_pressure(pair: AbstractCurve, system: System) -> Array:
    r"""Pressure beyond the cutoff: $-\frac{2\pi}{3 V^2} \sum_{ab} N_a N_b \int_{r_c} u' r^3 dr$ [energy/length³]."""
    slope = lambda curve, r: jax.jvp(curve, (r,), (jnp.ones_like(r),))[1]
    return -_tail(pair, system, lambda curve, r: slope(curve, r) * r**3) / (3 * system.space.volume)


@compiled
def _energy(potential, system, neighbors):
    return potential.total(system, neighbors)


@compiled
def force_of(potential, system, neighbors):
    """The force on each atom, of neighbors that cover the potential."""
    return potential.force(system, neighbors)


@compiled
def _virial(potential, system, neighbors):
    return potential.virial(system, neighbors)


@compiled
def _stress(potential, system, neighbors):
    kinetic = jnp.einsum("i,ij,ik->jk", system.mass, system.velocity, system.velocity)
    return (_virial(potential, system, neighbors) - kinetic) / system.space.volume


@compiled
def _pressure(potential, system, neighbors):
    return -jnp.trace(_stress(potential, system, neighbors)) / 3


_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(32)


def _tail(pair, system, integrand):
    dtype = system.position.dtype
    pair = in_dtype(pair, dtype)
    kinds = count_species(pair) or 1
    count = jnp.zeros(kinds, dtype).at[system.species if kinds > 1 else 0 * system.species].add(1)
    # r = cutoff / s takes the tail to 0 < s <= 1, and powers of r to powers of s
    s, weight = jnp.asarray((_NODES + 1) / 2, dtype), jnp.asarray(_WEIGHTS / 2, dtype)

    def of_kinds(a, b):
        at = lambda s: integrand(lambda r: pair.curve(r**2, a, b), pair.reach / s) * pair.reach / s**2
        return weight @ jax.vmap(at)(s)

    index = jnp.arange(kinds, dtype=jnp.int32)
    table = jax.vmap(lambda a: jax.vmap(lambda b: of_kinds(a, b))(index))(index)
    return 2 * jnp.pi * count @ table @ count / system.space.volume


@compiled
def _standing(potential, system, neighbors):
    rounding = 1e3 * float(jnp.finfo(system.position.dtype).eps)  # of places, beside a list without a skin
    return neighbors.watch(system.space, system.position).fault((1 - rounding) * potential.reach)


def check_species(potential: AbstractPotential, system: System) -> None:
    """Every species of the system has parameters, and listed atoms exist, as far as that is known."""
    check_listed(potential, system)
    known = count_species(potential)
    if known is None or isinstance(system.species, Tracer) or not system.species.size:
        return
    largest = int(np.asarray(system.species).max())
    if largest >= known:
        raise ValueError(
            f"Species {largest} has no parameters: the potential's tables are for {known} species, 0 to {known - 1}."
        )


def covering(potential: AbstractPotential, system: System, neighbors: AbstractNeighbors | None) -> AbstractNeighbors:
    """The neighbors given, or those of this configuration."""
    check_species(potential, system)
    if neighbors is None:
        reach = float(potential.reach) if not isinstance(potential.reach, Tracer) else potential.reach
        return neighbor_list(system, reach or 1.0, skin=0.0)
    standing = _standing(potential, system, neighbors)
    if not isinstance(standing.any, Tracer) and bool(standing.any):
        why = "atoms have moved too far since it was made" if bool(standing.moved) else "it has too little room"
        raise ValueError(f"The neighbors given miss pairs of this system: {why}. Make a list with `neighbor_list`.")
    return neighbors
