"""URDF read and MJCF written, without any peer; attacks, mistakes."""

import pathlib
import struct
import sys
from xml.etree import ElementTree

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import (
    Ball,
    Body,
    Box,
    Cylinder,
    Fixed,
    Free,
    Hinge,
    Inertia,
    mechanism,
    Mesh,
    Passive,
    read_mjcf,
    read_urdf,
    Screw,
    Sphere,
    urdf_shapes,
    write_mjcf,
)
from scipy.spatial.transform import Rotation

ROBOTS = pathlib.Path(__file__).parent / "robots"

SOLID = '<inertial><mass value="1"/><inertia ixx="1" iyy="1" izz="1"/></inertial>'


def robot(*elements: str) -> str:
    """A base, a link, and whatever else."""
    return f'<robot name="r"><link name="base"/><link name="link">{SOLID}</link>{"".join(elements)}</robot>'


def joint(inside: str = "", kind: str = "revolute", child: str = "link", name: str = "j", parent: str = "base") -> str:
    ends = f'<parent link="{parent}"/><child link="{child}"/>'
    return f'<joint name="{name}" type="{kind}">{ends}{inside}</joint>'


def numbers(element: ElementTree.Element | None, key: str, default: str = "0 0 0") -> np.ndarray:
    return np.array([float(x) for x in (default if element is None else element.get(key, default)).split()])


def matrix_of(element: ElementTree.Element) -> np.ndarray:
    """The pose (4, 4) of an origin, by SciPy."""
    origin, pose = element.find("origin"), np.eye(4)
    pose[:3, :3] = Rotation.from_euler("xyz", numbers(origin, "rpy")).as_matrix()
    pose[:3, 3] = numbers(origin, "xyz")
    return pose


def ends_of(element: ElementTree.Element) -> tuple[str, str]:
    parent, child = (element.find(end) for end in ("parent", "child"))
    assert parent is not None and child is not None
    return parent.attrib["link"], child.attrib["link"]


def poses_there(name: str, base: np.ndarray, q: dict[str, float]) -> dict[str, np.ndarray]:
    """Poses (4, 4) of the links, written a second time: matrices along the chain."""
    joints = ElementTree.parse(ROBOTS / f"{name}.urdf").getroot().findall("joint")
    ends = [ends_of(element) for element in joints]
    (first,) = {parent for parent, _ in ends} - {child for _, child in ends}
    poses = {first: base}
    while len(poses) <= len(joints):
        for element, (parent, child) in zip(joints, ends, strict=True):
            if parent in poses:
                axis, own = numbers(element.find("axis"), "xyz", "1 0 0"), np.eye(4)
                axis, x = axis / np.linalg.norm(axis), q.get(element.attrib["name"], 0.0)
                if element.get("type") == "prismatic":
                    own[:3, 3] = axis * x
                else:
                    own[:3, :3] = Rotation.from_rotvec(axis * x).as_matrix()
                poses[child] = poses[parent] @ matrix_of(element) @ own
    return poses


@pytest.mark.parametrize("name, root", [("arm", Fixed()), ("tree", Fixed()), ("walker", Free())])
def test_kinematics(name, root):
    made = read_urdf(ROBOTS / f"{name}.urdf", root=root)
    topology, generator = made.topology, np.random.default_rng(1)
    q = made.retract(made.rest, jnp.asarray(generator.normal(size=topology.nv)))
    values = {j.name: float(q[topology.q_of(j.name)][0]) for j in topology.joints if len(j.kinds) == 1}
    base = np.eye(4)
    if isinstance(root, Free):
        base[:3, 3] = q[:3]
        base[:3, :3] = Rotation.from_quat(np.asarray(q[3:7]), scalar_first=True).as_matrix()
    expected = poses_there(name, base, values)
    found = jax.jit(lambda q: made.poses(q))(q)
    for k, link in enumerate(topology.names):
        np.testing.assert_allclose(found.position[k], expected[link][:3, 3], atol=1e-12)
        turn = Rotation.from_quat(np.asarray(found.orientation[k]), scalar_first=True).as_matrix()
        np.testing.assert_allclose(turn, expected[link][:3, :3], atol=1e-12)


def test_what_a_file_says():
    arm = read_urdf(ROBOTS / "arm.urdf", gravity=(0, 0, -1.6))
    root = ElementTree.parse(ROBOTS / "arm.urdf").getroot()
    assert arm.topology.names == tuple(link.get("name") for link in root.findall("link"))
    assert [j.name for j in arm.topology.joints] == [f"j{k}" for k in range(1, 8)]
    np.testing.assert_allclose(arm.lower, [-2.9, -1.8, -2.9, -3.0, -2.9, 0.0])
    np.testing.assert_allclose(arm.damping, [0.5, 0.4, 0.3, 0.3, 0.1, 0.1, 0.05])
    np.testing.assert_allclose(arm.friction, [0.1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(arm.gravity, [0, 0, -1.6])
    assert isinstance(arm.inertia, Inertia)
    for k, link in enumerate(root.findall("link")):
        inertial = link.find("inertial")
        if inertial is None:
            np.testing.assert_allclose(arm.inertia.ten()[:, k], 0)
            continue
        pose = matrix_of(inertial)
        inertia = inertial.find("inertia")
        assert inertia is not None
        xx, xy, xz, yy, yz, zz = (float(x) for x in inertia.attrib.values())
        own = pose[:3, :3] @ np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]) @ pose[:3, :3].T
        np.testing.assert_allclose(arm.inertia.center[k], pose[:3, 3], atol=1e-15)
        np.testing.assert_allclose(arm.inertia.moments[k], own[[0, 0, 1, 0, 1, 2], [0, 1, 1, 2, 2, 2]], atol=1e-15)


def test_joints_of_all_types():
    axis, origin = '<axis xyz="0 2 0"/>', '<origin xyz="0 0 1"/>'
    planar = read_urdf(robot(joint(axis + origin, "planar")))
    np.testing.assert_allclose(planar.slide_axis, [[0, 0, 1], [1, 0, 0]])
    np.testing.assert_allclose(planar.hinge_axis, [[0, 1, 0]])
    assert [j.kinds for j in planar.topology.joints] == [("slide", "slide", "hinge")]
    floating = read_urdf(robot(joint(origin, "floating")))
    assert floating.topology.nv == 6 and floating.topology.parents == (-1, -1)
    np.testing.assert_allclose(floating.rest, [0, 0, 1, 1, 0, 0, 0])
    free = '<limit effort="1" velocity="1"/>'
    assert read_urdf(robot(joint(free))).lower.shape == (0,)
    world = read_urdf(
        f'<robot name="r"><link name="world"/><link name="link">{SOLID}</link>{joint(parent="world")}</robot>'
    )
    assert world.topology.names == ("link",)
    grip = joint() + joint('<mimic joint="j"/>', name="k", child="tip")
    grip = robot(grip, f'<link name="tip">{SOLID}</link>')
    with pytest.raises(ValueError, match="joint 'k' mimics 'j'"):
        read_urdf(grip)
    assert read_urdf(grip, ignore=("mimic",)).topology.nv == 2


BAD = {
    "not XML": ("<robot", "not well-formed"),
    "another format": ("<mujoco/>", "root element <robot>, this one has <mujoco>"),
    "macro": (robot('<xacro:property name="x"/>'), "macro <xacro:property>"),
    "empty": ('<robot name="r"/>', "no <link>"),
    "no name": (robot("<link/>"), "<link> has no name"),
    "links clash": (robot('<link name="link"/>'), "Names of links clash: 'link'"),
    "joints clash": (robot(joint(), joint()), "Names of joints clash: 'j'"),
    "unknown type": (robot(joint(kind="screw")), "joint 'j' has the type 'screw'"),
    "no child": (robot('<joint name="j" type="fixed"><parent link="base"/></joint>'), "joint 'j' .* without <child>"),
    "missing link": (robot(joint(child="leg")), "joint 'j' is about the link 'leg'"),
    "two parents": (robot(joint(), joint(name="k")), "'link' is the child of two joints, 'j' and 'k'"),
    "circle": (robot(joint(), joint(name="k", parent="link", child="base")), "in a circle: 'base', 'link'"),
    "two roots": (robot(), "'base', 'link' are no joint's child"),
    "zero axis": (robot(joint('<axis xyz="0 0 0"/>')), "j.*no direction"),
    "zero normal": (robot(joint('<axis xyz="0 0 0"/>', "planar")), "'j' has the axis .* no direction"),
    "swapped limits": (robot(joint('<limit lower="1" upper="-1"/>')), "Limits of joint 'j' are swapped"),
    "two numbers": (robot(joint('<origin xyz="0 1"/>')), "'j' has a <origin> with xyz='0 1', expected 3"),
    "not a number": (robot(joint('<axis xyz="0 1 x"/>')), "'j' has a <axis> with xyz='0 1 x'"),
    "infinite": (robot(joint('<origin xyz="0 0 inf"/>')), "'j' has a <origin>"),
    "no mass": (robot('<link name="l"><inertial/></link>', joint(), joint(child="l", name="k")), "link 'l' .* <mass>"),
    "floats on what moves": (
        robot(joint(), '<link name="l"/>', joint(kind="floating", child="l", name="k", parent="link")),
        "joint 'k' is floating and hangs on the link 'link'",
    ),
    "not physical": (
        robot(joint(), joint(child="l", name="k"), f'<link name="l">{SOLID.replace("iyy", "ixy")}</link>'),
        "inertial of link 'l' cannot be: No rigid body",
    ),
    "moves no mass": (robot(joint(), joint(child="l", name="k"), '<link name="l"/>'), "joint 'k' moves no mass"),
}


@pytest.mark.parametrize("name", BAD)
def test_mistakes_are_named(name):
    text, message = BAD[name]
    with pytest.raises(ValueError, match=message):
        read_urdf(text)


def test_other_mistakes():
    with pytest.raises(ValueError, match="ignore may hold 'mimic'; got 'limit'"):
        read_urdf(robot(joint()), ignore=("limit",))
    with pytest.raises(FileNotFoundError, match="nothing.urdf"):
        read_urdf("nothing.urdf")
    with pytest.raises(ValueError, match="called 'world', which does not move"):
        read_urdf(ROBOTS / "tree.urdf", root=Free())


BOMB = "".join(f'<!ENTITY e{k + 1} "{f"&e{k};" * 10}">' for k in range(12))


@pytest.mark.parametrize("read", [read_urdf, urdf_shapes])
@pytest.mark.parametrize(
    "declaration",
    [
        f'<!DOCTYPE robot [<!ENTITY e0 "ha">{BOMB}]>',
        '<!DOCTYPE robot [<!ENTITY e12 SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE robot SYSTEM "http://127.0.0.1:9/robot.dtd">',
        '<!DOCTYPE robot [<!ENTITY % p SYSTEM "file:///etc/hostname"> %p;]>',
    ],
    ids=["bomb", "file", "type", "parameter"],
)
def test_attacks_are_refused(read, declaration, tmp_path):
    path = tmp_path / "robot.urdf"
    path.write_text(f'<?xml version="1.0"?>{declaration}<robot name="&e12;"><link name="a"/></robot>')
    with pytest.raises(ValueError, match="document type"):
        read(path)
    with pytest.raises(ValueError, match="not well-formed"):  # entities that nobody declared
        read('<robot name="&e12;"/>')


def test_mujoco_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ImportError, match="pip install mujoco"):
        read_mjcf("robot.xml")


def stl(triangles: np.ndarray) -> bytes:
    records = b"".join(struct.pack("<12fH", *np.zeros(3), *corners.ravel(), 0) for corners in triangles)
    return b"solid but binary".ljust(80) + struct.pack("<I", len(triangles)) + records


CORNERS = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])


def seen(geometry: str, *more: str) -> str:
    return robot(f'<link name="l"><visual>{geometry}</visual>{"".join(more)}</link>')


def mesh(name: str, rest: str = "") -> str:
    return seen(f'<geometry><mesh filename="{name}" {rest}/></geometry>')


def test_shapes():
    origin = '<origin xyz="1 2 3" rpy="0 0 1.5707963267948966"/>'
    paint = '<material name="blue"/>'
    text = seen(
        f'{origin}<geometry><box size="2 4 6"/></geometry>{paint}',
        '<visual><geometry><cylinder radius="1" length="4"/></geometry>',
        '<material name="own"><color rgba="1 0 0 1"/></material></visual>',
        '<collision><geometry><sphere radius="9"/></geometry></collision>',
    ).replace("<link", '<material name="blue"><color rgba="0 0 1 0.5"/></material><link', 1)
    text = text.replace(
        "</robot>", '<link name="c"><collision><geometry><sphere radius="3"/></geometry></collision></link></robot>'
    )
    found = urdf_shapes(text)
    assert list(found) == ["l", "c"]
    box, cylinder = found["l"]
    assert isinstance(box, Box) and isinstance(cylinder, Cylinder) and isinstance(found["c"][0], Sphere)
    np.testing.assert_allclose(box.half_sizes, [1, 2, 3])
    np.testing.assert_allclose(box.position, [1, 2, 3])
    np.testing.assert_allclose(box.orientation, [np.sqrt(0.5), 0, 0, np.sqrt(0.5)])
    np.testing.assert_allclose([cylinder.radius, cylinder.half_length, found["c"][0].radius], [1, 2, 3])
    assert box.color == (0, 0, 1, 0.5) and cylinder.color == (1, 0, 0, 1)


def test_mesh_files(tmp_path):
    folder = tmp_path / "arm" / "meshes"
    folder.mkdir(parents=True)
    (folder / "a.stl").write_bytes(stl(CORNERS[FACES]))
    lines = [f"vertex {x} {y} {z}" for x, y, z in CORNERS[FACES].reshape(-1, 3)]
    (folder / "b.STL").write_text("\n".join(["solid x", *lines, "endsolid"]))
    corners = [f"v {x} {y} {z}" for x, y, z in CORNERS]
    (folder / "c.obj").write_text("\n".join([*corners, "f 1/1 3/2 2", "f 1 2 4", "f -3 -2 -1", "f 3 1 4"]))
    (folder / "d.stl").write_bytes(b"nothing")
    (folder / "e.dae").write_text("")
    path = folder.parent / "urdf" / "arm.urdf"
    path.parent.mkdir()

    def shape(name: str, rest: str = "", **packages: pathlib.Path) -> Mesh:
        path.write_text(mesh(name, rest))
        (found,) = urdf_shapes(path, packages=packages)["l"]
        assert isinstance(found, Mesh)
        return found

    names = ["../meshes/a.stl", "package://arm/meshes/b.STL", f"file://{folder}/c.obj"]
    for found in (*(shape(name) for name in names), shape("package://other/a.stl", other=folder)):
        assert found.vertices.shape == (4, 3) and found.faces.shape == (4, 3)
        np.testing.assert_allclose(found.volume(), 1 / 6)
    mirrored = shape(names[0], 'scale="-1 2 3"')
    np.testing.assert_allclose(mirrored.volume(), 1)
    for name, message in {
        "package://arm/meshes/missing.stl": "link 'l' has the mesh .*missing.stl.* no file",
        "http://x.org/a.stl": "link 'l' has the mesh .* not fetched",
        "../meshes/d.stl": "d.stl.* cannot be read: it holds no triangle",
        "../meshes/e.dae": "link 'l' .* which is not .stl or .obj",
    }.items():
        with pytest.raises(ValueError, match=message):
            shape(name)
        path.write_text(mesh(name))
        assert urdf_shapes(path, ignore=("mesh",)) == {}
    with pytest.raises(ValueError, match="geometry 'cone'"):
        urdf_shapes(seen("<geometry><cone/></geometry>"))
    with pytest.raises(ValueError, match="ignore may hold 'mesh'"):
        urdf_shapes(mesh(""), ignore=("mimic",))


def test_written_mjcf(tmp_path):
    swing = Hinge(axis=(0, 1, 0), reference=0.2, passive=Passive(limits=(-1, 1), friction=0.3))
    made = mechanism(
        Body("a", joint=swing, inertia=Inertia(2.0, moments=(1, 1, 1))), Body("b", parent="a", position=(0, 0, 1))
    )
    path = tmp_path / "a.xml"
    root = ElementTree.fromstring(write_mjcf(made, path, shapes={"b": [Sphere(radius=0.1)]}))
    assert ElementTree.parse(path).getroot().tag == "mujoco"
    element = root.find("worldbody/body/joint")
    assert element is not None and element.attrib == dict(
        name="a",
        type="hinge",
        axis="0.0 1.0 0.0",
        pos="0.0 0.0 0.0",
        ref="0.2",
        springref="0.2",
        frictionloss="0.3",
        range="-1.0 1.0",
    )
    assert [body.get("pos") for body in root.iter("body")] == ["0.0 0.0 0.0", "0.0 0.0 1.0"]
    assert [geom.get("type") for geom in root.findall("worldbody/body/body/geom")] == ["sphere"]
    with pytest.raises(ValueError, match="shapes of 'c', which is no body. There are: world, a, b"):
        write_mjcf(made, shapes={"c": []})


@pytest.mark.parametrize(
    "joint, message",
    [
        (Screw(pitch=0.1, name="s"), "joint 's' is a screw"),
        (Ball(passive=Passive(damping=(1.0, 2.0, 3.0))), "joint 'a' has damping .* one number for all"),
        (Ball(passive=Passive(stiffness=1.0, springref=(0.6, 0.8, 0.0, 0.0))), "spring of 'a' is relaxed elsewhere"),
    ],
    ids=["screw", "damping", "spring"],
)
def test_what_mjcf_cannot_say(joint, message):
    with pytest.raises(ValueError, match=message):
        write_mjcf(mechanism(Body("a", joint=joint, inertia=Inertia(1.0, moments=(1, 1, 1)))))


def test_mjcf_needs_mass_everywhere():
    heavy = Inertia(1.0, moments=(1, 1, 1))
    made = mechanism(Body("a", joint=Hinge()), Body("b", parent="a", joint=Hinge(axis=(1, 0, 0)), inertia=heavy))
    with pytest.raises(ValueError, match="body 'a' moves without mass"):
        write_mjcf(made)
