"""Frequencies and modes of a crystal from its force constants."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...solvers import compiled
from ...solvers._host import as_array
from .._space import times
from ._bands import along_path, Bands


class Phonons(eqx.Module):
    r"""The vibrations of a crystal, as `phonons` finds them: $D(q) e = \omega^2 e$,
    $D_{ij}(q) = \sum_R \Phi_{0i,Rj} \, e^{i q \cdot d} / \sqrt{m_i m_j}$, $d = x_j + R - x_i$.

    Wave vectors `q` (..., 3) count reciprocal vectors of the cell, $b_k \cdot h_l = 2 \pi \delta_{kl}$: (0.5, 0, 0) is
    half the first of them. Along open axes they do not matter. `fractional` makes them of Cartesian ones.
    Frequencies $\omega$ are radians per unit of time (length (mass/energy)^(1/2)); $\omega^2 < 0$, where the crystal
    is not stable, is shown as a negative frequency $-|\omega|$.

    - `constants` (cells, n, 3, n, 3) [energy/length²]: of an atom of the first cell with an atom of each.
    - `offset` (cells, n, n, 3): d, in cell vectors. `mass` (n,), `cell` (3, 3), `axes`: of the crystal.

    `eigenvalues`, $\omega^2$, have derivatives of any order, also where some are equal: each by what does not part
    them (a parameter of the potential, in a symmetric crystal), else those of the sum over the equal ones, which by
    themselves have none. A frequency has $d\omega^2 / 2 \omega$, and, where it is 0, the derivative 0, though that of
    a mode that goes soft diverges there: use the eigenvalues.

    Source: M. Born and K. Huang, Dynamical Theory of Crystal Lattices (Oxford, 1954), sections 24 and 38.
    """

    constants: Array
    offset: Array
    mass: Array
    cell: Array
    axes: tuple[bool, bool, bool] = eqx.field(static=True)

    def fractional(self, wave_vector: Any) -> Array:
        r"""`q` of Cartesian wave vectors (..., 3) [1/length], of $e^{i k \cdot x}$."""
        return times(jnp.asarray(wave_vector, self.cell.dtype), self.cell.T) / (2 * jnp.pi)

    def dynamical_matrix(self, q: Any) -> Array:
        """D (3n, 3n), Hermitian, at one wave vector (3,)."""
        phase = 2 * jnp.pi * jnp.matmul(self.offset, jnp.asarray(q, self.cell.dtype), precision="highest")
        share = jax.lax.rsqrt(self.mass[:, None] * self.mass[None, :])[None, :, :]
        part = lambda wave: jnp.sum(self.constants * (wave * share)[:, :, None, :, None], axis=0)
        matrix = jax.lax.complex(part(jnp.cos(phase)), part(jnp.sin(phase))).reshape((3 * self.mass.size,) * 2)
        return (matrix + matrix.conj().T) / 2

    def eigenvalues(self, q: Any) -> Array:
        r"""$\omega^2$ (..., 3n), ascending."""
        return _spectrum(self, jnp.asarray(q, self.cell.dtype))[0]

    def frequencies(self, q: Any) -> Array:
        r"""$\omega$ (..., 3n) [1/time], ascending; negative where $\omega^2$ is."""
        return _frequencies(self, as_array(q, self.cell.dtype))

    def modes(self, q: Any) -> tuple[Array, Array]:
        r"""Frequencies (..., 3n) and polarizations e (..., 3n, n, 3), complex, of length 1, e[..., k, :, :] of mode k.

        Atoms move as $m_i^{-1/2} e_i \, e^{i (q \cdot x - \omega t)}$. The phase of a mode is arbitrary, and of equal
        frequencies the basis is.
        """
        values, vectors = _spectrum(self, jnp.asarray(q, self.cell.dtype))
        vectors = jnp.swapaxes(vectors, -1, -2)
        return _root(values), vectors.reshape(*values.shape, -1, 3)

    def density(self, frequencies: Any, *, mesh: int | tuple[int, int, int], width: Any) -> Array:
        """Density of states (k,) [time] at `frequencies` (k,), whose integral is the 3n modes of a cell.

        Each mode of a `mesh` of wave vectors, which avoids 0, counts as a normal distribution of standard deviation
        `width` [1/time]: about the largest distance in frequency between neighbors on the mesh, or the curve is rough.
        """
        counts = (mesh,) * 3 if isinstance(mesh, int) else mesh
        counts = [count if periodic else 1 for count, periodic in zip(counts, self.axes, strict=True)]
        if min(counts) < 1:
            raise ValueError(f"mesh must be one whole number of at least 1, or three, not {mesh!r}.")
        grid = np.meshgrid(*((np.arange(count) + 0.5) / count for count in counts), indexing="ij")
        points = np.stack(grid, axis=-1).reshape(-1, 3)
        frequencies, width = (jnp.asarray(x, self.cell.dtype) for x in (frequencies, width))
        return _density(self, jnp.asarray(points, self.cell.dtype), frequencies, width)

    def bands(self, corners: Any, *, points: int = 50) -> Bands:
        """Frequencies along straight lines from corner to corner of a path, so many points on each.

        `corners` are pairs of a name and a wave vector, such as `("X", (0.5, 0, 0.5))`; None between two of them
        breaks the path. `band_path(system)` is the customary one.
        """
        return along_path(self.frequencies, corners, points, 2 * np.pi * np.linalg.inv(np.asarray(self.cell, float)).T)


@eqx.filter_jit
def _spectrum(phonons, q):
    values, vectors = jax.lax.map(lambda q: _eigh(phonons.dynamical_matrix(q)), q.reshape(-1, 3), batch_size=64)
    shape = q.shape[:-1]
    return values.reshape(*shape, -1), vectors.reshape(*shape, *vectors.shape[1:])


@eqx.filter_jit
def _density(phonons, q, frequencies, width):
    found = phonons.frequencies(q).reshape(-1)
    bell = lambda at: jnp.sum(jnp.exp(-(((at - found) / width) ** 2) / 2))
    return jax.lax.map(bell, frequencies) / (width * jnp.sqrt(2 * jnp.pi) * q.shape[0])


@jax.custom_jvp
def _eigh(matrix):
    """Eigenvalues and eigenvectors of a Hermitian matrix."""
    values, vectors = jnp.linalg.eigh(matrix)
    return values, vectors


@_eigh.defjvp
def _eigh_jvp(primals, tangents):
    """Vectors turn towards those of other eigenvalues; among equal ones, where JAX's rule is NaN, they stay."""
    values, vectors = _eigh(*primals)
    product = lambda a, b: jnp.matmul(a, b, precision="highest")
    turned = product(vectors.conj().T, product(tangents[0], vectors))
    gap = values[None, :] - values[:, None]
    apart = jnp.abs(gap) > jnp.sqrt(jnp.finfo(gap.dtype).eps) * jnp.max(jnp.abs(values))
    share = jnp.where(apart, 1 / jnp.where(apart, gap, 1), 0)
    turn = jax.lax.complex(turned.real * share, turned.imag * share)
    return (values, vectors), (jnp.diagonal(turned).real, product(vectors, turn))


@compiled
def _frequencies(crystal, q):
    return _root(crystal.eigenvalues(q))


def _root(values):
    still = values == 0
    return jnp.where(still, 0, jnp.sign(values) * jnp.sqrt(jnp.where(still, 1, jnp.abs(values))))
