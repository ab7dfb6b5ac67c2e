"""Solving with the mass matrix."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from . import _dynamics
from ._geometry import Geometry
from ._levels import by_levels
from ._topology import plan

# Degrees of freedom from which levels cost less than factors. Measured on 2 cores, whole steps in float64: 1.3 to 1.7
# times as much in a chain of 100, as much in one of 128, 0.7 in one of 150; of 64 chains at once 0.9 and 0.3.
LONG = 128


def solvable(mechanism: Any, found: Geometry, v: Array, added: Array) -> tuple[Callable[[Array], Array], Array]:
    """x -> (M + added)⁻¹ x, and the bias (nv,); `added` is a diagonal (nv,) or a symmetric matrix (nv, nv)."""
    known = bool(plan(mechanism.topology).masks)  # not of a family, whose members differ
    if known and added.ndim == 1 and added.shape[0] >= LONG:
        return by_levels(mechanism, found, added), _dynamics.inverse_dynamics(mechanism, found, v, None)
    matrix, bias = _dynamics.equations(mechanism, found, v)
    return factorized(matrix, added), bias


def factorized(matrix: Array, added: Array) -> Callable[[Array], Array]:
    """x -> (M + added)⁻¹ x by Cholesky's factors; NaN if that is not positive definite."""
    total = matrix + (jnp.diag(added) if added.ndim == 1 else added)
    if total.shape[0] == 0:
        return lambda x: x
    factor = jnp.linalg.cholesky(total, symmetrize_input=False)

    def solve(x: Array) -> Array:
        half = jax.lax.linalg.triangular_solve(factor, x[:, None], left_side=True, lower=True)
        return jax.lax.linalg.triangular_solve(factor, half, left_side=True, lower=True, transpose_a=True)[:, 0]

    return solve
