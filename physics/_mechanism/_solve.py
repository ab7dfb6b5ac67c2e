"""Solving with the mass matrix."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array


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
