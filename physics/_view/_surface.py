"""Shapes as triangles."""

from typing import Any, NamedTuple

import numpy as np

from .._shapes import AbstractShape, Box, Capsule, Cylinder, Ellipsoid, Mesh, Sphere

_CREASE = 0.6  # rad between faces; flatter edges look round


class Surface(NamedTuple):
    """Vertices (n, 3) in the shape's frame and faces (k, 3), parted at sharp edges so that these look sharp."""

    vertices: np.ndarray
    faces: np.ndarray


def surface(shape: AbstractShape) -> Surface:
    """Of anything but a plane."""
    trimesh = _trimesh()
    create = trimesh.creation
    if isinstance(shape, Sphere):
        mesh = create.icosphere(subdivisions=3, radius=float(shape.radius))
    elif isinstance(shape, Ellipsoid):
        mesh = create.icosphere(subdivisions=3)
        mesh.apply_scale(np.asarray(shape.radii, dtype=float))
    elif isinstance(shape, Capsule):
        mesh = create.capsule(height=2 * float(shape.half_length), radius=float(shape.radius), count=[24, 24])
    elif isinstance(shape, Cylinder):
        mesh = create.cylinder(radius=float(shape.radius), height=2 * float(shape.half_length), sections=48)
    elif isinstance(shape, Box):
        mesh = create.box(extents=2 * np.asarray(shape.half_sizes, dtype=float))
    elif isinstance(shape, Mesh):
        mesh = trimesh.Trimesh(np.asarray(shape.vertices, dtype=float), np.asarray(shape.faces))
    else:
        raise ValueError(
            f"The viewer cannot draw {type(shape).__name__}; it knows Sphere, Ellipsoid, Capsule, Cylinder, Box, Mesh "
            "and Plane. Draw the body as a Mesh."
        )
    parted = trimesh.graph.smooth_shade(mesh, angle=_CREASE)
    return Surface(np.asarray(parted.vertices, np.float32), np.asarray(parted.faces, np.uint32))


def _trimesh() -> Any:
    try:
        import trimesh
    except ImportError as error:
        raise ImportError("Films need viser and trimesh: pip install kinax[view]") from error
    return trimesh
