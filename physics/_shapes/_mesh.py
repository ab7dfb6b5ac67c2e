"""Solids bounded by triangles."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ...solvers import compiled, parameter
from ...solvers._tree import is_concrete
from .._spatial import cross3, dot3
from ._shape import AbstractSolid, color


def _indices() -> Any:
    return eqx.field(converter=jnp.asarray)


class Mesh(AbstractSolid):
    r"""Triangles: `vertices` (n, 3) [m], and `faces` (k, 3), the indices of each one's corners.

    Corners are counterclockwise seen from outside. The volume, the center and the moments are sums over the tetrahedra
    between the faces and a point, with signs. They need a closed surface, in which each edge borders two faces; an
    open one can be drawn, but has no inertia. Vertices are parameters like other sizes, so a mesh is scaled by
    scaling them, with derivatives; as leaves they are arguments of compiled programs, and not constants in them.

    Source: F. Tonon, J. Math. Stat. 1, 8 (2005), doi:10.3844/jmssp.2005.8.11.
    """

    vertices: Any = parameter()
    faces: Any = _indices()
    position: Any = parameter(default=(0.0, 0.0, 0.0))
    orientation: Any = parameter(default=(1.0, 0.0, 0.0, 0.0))
    color: Any = eqx.field(default=None, static=True, converter=color)

    def __check_init__(self):
        for name in ("vertices", "faces"):
            shape = jnp.shape(getattr(self, name))
            if len(shape) != 2 or shape[1] != 3 or shape[0] == 0:
                raise ValueError(f"Mesh.{name} has shape {shape}, expected (n, 3) with n > 0.")
        if not jnp.issubdtype(self.faces.dtype, jnp.integer):
            raise ValueError(f"Mesh.faces holds {self.faces.dtype}, expected integers: indices of vertices.")
        if not isinstance(self.vertices, Tracer) and not np.isfinite(np.asarray(self.vertices)).all():
            raise ValueError("Mesh.vertices holds NaN or infinity.")
        if not isinstance(self.faces, Tracer):
            faces, n = np.asarray(self.faces), len(self.vertices)
            if faces.min() < 0 or faces.max() >= n:
                raise ValueError(f"Mesh.faces has indices from {faces.min()} to {faces.max()}; there are {n} vertices.")

    def volume(self) -> Array:
        self._refuse_hollow()
        return self._volume()

    def spread(self) -> tuple[Array, Array]:
        self._refuse_hollow()
        return self._spread()

    @compiled
    def _volume(self) -> Array:
        return jnp.sum(self._tetrahedra()[1])

    @compiled
    def _spread(self) -> tuple[Array, Array]:
        start, volumes, corners = self._tetrahedra()
        whole = jnp.sum(volumes)
        total = jnp.sum(corners, axis=0)
        center = jnp.sum(volumes[None] * total, axis=1) / (4 * whole)
        # the integral of x xᵀ over each tetrahedron is v/20 (a aᵀ + b bᵀ + c cᵀ + s sᵀ), s = a + b + c
        points = jnp.concatenate([corners, total[None]])
        second = jnp.sum(volumes[None, None, None] * points[:, :, None] * points[:, None, :], axis=(0, 3)) / 20
        second = second / whole - center[:, None] * center[None, :]
        return start + center, jnp.trace(second) * jnp.eye(3, dtype=second.dtype) - second

    def _tetrahedra(self) -> tuple[Array, Array, Array]:
        """The common corner (3,), the signed volumes (k), and the other corners seen from it (3 corners, 3, k)."""
        start = jax.lax.stop_gradient(jnp.mean(self.vertices, axis=0))  # near by: fewer digits are lost
        corners = (self.vertices - start[None])[self.faces.T].transpose(0, 2, 1)
        return start, dot3(corners[0], cross3(corners[1], corners[2])) / 6, corners

    def _refuse_hollow(self) -> None:
        """The faces enclose a volume, as far as they are known."""
        if is_concrete(self.faces):
            _refuse_open(np.asarray(self.faces))
        if is_concrete((self.vertices, self.faces)) and not (whole := np.asarray(self._volume())) > 0:
            raise ValueError(
                f"Mesh: its volume is {whole}. If it is negative the faces are inside out: `faces[:, ::-1]` turns them."
            )


def _refuse_open(faces: np.ndarray) -> None:
    """Each edge is passed once in either direction."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    there, back = edges @ [2**32, 1], edges @ [1, 2**32]
    found, times = np.unique(there, return_counts=True)
    wrong = np.count_nonzero(times != 1) + np.count_nonzero(~np.isin(back, found))
    if wrong:
        raise ValueError(
            f"Mesh: {wrong} of its edges do not border two faces that are both seen from outside, so that it encloses "
            "no volume. Mend it, merge equal vertices, or take its convex hull; or give the body an `Inertia`."
        )
