"""Matrices whose entries are single components of a vector, as tables of index and sign.

The matrix of a cross product, or a spatial inertia, is never stored: one loop multiplies and adds while it looks its
entries up. That compiles to a tenth of the code that six stacked formulas are.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


class Table(NamedTuple):
    """Entry (i, j) is `sign[i, j]` times component `component[i, j]`."""

    component: np.ndarray
    sign: np.ndarray

    def __call__(self, x: Array) -> Array:
        """The matrices (i, j, n) of the vectors (k, n)."""
        sign = jnp.asarray(self.sign, x.dtype).reshape(self.sign.shape + (1,) * (x.ndim - 1))
        return sign * x[self.component]


def apply(matrix: Array, vector: Array) -> Array:
    """(i, j, n), (j, n) -> (i, n)."""
    return jnp.sum(matrix * vector[None], axis=1)


def _table(rows: list[list[int]]) -> Table:
    """From entries ±(k + 1) for component k, and 0."""
    entries = np.array(rows)
    return Table(component=np.maximum(np.abs(entries) - 1, 0).astype(np.int32), sign=np.sign(entries))


def _skew(first: int) -> np.ndarray:
    """a × for the components `first` + 0, 1, 2."""
    x, y, z = first + 1, first + 2, first + 3
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])


_ZERO = np.zeros((3, 3), dtype=int)
_W, _U = _skew(0), _skew(3)
_MOMENTS = np.array([[5, 6, 8], [6, 7, 9], [8, 9, 10]])
_MASS = np.eye(3, dtype=int)

SKEW = _table(_W.tolist())  # a ×
TWIST_CROSS = _table(np.block([[_W, _ZERO], [_U, _W]]).tolist())  # v ×
WRENCH_CROSS = _table(np.block([[_W, _U], [_ZERO, _W]]).tolist())  # v ×*
CROSSED_WRENCH = _table((-np.block([[_W, _U], [_U, _ZERO]])).tolist())  # f with m -> m ×* f
INERTIA = _table(np.block([[_MOMENTS, _skew(1)], [-_skew(1), _MASS]]).tolist())  # of ten parameters
DOUBLE_B = _table(  # of Q (row by row) and F
    np.block([[np.arange(1, 10).reshape(3, 3), _ZERO], [-_skew(9), _ZERO]]).tolist()
)


def _pseudo_of_ten() -> np.ndarray:
    """(16, 10): the matrix of second moments, first moments and mass that ten parameters are."""
    matrix = np.zeros((4, 4, 10))
    for i in range(3):
        for j in range(3):
            matrix[i, j, _MOMENTS[i, j] - 1] -= 1
        for k in range(3):
            matrix[i, i, _MOMENTS[k, k] - 1] += 0.5
        matrix[i, 3, i + 1] = matrix[3, i, i + 1] = 1
    matrix[3, 3, 0] = 1
    return matrix.reshape(16, 10)


PSEUDO_OF_TEN = _pseudo_of_ten()
TEN_OF_PSEUDO = np.linalg.pinv(PSEUDO_OF_TEN).round(12)
