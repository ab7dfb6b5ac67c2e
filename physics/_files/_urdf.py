"""Robots in the Unified Robot Description Format (URDF)."""

import os
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

import numpy as np

from .._mechanism import AbstractJoint, Body, Fixed, Free, Hinge, Mechanism, mechanism, Passive, Planar, Slide
from .._spatial import Inertia
from ._urdf_elements import name_of, number, numbers, origin, part
from ._xml import parse_xml, text_of

KINDS = ("revolute", "continuous", "prismatic", "fixed", "floating", "planar")
IGNORABLE = ("mimic",)


def read_urdf(
    source: str | os.PathLike[str],
    *,
    root: AbstractJoint | None = None,
    gravity: Any = (0.0, 0.0, -9.81),
    ignore: Sequence[str] = (),
) -> Mechanism:
    r"""The `Mechanism` that a URDF file describes.

        arm = read_urdf("arm.urdf")
        walker = read_urdf("walker.urdf", root=Free())

    - `source`: a path, or the text itself. `root`: how the first link is joined with the world; fixed by default.
    - Bodies have the names and the order of the links, moved where needed so that parents come first; joints have their
      names. A first link that is called "world" is the world.
    - Joints: revolute and continuous (`Hinge`), prismatic (`Slide`), planar (`Planar`, normal to the axis), fixed,
      floating (`Free`, below a fixed first link only). `limit`, `damping` and `friction` become `Passive`; limits of
      effort and velocity, and elements that robots' software adds, say nothing about motion and are not read.
      A revolute joint without `lower` and `upper` has no limits.
    - A link without `inertial` has no mass.
    - `ignore=("mimic",)`: joints that copy another's position move freely; otherwise they are refused.

    Raises ValueError, with the element's name, for what is not well-formed, not a tree, not physical or not known, and
    for files with a document type (which may attack a reader). Nothing else than the given file is opened.

    Source: http://wiki.ros.org/urdf/XML
    """
    unknown = sorted(set(ignore) - set(IGNORABLE))
    if unknown:
        raise ValueError(f"ignore may hold {', '.join(map(repr, IGNORABLE))}; got {', '.join(map(repr, unknown))}.")
    robot = parse_xml(text_of(source), "The URDF file")
    if robot.tag != "robot":
        raise ValueError(f"A URDF file has the root element <robot>, this one has <{robot.tag}>.")
    _refuse_macros(robot)
    links = {name_of(link): link for link in _unique(robot.findall("link"), "links")}
    joints = [_Joint.of(element, links, ignore) for element in _unique(robot.findall("joint"), "joints")]
    above = _parents(joints, links)
    first = _first(links, above)
    is_world = first == "world"
    root = Fixed() if root is None else root
    if is_world and not isinstance(root, Fixed):
        raise ValueError("The first link is called 'world', which does not move: rename it, or leave out `root`.")
    bodies = []
    for name, link in links.items():
        if name != first:
            bodies.append(_body(link, above[name], first, root))
        elif not is_world:
            bodies.append(Body(name, joint=root, inertia=_inertia(link)))
    if not bodies:
        raise ValueError("The URDF file has no link besides 'world'.")
    return mechanism(*bodies, gravity=gravity)


class _Joint(NamedTuple):
    """What a joint's element says."""

    name: str
    kind: str
    parent: str
    child: str
    position: np.ndarray
    orientation: np.ndarray
    axis: np.ndarray
    passive: Passive

    @staticmethod
    def of(element: Element, links: dict[str, Element], ignore: Sequence[str]) -> "_Joint":
        name = name_of(element)
        whose = f"joint {name!r}"
        kind = element.get("type", "")
        if kind not in KINDS:
            raise ValueError(f"The {whose} has the type {kind!r}, which is none of {', '.join(KINDS)}.")
        mimic = element.find("mimic")
        if mimic is not None and "mimic" not in ignore:
            raise ValueError(
                f"The {whose} mimics {mimic.get('joint')!r}: kinax has no such coupling. Let it move freely by "
                "ignore=('mimic',)."
            )
        parent, child = (part(element, end, whose).get("link", "") for end in ("parent", "child"))
        for link in (parent, child):
            if link not in links:
                raise ValueError(f"The {whose} is about the link {link!r}, which is not in the file.")
        position, orientation = origin(element, whose)
        axis = element.find("axis")
        return _Joint(
            name,
            kind,
            parent,
            child,
            position,
            orientation,
            np.array([1.0, 0.0, 0.0]) if axis is None else numbers(axis, "xyz", 3, whose, "1 0 0"),
            _passive(element, kind, whose),
        )

    def as_joint(self) -> AbstractJoint:
        match self.kind:
            case "revolute" | "continuous":
                return Hinge(axis=self.axis, passive=self.passive, name=self.name)
            case "prismatic":
                return Slide(axis=self.axis, passive=self.passive, name=self.name)
            case "planar":
                first, second = _in_plane(self.axis, self.name)
                return Planar(first=first, second=second, passive=self.passive, name=self.name)
            case "floating":
                return Free(passive=self.passive, name=self.name)
            case _:
                return Fixed()


def _body(link: Element, joint: _Joint, first: str, root: AbstractJoint) -> Body:
    parent = joint.parent
    if joint.kind == "floating":
        if joint.parent != first or not isinstance(root, Fixed):
            raise ValueError(
                f"The joint {joint.name!r} is floating and hangs on the link {joint.parent!r}, which is not fixed to "
                "the world. Only such links may float; make it three prismatic joints and three continuous ones."
            )
        parent = "world"
    return Body(
        name_of(link),
        parent=parent,
        joint=joint.as_joint(),
        position=joint.position,
        orientation=joint.orientation,
        inertia=_inertia(link),
    )


def _inertia(link: Element) -> Inertia:
    whose = f"link {name_of(link)!r}"
    inertial = link.find("inertial")
    if inertial is None:
        return Inertia(0.0)
    position, orientation = origin(inertial, whose)
    mass = number(part(inertial, "mass", whose), "value", whose, None)
    element = part(inertial, "inertia", whose)
    six = {name: number(element, name, whose, 0.0) for name in ("ixx", "ixy", "ixz", "iyy", "iyz", "izz")}
    matrix = np.array([[six["i" + "".join(sorted(a + b))] for b in "xyz"] for a in "xyz"])
    turn = _matrix(orientation)
    try:
        return Inertia(mass, position, turn @ matrix @ turn.T)
    except ValueError as error:
        raise ValueError(f"The inertial of {whose} cannot be: {error}") from error


def _passive(element: Element, kind: str, whose: str) -> Passive:
    dynamics, limit = element.find("dynamics"), element.find("limit")
    limits = None
    if limit is not None and kind in ("revolute", "prismatic") and ("lower" in limit.attrib or "upper" in limit.attrib):
        limits = (number(limit, "lower", whose, 0.0), number(limit, "upper", whose, 0.0))
    if dynamics is None:
        return Passive(limits=limits)
    return Passive(
        damping=number(dynamics, "damping", whose, 0.0),
        friction=number(dynamics, "friction", whose, 0.0),
        limits=limits,
    )


def _parents(joints: Iterable[_Joint], links: dict[str, Element]) -> dict[str, _Joint]:
    above: dict[str, _Joint] = {}
    for joint in joints:
        if joint.child in above:
            raise ValueError(
                f"The link {joint.child!r} is the child of two joints, {above[joint.child].name!r} and {joint.name!r}: "
                "loops are not read."
            )
        above[joint.child] = joint
    return above


def _first(links: dict[str, Element], above: dict[str, _Joint]) -> str:
    if not links:
        raise ValueError("The URDF file has no <link>.")
    firsts = [name for name in links if name not in above]
    if not firsts:
        raise ValueError(f"The links hang on each other in a circle: {', '.join(map(repr, links))}.")
    if len(firsts) > 1:
        raise ValueError(
            f"The links {', '.join(map(repr, firsts))} are no joint's child; only one may be: join the others to it."
        )
    return firsts[0]


def _matrix(quaternion: np.ndarray) -> np.ndarray:
    w, v = quaternion[0], quaternion[1:]
    cross = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.eye(3) + 2 * w * cross + 2 * cross @ cross


def _in_plane(normal: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Two directions whose cross product is `normal`; y and z for x, z and x for y, x and y for z."""
    length = np.linalg.norm(normal)
    if not length > 1e-12:
        raise ValueError(f"The joint {name!r} has the axis {normal}, which has no direction.")
    normal = normal / length
    start = np.roll(np.eye(3)[np.argmax(np.abs(normal))], 1)
    first = start - (start @ normal) * normal
    first = first / np.linalg.norm(first)
    return first, np.cross(normal, first)


def _refuse_macros(robot: Element) -> None:
    macro = next((element.tag for element in robot.iter() if element.tag.startswith("xacro:")), None)
    if macro is not None:
        raise ValueError(f"The file holds the macro <{macro}>: expand it first, by `xacro robot.xacro > robot.urdf`.")


def _unique(elements: Sequence[Element], what: str) -> Sequence[Element]:
    names = [name_of(element) for element in elements]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"Names of {what} clash: {', '.join(map(repr, twice))}. Each name may be used once.")
    return elements
