"""Block tridiagonal matrices, solved by cyclic reduction: few large operations instead of many small ones."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._exact import exact


class Level(NamedTuple):
    """One halving: the odd rows, solved for their own unknowns, and how the even ones take part."""

    inverse: Array  # (k, b, b) of the odd rows' diagonal blocks
    left: Array  # (k, b, b) their blocks before the diagonal
    right: Array  # (k, b, b) and after it
    from_left: Array  # (k, b, b) what the even rows take from the odd row before them
    from_right: Array  # (k, b, b) and after them


class Factors(NamedTuple):
    """A factorized matrix."""

    levels: tuple[Level, ...]
    last: Array  # (b, b) the inverse of what remains


def factorized(lower: Array, diagonal: Array, upper: Array) -> Factors:
    """Of rows `lower[i] x[i - 1] + diagonal[i] x[i] + upper[i] x[i + 1]`, blocks (k, b, b); no pivoting between blocks.

    The first lower and the last upper block must be zero.
    Source: W. Gander, G. H. Golub, Cyclic reduction - history and applications (1997).
    """
    levels = []
    while len(diagonal) > 1:
        if len(diagonal) % 2:
            lower, upper = (jnp.concatenate([a, jnp.zeros_like(a[:1])]) for a in (lower, upper))
            one = jnp.eye(diagonal.shape[1], dtype=diagonal.dtype)
            diagonal = jnp.concatenate([diagonal, one[None]])
        inverse, left, right = jnp.linalg.inv(diagonal[1::2]), lower[1::2], upper[1::2]
        from_right = exact(upper[::2], inverse)
        from_left = exact(lower[::2], _before(inverse))
        levels.append(Level(inverse, left, right, from_left, from_right))
        diagonal = diagonal[::2] - exact(from_right, left) - exact(from_left, _before(right))
        upper = -exact(from_right, right)
        lower = -exact(from_left, _before(left))
    return Factors(tuple(levels), jnp.linalg.inv(diagonal[0]))


def solved(factors: Factors, v: Array) -> Array:
    """x for the right-hand side v (k, b), of as many blocks."""
    counts, sides = [], []
    for level in factors.levels:
        counts.append(len(v))
        if len(v) % 2:
            v = jnp.concatenate([v, jnp.zeros_like(v[:1])])
        odd = v[1::2]
        sides.append(odd)
        v = v[::2] - _times(level.from_right, odd) - _times(level.from_left, _before(odd))
    x = exact(factors.last, v[0])[None]
    for level, odd, count in zip(factors.levels[::-1], sides[::-1], counts[::-1], strict=True):
        after = jnp.concatenate([x[1:], jnp.zeros_like(x[:1])])
        between = _times(level.inverse, odd - _times(level.left, x) - _times(level.right, after))
        x = jnp.stack([x, between], axis=1).reshape(-1, x.shape[1])[:count]
    return x


def times(blocks: tuple[Array, Array, Array], v: Array) -> Array:
    """The matrix times v (k, b)."""
    lower, diagonal, upper = blocks
    after = jnp.concatenate([v[1:], jnp.zeros_like(v[:1])])
    return _times(lower, _before(v)) + _times(diagonal, v) + _times(upper, after)


def transposed(lower: Array, diagonal: Array, upper: Array) -> tuple[Array, Array, Array]:
    """The blocks of the transposed matrix."""
    flip = lambda a: jnp.swapaxes(a, 1, 2)
    zero = jnp.zeros_like(lower[:1])
    return flip(jnp.concatenate([zero, upper[:-1]])), flip(diagonal), flip(jnp.concatenate([lower[1:], zero]))


def _before(a: Array) -> Array:
    """Each entry's predecessor, zero for the first."""
    return jnp.concatenate([jnp.zeros_like(a[:1]), a[:-1]])


def _times(a: Array, v: Array) -> Array:
    return exact(a, v[:, :, None])[:, :, 0]


class Bands(NamedTuple):
    """Where the blocks of a banded matrix are found in its products with few vectors.

    Blocks have the half bandwidth b, so that the matrix is block tridiagonal; every third block column is shown by the
    same b vectors, one for each column of a block.
    """

    size: int  # n
    width: int  # b
    number: int  # k blocks

    def probes(self) -> np.ndarray:
        """(3 b, n): vectors of zeros and ones."""
        column = np.arange(self.size)
        color = (column // self.width) % 3 * self.width + column % self.width
        return (color[None] == np.arange(3 * self.width)[:, None]).astype(float)

    def blocks(self, products: Array) -> tuple[Array, Array, Array]:
        """Lower, diagonal and upper blocks from the matrix times each probe, (3 b, n)."""
        k, b = self.number, self.width
        rows = jnp.pad(products, ((0, 0), (0, k * b - self.size))).reshape(3, b, k, b)  # third, column, row block, row
        rows = jnp.transpose(rows, (0, 2, 3, 1))
        here = np.arange(k)
        found = [rows[(here + shift) % 3, here] for shift in (-1, 0, 1)]
        inside = [(here + shift >= 0) & (here + shift < k) for shift in (-1, 0, 1)]
        lower, diagonal, upper = (
            jnp.where(jnp.asarray(ok)[:, None, None], a, 0) for a, ok in zip(found, inside, strict=True)
        )
        return lower, diagonal, upper

    def filler(self, dtype: Any) -> Array:
        """(k, b, b): ones on the diagonal, where the last block is larger than what is left for it."""
        unused = np.arange(self.number * self.width).reshape(self.number, self.width) >= self.size
        return jnp.asarray(unused[:, :, None] * np.eye(self.width), dtype)

    def split(self, v: Array) -> Array:
        """(n,) -> (k, b)."""
        return jnp.pad(v, (0, self.number * self.width - self.size)).reshape(self.number, self.width)

    def joined(self, v: Array) -> Array:
        """(k, b) -> (n,)."""
        return v.reshape(-1)[: self.size]
