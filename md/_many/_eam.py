"""The embedded atom, by tables."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ...solvers import parameter
from ._embedded import AbstractEmbedded, pick


class EAM(AbstractEmbedded):
    r"""Metals: $\sum_i F_{a_i}(\rho_i) + \sum_{i<j} \phi_{a_i a_j}(r_{ij})$ with $\rho_i = \sum_j f_{a_j}(r_{ij})$.

    Tables, which are float leaves: `embedding` (s, m), the values of $F$ at $0, d\rho, 2 d\rho, \ldots$ [energy];
    `density` (s, k), those of $f$ at $0, dr, 2 dr, \ldots$; `pair` (s, s, k), symmetric in the species, those of
    $r \phi(r)$ [energy length]. `drho`, `dr` are the steps, `cutoff` [length] where the pairs end; `elements` names
    the species. Between the values run cubics with the slopes of five points, as in LAMMPS; beyond the last density
    $F$ goes on straight. `read_setfl` and `read_funcfl` make one from a file. In float32 the values are rounded, so
    forces are good to some $10^{-5}$ of the largest with tables as fine as usual.

    Source: M. S. Daw and M. I. Baskes, Phys. Rev. B 29, 6443 (1984), doi:10.1103/PhysRevB.29.6443.
    """

    tables: ClassVar = ("embedding", "density")

    embedding: Any = parameter()
    density: Any = parameter()
    pair: Any = parameter()
    drho: Any = parameter()
    dr: Any = parameter()
    cutoff: Any = parameter()
    elements: tuple[str, ...] = eqx.field(static=True, default=())

    def __check_init__(self) -> None:
        shapes = jnp.shape(self.embedding), jnp.shape(self.density), jnp.shape(self.pair)
        if not (len(shapes[0]) == len(shapes[1]) == 2 and min(shapes[0][1], shapes[1][1]) >= 5):
            raise ValueError(f"EAM.embedding and EAM.density have shapes {shapes[:2]}, expected (species, 5 or more).")
        kinds, many = shapes[1]
        if shapes[0][0] != kinds or shapes[2] != (kinds, kinds, many):
            raise ValueError(f"EAM.pair has shape {shapes[2]}, expected {(kinds, kinds, many)}, as EAM.density has.")
        for name in ("embedding", "density", "pair", "drho", "dr", "cutoff"):
            value = getattr(self, name)
            if isinstance(value, Tracer) or not eqx.is_array_like(value):
                continue
            if not np.isfinite(value).all() or (name in ("drho", "dr", "cutoff") and not value > 0):
                raise ValueError(f"EAM.{name} must be finite, and steps and cutoff positive.")

    @property
    def reach(self) -> Any:
        """The cutoff."""
        return self.cutoff

    def densities(self, d: Any, a: Any, b: Any) -> tuple[Any, ...]:
        """Half the pair energy, and the density."""
        r = jnp.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
        inside = r < self.cutoff
        kinds, many = self.density.shape
        product = _cubic(self.pair.reshape(-1, many), a * kinds + b, r / self.dr)
        density = _cubic(self.density, b, r / self.dr)
        return jnp.where(inside, product / r, 0) / 2, jnp.where(inside, density, 0)

    def embed(self, densities: tuple[Any, ...], a: Any) -> Any:
        """The pair energies plus F."""
        return densities[0] + _cubic(self.embedding, a, densities[1] / self.drho)


def _cubic(rows: Any, row: Any, t: Any) -> Any:
    """The curve through the values of a row, at `t` steps from the first; straight beyond the last."""
    last = rows.shape[1] - 1
    k = jnp.clip(jax.lax.stop_gradient(t), 0, last - 1).astype(jnp.int32)
    place = row * (last + 1) + k
    slopes = _slopes(rows).reshape(-1)
    values = rows.reshape(-1)
    y0, y1, m0, m1 = pick(values, place), pick(values, place + 1), pick(slopes, place), pick(slopes, place + 1)
    beyond = t > last
    x = jnp.where(beyond, 1, t - k.astype(t.dtype))
    rise = y1 - y0
    inside = y0 + x * (m0 + x * (3 * rise - 2 * m0 - m1 + x * (m0 + m1 - 2 * rise)))
    return inside + jnp.where(beyond, t - last, 0) * m1


def _slopes(rows: Any) -> Any:
    """Derivatives at the values, per step: by five points, fewer at the ends."""
    change = rows[:, 1:] - rows[:, :-1]
    middle = (rows[:, 2:] - rows[:, :-2]) / 2
    wide = (rows[:, :-4] - rows[:, 4:] + 8 * (rows[:, 3:-1] - rows[:, 1:-3])) / 12
    return jnp.concatenate([change[:, :1], middle[:, :1], wide, middle[:, -1:], change[:, -1:]], axis=1)
