"""What the links of a URDF file look like."""

import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from .._shapes import AbstractShape, Box, Cylinder, Mesh, Sphere
from ._mesh_files import FORMATS, read_mesh
from ._urdf_elements import name_of, number, numbers, origin, part
from ._xml import parse_xml, text_of


def urdf_shapes(
    source: str | os.PathLike[str],
    *,
    packages: Mapping[str, str | os.PathLike[str]] | None = None,
    ignore: Sequence[str] = (),
) -> dict[str, tuple[AbstractShape, ...]]:
    """The shapes of the links of a URDF file, for `view(..., shapes=...)`: `visual`, or `collision` if there is none.

    - `source`: a path, or the text itself; names of mesh files count from the file's folder.
    - `packages`: where the packages of `package://name/...` are; by default they are looked for beside the folders
      that the file lies in.
    - `ignore=("mesh",)`: what is drawn by a mesh file is left out.

    Mesh files are STL or OBJ. A ValueError names the link whose mesh file is missing, of another format or damaged.
    """
    if set(ignore) - {"mesh"}:
        raise ValueError(f"ignore may hold 'mesh'; got {', '.join(map(repr, ignore))}.")
    robot = parse_xml(text_of(source), "The URDF file")
    is_text = isinstance(source, str) and source.lstrip().startswith("<")
    folder = pathlib.Path() if is_text else pathlib.Path(source).resolve().parent
    colors = {name_of(m): m for m in robot.findall("material") if m.find("color") is not None}
    found = {}
    for link in robot.findall("link"):
        whose = f"link {name_of(link)!r}"
        elements = link.findall("visual") or link.findall("collision")
        shapes = [_shape(element, whose, colors, folder, packages or {}, ignore) for element in elements]
        if any(shape is not None for shape in shapes):
            found[name_of(link)] = tuple(shape for shape in shapes if shape is not None)
    return found


def _shape(
    element: Element,
    whose: str,
    colors: Mapping[str, Element],
    folder: pathlib.Path,
    packages: Mapping[str, Any],
    ignore: Sequence[str],
) -> AbstractShape | None:
    position, orientation = origin(element, whose)
    color = _color(element, whose, colors)
    geometry = next(iter(part(element, "geometry", whose)), Element("nothing"))
    match geometry.tag:
        case "box":
            half = numbers(geometry, "size", 3, whose, "") / 2
            return Box(half_sizes=half, position=position, orientation=orientation, color=color)
        case "sphere":
            radius = number(geometry, "radius", whose, None)
            return Sphere(radius=radius, position=position, orientation=orientation, color=color)
        case "cylinder":
            radius, length = (number(geometry, key, whose, None) for key in ("radius", "length"))
            half = length / 2
            return Cylinder(radius=radius, half_length=half, position=position, orientation=orientation, color=color)
        case "mesh":
            if "mesh" in ignore:
                return None
            vertices, faces = read_mesh(_mesh_file(geometry.get("filename", ""), whose, folder, packages))
            scale = numbers(geometry, "scale", 3, whose, "1 1 1")
            faces = faces if np.prod(scale) > 0 else faces[:, ::-1]  # a mirror turns surfaces inside out
            return Mesh(
                vertices=vertices * scale[None], faces=faces, position=position, orientation=orientation, color=color
            )
        case tag:
            raise ValueError(f"The {whose} has the geometry {tag!r}, which is none of box, sphere, cylinder, mesh.")


def _mesh_file(name: str, whose: str, folder: pathlib.Path, packages: Mapping[str, Any]) -> pathlib.Path:
    scheme, _, rest = name.rpartition("://")
    if scheme not in ("", "file", "package"):
        raise ValueError(f"The {whose} has the mesh {name!r}: files are not fetched from elsewhere.")
    path = folder / rest
    if scheme == "package":
        package, _, inside = rest.partition("/")
        nearby = [above / package for above in (folder, *folder.parents)]
        nearby += [above for above in folder.parents if above.name == package]
        places = [pathlib.Path(packages[package])] if package in packages else [folder, *nearby]
        path = next((place / inside for place in places if (place / inside).is_file()), places[0] / inside)
    if not path.is_file():
        raise ValueError(
            f"The {whose} has the mesh {name!r}, but there is no file {str(path)!r}. Say where packages are by "
            "packages={'name': folder}, or leave meshes out by ignore=('mesh',)."
        )
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"The {whose} has the mesh {name!r}, which is not {' or '.join(FORMATS)}: convert it, or leave meshes out "
            "by ignore=('mesh',)."
        )
    return path


def _color(element: Element, whose: str, colors: Mapping[str, Element]) -> tuple[float, ...] | None:
    """Of the element's own material, or of that of the same name for the whole robot."""
    material = element.find("material")
    if material is None:
        return None
    if material.find("color") is None:
        material = colors.get(material.get("name", ""), material)
    color = material.find("color")
    return None if color is None else tuple(float(x) for x in numbers(color, "rgba", 4, whose, ""))
