"""Shapes as geoms of MJCF."""

from typing import Any
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from .._shapes import AbstractShape, Box, Capsule, Cylinder, Ellipsoid, Mesh, Plane, Sphere


def write_shape(body: Element, assets: Element, shape: AbstractShape) -> None:
    """A geom that is drawn, weighs nothing and touches nothing; the triangles of a mesh go to the assets."""
    geom = SubElement(body, "geom", contype="0", conaffinity="0", mass="0")
    geom.attrib |= {"pos": text(shape.position), "quat": text(shape.orientation)}
    if shape.color is not None:
        geom.set("rgba", text((*shape.color, 1.0)[:4]))
    match shape:
        case Sphere():
            kind, size = "sphere", [shape.radius]
        case Capsule() | Cylinder():
            kind, size = type(shape).__name__.lower(), [shape.radius, shape.half_length]
        case Ellipsoid():
            kind, size = "ellipsoid", shape.radii
        case Box():
            kind, size = "box", shape.half_sizes
        case Plane():
            kind, size = "plane", [0.0, 0.0, 1.0]  # endless; the third is how dense the grid is drawn
        case Mesh():
            _mesh(geom, assets, shape)
            return
        case _:
            raise ValueError(f"{type(shape).__name__} is no geom of MJCF.")
    geom.attrib |= {"type": kind, "size": text(size)}


def _mesh(geom: Element, assets: Element, shape: Mesh) -> None:
    name = f"mesh_{len(assets)}"
    faces = " ".join(str(int(i)) for i in np.ravel(np.asarray(shape.faces)))
    SubElement(assets, "mesh", name=name, vertex=text(shape.vertices), face=faces)
    geom.attrib |= {"type": "mesh", "mesh": name}


def text(numbers: Any) -> str:
    """Numbers with all their digits."""
    return " ".join(repr(float(x)) for x in np.ravel(np.asarray(numbers)))
