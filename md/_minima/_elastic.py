"""Elastic constants of a crystal at rest."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._measure import covering
from .._neighbors import AbstractNeighbors
from .._potential import AbstractPotential
from .._system import System
from ._landscape import Landscape


def elastic_constants(
    potential: AbstractPotential,
    system: System,
    neighbors: AbstractNeighbors | None = None,
) -> Array:
    r"""Elastic constants at T = 0 (6, 6) [energy/length³] in Voigt's order xx, yy, zz, yz, xz, xy; atoms may give way.

    $C = V^{-1} [\partial^2_\varepsilon U - \partial_\varepsilon\partial_x U \, (\partial_x^2 U)^{-1} \,
    \partial_x\partial_\varepsilon U]$, Born's term minus the non-affine one, which is an implicit derivative: that of
    the stress while the forces stay zero. Shear strains are engineering strains. The system must be at a minimum
    with respect to its positions (NaN if not), and without stress, or second derivatives by other measures of strain
    differ.
    """
    return _elastic(potential, system, covering(potential, system, neighbors))


def born_constants(potential: AbstractPotential, system: System, neighbors: AbstractNeighbors | None = None) -> Array:
    r"""As `elastic_constants`, but atoms move with the strain: $V^{-1} \partial^2_\varepsilon U$ (6, 6)."""
    return _born(potential, system, covering(potential, system, neighbors))


@eqx.filter_jit
def _elastic(potential, system, neighbors):
    here, still = system.position.reshape(-1), jnp.zeros(6, system.position.dtype)
    residual = Landscape(system, None, 0.0, neighbors).residual(potential)

    def energy(y, strain):
        moved = system.replace(position=y.reshape(system.position.shape))
        return potential.total(moved.strained(_matrix(strain)), neighbors)

    stiffness = _jacobian(residual, here)
    push = _jacobian(lambda strain: jax.grad(energy)(here, strain), still)
    born = _jacobian(lambda strain: jax.grad(energy, argnums=1)(here, strain), still)
    given_way = jnp.linalg.solve(stiffness, push)
    # how far the minimum is, by a Newton step
    astray = jnp.max(jnp.abs(jnp.linalg.solve(stiffness, residual(here)))) > 1e-6 + 1e-4 * jnp.max(jnp.abs(here))
    constants = born - jnp.matmul(push.T, given_way, precision="highest")
    return jnp.where(astray, jnp.nan, 1) * constants / system.space.volume


@eqx.filter_jit
def _born(potential, system, neighbors):
    energy = lambda strain: potential.total(system.strained(_matrix(strain)), neighbors)
    return _jacobian(jax.grad(energy), jnp.zeros(6, system.position.dtype)) / system.space.volume


def _jacobian(function: Any, x: Array) -> Array:
    """One column after the other: side by side they would need much memory, and are no faster here."""
    column = lambda v: jax.jvp(function, (x,), (v,))[1]
    return jax.lax.map(column, jnp.eye(x.size, dtype=x.dtype)).T


def _matrix(voigt: Any) -> Array:
    xx, yy, zz, yz, xz, xy = voigt[0], voigt[1], voigt[2], voigt[3] / 2, voigt[4] / 2, voigt[5] / 2
    return jnp.stack([jnp.stack(row) for row in ((xx, xy, xz), (xy, yy, yz), (xz, yz, zz))])
