"""MuJoCo's actuators."""

from typing import Any

import numpy as np

from .._forces import AbstractActivation, Actuators, actuators, Affine, ExactFilter, Filter, FixedTendon, Integrator
from .._mechanism import Mechanism
from ._names import among, field, names_of
from ._unsupported import actuator_count, enabled, has_one_axis, is_affine, is_transmitted


def wired(mujoco: Any, m: Any, made: Mechanism) -> Actuators:
    """All actuators, in their order; those that are switched off or ignored pull at nothing."""
    names = names_of(mujoco, m, "actuator", actuator_count(m))
    listed = [one for k, name in enumerate(names) for one in _actuator(mujoco, m, made, k, name)]
    return actuators(made, *listed)


def reflected(mujoco: Any, m: Any) -> tuple[np.ndarray, np.ndarray]:
    """Armature and damping (nv,) of the degrees of freedom, with what actuators add: that of a motor times gear²."""
    armature, damping = np.array(m.dof_armature), np.array(m.dof_damping)
    for k in range(actuator_count(m)):
        target = int(m.actuator_trnid[k, 0])
        at_joint = is_transmitted(mujoco, m, k) and not among(m.actuator_trntype[k], mujoco.mjtTrn.mjTRN_TENDON)
        if at_joint and has_one_axis(mujoco, m, target):
            dof, square = int(m.jnt_dofadr[target]), float(m.actuator_gear[k, 0]) ** 2
            armature[dof] += square * float(field(m, "actuator_armature", np.zeros(k + 1))[k])
            damping[dof] += square * float(field(m, "actuator_damping", np.zeros(k + 1))[k])
    return armature, damping


def _actuator(mujoco: Any, m: Any, made: Mechanism, k: int, name: str) -> list[Affine]:
    place = int(field(m, "actuator_ctrladr", np.arange(k + 1))[k])
    controls = int(field(m, "actuator_ctrlnum", np.ones(k + 1))[k])
    states = int(m.actuator_actnum[k])
    off = int(m.opt.disableactuator) >> int(m.actuator_group[k]) & 1
    if off or not (is_transmitted(mujoco, m, k) and is_affine(mujoco, m, k)):
        if states > 1 or (states and controls != 1):
            raise ValueError(f"The actuator {name!r} has {states} activations, which kinax cannot leave out.")
        joint = made.topology.joints[0].name
        nothing = np.zeros(made.topology.v_of(joint).stop)
        idle = Integrator() if states else None
        several = [name] if controls == 1 else [f"{name} {i}" for i in range(controls)]
        return [Affine(joint=joint, gear=nothing, activation=idle, name=x) for x in several]
    gain = np.array(m.actuator_gainprm[k, :3])
    if among(m.actuator_gaintype[k], mujoco.mjtGain.mjGAIN_FIXED):
        gain[1:] = 0
    bias = np.array(m.actuator_biasprm[k, :3]) * among(m.actuator_biastype[k], mujoco.mjtBias.mjBIAS_AFFINE)
    limited = bool(m.actuator_ctrllimited[place]) and enabled(mujoco, m, "clampctrl")
    output = int(field(m, "actuator_outadr", np.arange(k + 1))[k])
    joint, gear = _target(mujoco, m, made, k)
    return [
        Affine(
            joint=joint,
            gain=gain,
            bias=bias,
            gear=gear,
            control_limits=np.array(m.actuator_ctrlrange[place]) if limited else None,
            force_limits=np.array(m.actuator_forcerange[output]) if m.actuator_forcelimited[output] else None,
            activation=_activation(mujoco, m, k),
            name=name,
        )
    ]


def _target(mujoco: Any, m: Any, made: Mechanism, k: int) -> tuple[str | FixedTendon, Any]:
    gear, target = np.array(m.actuator_gear[k]), int(m.actuator_trnid[k, 0])
    if not among(m.actuator_trntype[k], mujoco.mjtTrn.mjTRN_TENDON):
        joint = made.topology.joints[target].name  # in MuJoCo's order
        where = made.topology.v_of(joint)
        return joint, gear[: where.stop - where.start]
    wraps = range(int(m.tendon_adr[target]), int(m.tendon_adr[target]) + int(m.tendon_num[target]))
    joints = tuple(made.topology.joints[int(m.wrap_objid[w])].name for w in wraps)
    return FixedTendon(joints, np.array([float(m.wrap_prm[w]) for w in wraps])), gear[0]


def _activation(mujoco: Any, m: Any, k: int) -> AbstractActivation | None:
    kind, kinds = m.actuator_dyntype[k], mujoco.mjtDyn
    limits = np.array(m.actuator_actrange[k]) if m.actuator_actlimited[k] else None
    if among(kind, kinds.mjDYN_NONE):
        return None
    if among(kind, kinds.mjDYN_INTEGRATOR):
        return Integrator(limits=limits)
    time = float(m.actuator_dynprm[k, 0])
    return (Filter if among(kind, kinds.mjDYN_FILTER) else ExactFilter)(time_constant=time, limits=limits)
