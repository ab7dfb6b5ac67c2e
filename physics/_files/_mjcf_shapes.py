"""MuJoCo's geoms, to look at."""

from typing import Any

import numpy as np

from .._shapes import AbstractShape, Box, Capsule, Cylinder, Ellipsoid, Mesh, Plane, Sphere
from ._names import names_of

SHOWN = 3  # MuJoCo's viewers show the groups 0, 1 and 2 unless told otherwise


def shapes_of(mujoco: Any, m: Any) -> dict[str, tuple[AbstractShape, ...]]:
    """The geoms of each body that has some, and of the "world"; height fields and signed distances are left out."""
    found: dict[str, list[AbstractShape]] = {}
    bodies = ["world", *names_of(mujoco, m, "body", m.nbody)[1:]]
    for k in range(m.ngeom):
        shape = _shape(mujoco, m, k) if m.geom_group[k] < SHOWN else None
        if shape is not None:
            found.setdefault(bodies[int(m.geom_bodyid[k])], []).append(shape)
    return {name: tuple(shapes) for name, shapes in found.items()}


def _shape(mujoco: Any, m: Any, k: int) -> AbstractShape | None:
    kinds, size = mujoco.mjtGeom, [float(x) for x in m.geom_size[k]]
    at, turn = np.array(m.geom_pos[k]), np.array(m.geom_quat[k])
    material = int(m.geom_matid[k])
    plain = np.array([0.5, 0.5, 0.5, 1.0], m.geom_rgba.dtype)  # MuJoCo's default, which a material overrides
    rgba = m.mat_rgba[material] if material >= 0 and np.all(m.geom_rgba[k] == plain) else m.geom_rgba[k]
    color = tuple(float(x) for x in rgba)
    match int(m.geom_type[k]):
        case kind if kind == int(kinds.mjGEOM_SPHERE):
            return Sphere(radius=size[0], position=at, orientation=turn, color=color)
        case kind if kind == int(kinds.mjGEOM_CAPSULE):
            return Capsule(radius=size[0], half_length=size[1], position=at, orientation=turn, color=color)
        case kind if kind == int(kinds.mjGEOM_CYLINDER):
            return Cylinder(radius=size[0], half_length=size[1], position=at, orientation=turn, color=color)
        case kind if kind == int(kinds.mjGEOM_ELLIPSOID):
            return Ellipsoid(radii=size, position=at, orientation=turn, color=color)
        case kind if kind == int(kinds.mjGEOM_BOX):
            return Box(half_sizes=size, position=at, orientation=turn, color=color)
        case kind if kind == int(kinds.mjGEOM_PLANE):
            return Plane(position=at, orientation=turn, color=color)
        case kind if kind == int(kinds.mjGEOM_MESH):
            vertices, faces = _triangles(m, int(m.geom_dataid[k]))
            return Mesh(vertices=vertices, faces=faces, position=at, orientation=turn, color=color)
    return None


def _triangles(m: Any, mesh: int) -> tuple[np.ndarray, np.ndarray]:
    first, count = int(m.mesh_vertadr[mesh]), int(m.mesh_vertnum[mesh])
    start, number = int(m.mesh_faceadr[mesh]), int(m.mesh_facenum[mesh])
    return np.array(m.mesh_vert[first : first + count], float), np.array(m.mesh_face[start : start + number])
