"""Robots in MuJoCo's format, through MuJoCo's own compiler."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...solvers._types import as_parameter
from .._forces import AbstractForce, GravityCompensation, inertia_box_drag
from .._mechanism import AbstractJoint, Ball, Body, Free, Hinge, JointState, Mechanism, mechanism, Passive, Slide
from .._spatial import Inertia
from ._mjcf_actuators import reflected, wired
from ._mjcf_shapes import shapes_of
from ._names import among, names_of
from ._robot import Keyframe, Robot
from ._unsupported import enabled, refuse_unsupported


def read_mjcf(source: str | os.PathLike[str] | Any, *, ignore: Sequence[str] = ()) -> Robot:
    r"""The robot that an MJCF file (or anything else that MuJoCo compiles) describes.

        robot = read_mjcf("humanoid.xml", ignore=("contact", "limit"))
        robot.mechanism.mass_matrix(q)

    - `source`: a path (.xml, .urdf, .mjb), the text itself, or a `mujoco.MjModel`.
    - `ignore`: what to leave out knowingly. MuJoCo simulates more than this function reads: contacts, limits, dry
      friction and equalities as constraints, tendons with springs, muscles, plugins, soft bodies, ... A ValueError
      names whatever the model has of these, and the words for `ignore`. What only looks or measures (geoms, cameras,
      lights, sensors) is left out without a word. An actuator that is ignored keeps its place among the controls, and
      pulls at nothing. Limits and dry friction are kept in the mechanism: `SoftLimits` and `DryFriction` use them.

    Bodies, joints and actuators keep MuJoCo's names and order, so that `q`, `v`, `act` and the controls are MuJoCo's
    `qpos`, `qvel`, `act` and `ctrl`; those without a name are called "body_3", "joint_0". Forces are the `Actuators`
    (first, if there are any), `GravityCompensation` and `InertiaBoxDrag`; springs and dampers of joints are in the
    mechanism. Switches (`<flag gravity="disable"/>`, spring, damper, actuation, clampctrl) are obeyed.

    Needs MuJoCo, `pip install mujoco`; versions 3.17 and 4.0 are tested. Source: https://mujoco.readthedocs.io
    """
    try:
        import mujoco  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("read_mjcf needs MuJoCo's compiler: pip install mujoco (or mujoco-core).") from error
    model = _compiled(mujoco, source)
    refuse_unsupported(mujoco, model, tuple(ignore))
    made = _mechanism(mujoco, model)
    return Robot(
        mechanism=made,
        forces=_forces(mujoco, model, made),
        dt=float(model.opt.timestep),
        keyframes=_keyframes(mujoco, model),
        shapes=shapes_of(mujoco, model),
    )


def _compiled(mujoco: Any, source: Any) -> Any:
    if isinstance(source, mujoco.MjModel):
        return source
    if isinstance(source, str) and source.lstrip().startswith("<"):
        return mujoco.MjModel.from_xml_string(source)
    path = os.fspath(source)
    if not os.path.isfile(path):
        raise FileNotFoundError(f"There is no file {path!r}.")
    return (mujoco.MjModel.from_binary_path if path.endswith(".mjb") else mujoco.MjModel.from_xml_path)(path)


def _mechanism(mujoco: Any, m: Any) -> Mechanism:
    bodies = names_of(mujoco, m, "body", m.nbody)
    joints = names_of(mujoco, m, "joint", m.njnt)
    armature, damping = reflected(mujoco, m)
    made = []
    for k in range(1, m.nbody):
        first = int(m.body_jntadr[k])
        ids = range(first, first + int(m.body_jntnum[k]))
        made.append(
            Body(
                bodies[k],
                parent="world" if m.body_parentid[k] == 0 else bodies[m.body_parentid[k]],
                joint=tuple(_joint(mujoco, m, j, joints[j], armature, damping) for j in ids),
                position=np.array(m.body_pos[k]),
                orientation=np.array(m.body_quat[k]),
                inertia=_inertia(mujoco, m, k),
            )
        )
    if not made:
        raise ValueError("The model has no body besides the world.")
    return mechanism(*made, gravity=np.array(m.opt.gravity) if enabled(mujoco, m, "gravity") else np.zeros(3))


def _joint(mujoco: Any, m: Any, j: int, name: str, armature: np.ndarray, damping: np.ndarray) -> AbstractJoint:
    kind, kinds = m.jnt_type[j], mujoco.mjtJoint
    nq, nv = {int(kinds.mjJNT_FREE): (7, 6), int(kinds.mjJNT_BALL): (4, 3)}.get(int(kind), (1, 1))
    dofs = slice(int(m.jnt_dofadr[j]), int(m.jnt_dofadr[j]) + nv)
    coordinates = slice(int(m.jnt_qposadr[j]), int(m.jnt_qposadr[j]) + nq)
    limited = bool(m.jnt_limited[j]) and nv == 1
    stiffness = float(m.jnt_stiffness[j]) * enabled(mujoco, m, "spring")
    passive = Passive(
        armature=armature[dofs],
        damping=damping[dofs] * enabled(mujoco, m, "damper"),
        stiffness=stiffness if stiffness else None,
        friction=np.array(m.dof_frictionloss[dofs]),
        springref=np.array(m.qpos_spring[coordinates]) if stiffness else None,
        limits=tuple(float(x) for x in m.jnt_range[j]) if limited else None,
    )
    axis, anchor, reference = np.array(m.jnt_axis[j]), np.array(m.jnt_pos[j]), float(m.qpos0[coordinates][0])
    if among(kind, kinds.mjJNT_FREE):
        return Free(passive=passive, name=name)
    if among(kind, kinds.mjJNT_BALL):
        return Ball(anchor=anchor, passive=passive, name=name)
    if among(kind, kinds.mjJNT_SLIDE):
        return Slide(axis=axis, passive=passive, name=name, reference=reference)
    return Hinge(axis=axis, anchor=anchor, passive=passive, name=name, reference=reference)


def _inertia(mujoco: Any, m: Any, k: int) -> Inertia:
    if m.body_mass[k] == 0:
        return Inertia(0.0)
    turn = np.zeros(9)
    mujoco.mju_quat2Mat(turn, np.array(m.body_iquat[k]))
    turn = turn.reshape(3, 3)
    moments = (turn * np.array(m.body_inertia[k])[None]) @ turn.T
    return Inertia(float(m.body_mass[k]), np.array(m.body_ipos[k]), (moments + moments.T) / 2)


def _forces(mujoco: Any, m: Any, made: Mechanism) -> tuple[AbstractForce, ...]:
    forces: list[AbstractForce] = []
    if m.nu and enabled(mujoco, m, "actuation"):
        forces.append(wired(mujoco, m, made))
    if enabled(mujoco, m, "spring") or enabled(mujoco, m, "damper"):  # without both, MuJoCo leaves these out too
        if np.any(m.body_gravcomp):
            forces.append(GravityCompensation(np.array(m.body_gravcomp[1:])))
        density, viscosity = float(m.opt.density), float(m.opt.viscosity)
        if density > 0 or viscosity > 0:
            wind = np.array(m.opt.wind)
            forces.append(inertia_box_drag(made, density=density, viscosity=viscosity, wind=wind))
    return tuple(forces)


def _keyframes(mujoco: Any, m: Any) -> dict[str, Keyframe]:
    names = names_of(mujoco, m, "key", m.nkey)
    numbers = lambda x: as_parameter(np.array(x))
    return {
        name: Keyframe(
            JointState(numbers(m.key_qpos[k]), numbers(m.key_qvel[k]), numbers(m.key_act[k])), numbers(m.key_ctrl[k])
        )
        for k, name in enumerate(names)
    }
