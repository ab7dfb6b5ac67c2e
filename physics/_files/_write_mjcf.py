"""Mechanisms as MJCF."""

import os
from collections.abc import Mapping, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import numpy as np

from .._mechanism import JointPlace, Mechanism
from .._shapes import AbstractShape
from .._spatial import Inertia, inertia_of_ten
from ._write_shapes import text, write_shape

FREE = ("slide", "slide", "slide", "ball")


def write_mjcf(
    mechanism: Mechanism,
    path: str | os.PathLike[str] | None = None,
    *,
    shapes: Mapping[str, Sequence[AbstractShape]] | None = None,
) -> str:
    """The text of an MJCF model that MuJoCo compiles to this mechanism; also written to `path`, if there is one.

    - `shapes`: for names of bodies and for "world", geoms that are drawn and touch nothing.
    - A joint with several degrees of freedom that MuJoCo does not have becomes several, "shoulder_0", "shoulder_1".
    - MuJoCo goes down each branch before the next one: where the bodies of the mechanism are in another order,
      coordinates in MuJoCo are in that order, too.

    Limits and dry friction are constraints in MuJoCo. Raises ValueError for what it cannot express: screws, springs of
    balls that are relaxed elsewhere than at rest, a ball with three different dampings, bodies that move without mass.
    """
    topology = mechanism.topology
    model = Element("mujoco", model="kinax")
    SubElement(model, "compiler", angle="radian", autolimits="true", inertiafromgeom="false")
    SubElement(model, "option", gravity=text(mechanism.gravity))
    assets, world = SubElement(model, "asset"), SubElement(model, "worldbody")
    elements = {"world": world}
    writer = _Joints(mechanism)
    own = mechanism.inertia if isinstance(mechanism.inertia, Inertia) else inertia_of_ten(mechanism.inertia.ten())
    for k, name in enumerate(topology.names):
        parent = topology.parents[k]
        element = SubElement(elements["world" if parent < 0 else topology.names[parent]], "body", name=name)
        elements[name] = element
        pose = np.concatenate([np.asarray(mechanism.position[k]), np.asarray(mechanism.orientation[k])])
        joints = [joint for joint in topology.joints if joint.body == k]
        if [joint.kinds for joint in joints] == [FREE] and parent < 0:
            pose = np.asarray(mechanism.rest[topology.q_of(joints[0].name)])
            writer.free(element, joints[0], pose, np.asarray(mechanism.position[k]))
        else:
            for joint in joints:
                writer.several(element, joint)
        element.attrib |= {"pos": text(pose[:3]), "quat": text(pose[3:])}
        _inertial(element, *(np.asarray(x[k], float) for x in (own.mass, own.center, own.moments)))
    for name, some in (shapes or {}).items():
        if name not in elements:
            raise ValueError(f"There are shapes of {name!r}, which is no body. There are: {', '.join(elements)}.")
        for shape in some:
            write_shape(elements[name], assets, shape)
    _refuse_massless(mechanism, own)
    ElementTree.indent(model)
    written = ElementTree.tostring(model, encoding="unicode") + "\n"
    if path is not None:
        with open(path, "w", encoding="utf-8") as file:
            file.write(written)
    return written


class _Joints:
    """Writes joints one after the other, in the order in which their numbers lie in the mechanism's arrays."""

    def __init__(self, mechanism: Mechanism) -> None:
        self._mechanism = mechanism
        self._count = {"slide": 0, "hinge": 0, "ball": 0}
        limited = np.asarray(mechanism.masks.limited).tolist()
        lower, upper = np.asarray(mechanism.lower), np.asarray(mechanism.upper)
        masks = mechanism.masks
        self._stiffness = np.append(np.asarray(mechanism.stiffness), 0)[np.asarray(masks.spring_of_v)]
        self._springref = np.asarray(mechanism.rest.at[masks.spring_q].set(mechanism.springref))
        self._limits = {int(v): (float(lower[k]), float(upper[k])) for k, v in enumerate(limited)}

    def several(self, body: Element, joint: JointPlace) -> None:
        """Each element of a joint as a joint of its own."""
        topology = self._mechanism.topology
        q, v = topology.q_of(joint.name).start, topology.v_of(joint.name).start
        for k, (kind, is_screw) in enumerate(zip(joint.kinds, joint.screws, strict=True)):
            name = joint.name if len(joint.kinds) == 1 else f"{joint.name}_{k}"
            if is_screw:
                raise ValueError(f"The joint {joint.name!r} is a screw, which MJCF does not have.")
            nq, nv = (4, 3) if kind == "ball" else (1, 1)
            self._element(SubElement(body, "joint", name=name, type=kind), kind, slice(q, q + nq), slice(v, v + nv))
            q, v = q + nq, v + nv

    def free(self, body: Element, joint: JointPlace, pose: np.ndarray, position: np.ndarray) -> None:
        """A free joint, whose axes are the world's."""
        made, topology = self._mechanism, self._mechanism.topology
        first = self._count["slide"]
        axes = np.asarray(made.slide_axis[first : first + 3])
        anchor = np.asarray(made.anchor[_hinges(made) + self._count["ball"]])
        if np.any(axes != np.eye(3)) or np.any(anchor != 0) or np.any(position != pose[:3]):
            raise ValueError(f"The joint {joint.name!r} is free, but not in the axes of the world and of its body.")
        self._count["slide"] += 3
        self._count["ball"] += 1
        element = SubElement(body, "joint", name=joint.name, type="free")
        self._constants(element, topology.v_of(joint.name), topology.q_of(joint.name), pose)

    def _element(self, element: Element, kind: str, q: slice, v: slice) -> None:
        made, k = self._mechanism, self._count[kind]
        self._count[kind] += 1
        if kind == "ball":
            element.set("pos", text(made.anchor[_hinges(made) + k]))
            self._constants(element, v, q, np.eye(4)[0])
            return
        element.set("axis", text((made.hinge_axis if kind == "hinge" else made.slide_axis)[k]))
        if kind == "hinge":
            element.set("pos", text(made.anchor[k]))
        element.set("ref", text(made.rest[q]))
        element.set("springref", text(self._springref[q]))
        self._constants(element, v, q, self._springref[q])
        if v.start in self._limits:
            element.set("range", text(self._limits[v.start]))

    def _constants(self, element: Element, v: slice, q: slice, relaxed: np.ndarray) -> None:
        """What MuJoCo has once for a joint."""
        made = self._mechanism
        for ours, theirs, all_ in (
            ("armature", "armature", made.armature),
            ("damping", "damping", made.damping),
            ("stiffness", "stiffness", self._stiffness),
            ("friction", "frictionloss", made.friction),
        ):
            values = np.asarray(all_[v])
            if np.any(values != values[0]):
                raise ValueError(
                    f"The joint {element.get('name')!r} has {ours} {values}: in MJCF a joint with several degrees of "
                    "freedom has one number for all."
                )
            if values[0] != 0:
                element.set(theirs, text(values[:1]))
        moved = np.any(self._springref[q] != relaxed)
        if "stiffness" in element.attrib and moved:
            raise ValueError(
                f"The spring of {element.get('name')!r} is relaxed elsewhere than at rest: not so in MJCF."
            )


def _hinges(mechanism: Mechanism) -> int:
    """How many hinges come before the balls among the anchors."""
    return mechanism.hinge_axis.shape[0]


def _inertial(body: Element, mass: np.ndarray, center: np.ndarray, six: np.ndarray) -> None:
    """The principal moments, which MuJoCo takes as they are; its own reduction would lose digits."""
    if mass == 0:
        return
    xx, xy, yy, xz, yz, zz = six
    matrix = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    moments, axes = np.linalg.eigh(matrix)
    axes = axes * np.linalg.det(axes)
    element = SubElement(body, "inertial", pos=text(center), mass=text([mass]))
    element.attrib |= {"diaginertia": text(np.maximum(moments, 0)), "quat": text(_quaternion(axes))}


def _quaternion(matrix: np.ndarray) -> np.ndarray:
    """Of a rotation, as the first eigenvector of a matrix (4, 4): good for every angle."""
    (a, b, c), (d, e, f), (g, h, i) = matrix
    symmetric = [
        [a + e + i, h - f, c - g, d - b],
        [h - f, a - e - i, b + d, c + g],
        [c - g, b + d, e - a - i, f + h],
        [d - b, c + g, f + h, i - a - e],
    ]
    return np.linalg.eigh(np.array(symmetric))[1][:, -1]


def _refuse_massless(mechanism: Mechanism, own: Inertia) -> None:
    """MuJoCo wants some mass in what each joint moves first: a body and those that are fixed to it."""
    topology = mechanism.topology
    moving = {joint.body for joint in topology.joints}
    leader = list(range(topology.nb))
    for k, parent in enumerate(topology.parents):
        leader[k] = k if k in moving or parent < 0 else leader[parent]
    mass, trace = np.asarray(own.mass), np.asarray(own.moments)[:, [0, 2, 5]].min(axis=1)
    for k in sorted(moving):
        group = [i for i in range(topology.nb) if leader[i] == k]
        if not any(mass[i] > 0 and trace[i] > 0 for i in group):
            raise ValueError(
                f"The body {topology.names[k]!r} moves without mass and moments of inertia of its own, which MuJoCo "
                "refuses: give it some, or make its joint one of the next body's joints."
            )
