"""What MuJoCo does with a model and kinax does not."""

from typing import Any

import numpy as np

from ._names import among, field, names_of, some

WORDS = {
    "contact": "contacts of geoms",
    "limit": "limits of joints and tendons, as constraints",
    "friction": "dry friction of joints and tendons, as a constraint",
    "equality": "equality constraints",
    "tendon": "springs, dampers and masses of tendons",
    "transmission": "actuators that pull at anything but joints and fixed tendons",
    "actuator": "actuators without an affine law, with delays, or with limits of what all of them give together",
    "polynomial": "springs and dampers whose force is not proportional",
    "plastic": "springs that yield",
    "fluid": "fluid forces by the shape of geoms",
    "mocap": "bodies that are moved from outside",
    "plugin": "plugins",
    "flex": "soft bodies",
    "sleep": "bodies that fall asleep",
}


def enabled(mujoco: Any, model: Any, name: str) -> bool:
    """Whether the model leaves `name` of option/flag switched on, or this version of MuJoCo has no such switch."""
    bit = getattr(mujoco.mjtDisableBit, f"mjDSBL_{name.upper()}", 0)
    return not int(model.opt.disableflags) & int(bit)


def refuse_unsupported(mujoco: Any, model: Any, ignore: tuple[str, ...]) -> None:
    """Nothing is left out that the user did not name."""
    unknown = sorted(set(ignore) - set(WORDS))
    if unknown:
        raise ValueError(f"ignore may hold {', '.join(map(repr, WORDS))}; got {', '.join(map(repr, unknown))}.")
    found = {word: what for word, what in _all(mujoco, model) if what and word not in ignore}
    if found:
        lines = [f"- {word!r} ({WORDS[word]}): {what}" for word, what in found.items()]
        words = (*ignore, *found)
        raise ValueError(
            "MuJoCo simulates parts of this model that kinax does not:\n"
            + "\n".join(lines)
            + f"\nRead the model without them by ignore=({', '.join(map(repr, words))},)."
        )


def _all(mujoco: Any, m: Any) -> list[tuple[str, str]]:
    """Each word with what it is about in this model; empty if nothing."""
    on = lambda name: enabled(mujoco, m, name)
    joints, dofs = names_of(mujoco, m, "joint", m.njnt), np.asarray(m.dof_jntid)
    tendons, bodies = names_of(mujoco, m, "tendon", m.ntendon), names_of(mujoco, m, "body", m.nbody)
    pick = lambda names, where: [names[k] for k in np.flatnonzero(where)]
    of_dofs = lambda where: [joints[k] for k in sorted(set(dofs[np.asarray(where, bool)].tolist()))]
    nonzero = lambda x: np.asarray(x).any(axis=1)
    poly = lambda name, n: nonzero(field(m, name, np.zeros((n, 1))))
    heavy = np.asarray(m.tendon_stiffness) * on("spring") + np.asarray(m.tendon_damping) * on("damper")
    geoms = names_of(mujoco, m, "geom", m.ngeom)
    bent_joints = pick(joints, poly("jnt_stiffnesspoly", m.njnt)) + of_dofs(poly("dof_dampingpoly", m.nv))
    bent = bent_joints + pick(tendons, poly("tendon_stiffnesspoly", m.ntendon) | poly("tendon_dampingpoly", m.ntendon))
    yields = pick(joints, field(m, "jnt_springyield", np.zeros(m.njnt)))
    yields += pick(tendons, field(m, "tendon_springyield", np.zeros(m.ntendon)))
    sleep = getattr(mujoco.mjtEnableBit, "mjENBL_SLEEP", 0)
    flows = m.opt.density > 0 or m.opt.viscosity > 0
    constraints = {
        "contact": _touching(mujoco, m, geoms) if on("contact") else "",
        "limit": some(pick(joints, m.jnt_limited) + pick(tendons, m.tendon_limited)) if on("limit") else "",
        "friction": some(of_dofs(m.dof_frictionloss) + pick(tendons, m.tendon_frictionloss))
        if on("frictionloss")
        else "",
        "equality": some(pick(names_of(mujoco, m, "equality", m.neq), m.eq_active0)) if on("equality") else "",
    }
    return [
        *((word, what if on("constraint") else "") for word, what in constraints.items()),
        ("tendon", some(pick(tendons, heavy + field(m, "tendon_armature", np.zeros(m.ntendon))))),
        ("polynomial", some(list(dict.fromkeys(bent)))),
        ("plastic", some(yields)),
        ("fluid", some(pick(geoms, np.asarray(m.geom_fluid)[:, 0] > 0)) if flows else ""),
        ("mocap", some(pick(bodies, np.asarray(m.body_mocapid) >= 0))),
        ("plugin", some(pick(bodies, np.asarray(m.body_plugin) >= 0))),
        ("flex", some(names_of(mujoco, m, "flex", m.nflex))),
        ("sleep", "the flag is set" if int(m.opt.enableflags) & int(sleep) else ""),
        *_of_actuators(mujoco, m, joints, tendons),
    ]


def _of_actuators(mujoco: Any, m: Any, joints: list[str], tendons: list[str]) -> list[tuple[str, str]]:
    count = actuator_count(m)
    if count == 0 or not enabled(mujoco, m, "actuation"):
        return []
    names = names_of(mujoco, m, "actuator", count)
    pulls = [names[k] for k in range(count) if not is_transmitted(mujoco, m, k)]
    other = [names[k] for k in range(count) if is_transmitted(mujoco, m, k) and not is_affine(mujoco, m, k)]
    clamped = [joints[k] for k in np.flatnonzero(m.jnt_actfrclimited)]
    clamped += [tendons[k] for k in np.flatnonzero(field(m, "tendon_actfrclimited", np.zeros(m.ntendon)))]
    return [("transmission", some(pulls)), ("actuator", some(other + clamped))]


def actuator_count(m: Any) -> int:
    """Actuators; older versions of MuJoCo give each one control and count only these."""
    return int(getattr(m, "nactuator", m.nu))


def is_transmitted(mujoco: Any, m: Any, k: int) -> bool:
    """Whether the actuator pulls at a joint, or at a tendon that is a sum of coordinates."""
    kind, target, kinds = m.actuator_trntype[k], int(m.actuator_trnid[k, 0]), mujoco.mjtTrn
    if among(kind, kinds.mjTRN_TENDON):
        return among(m.wrap_type[m.tendon_adr[target]], mujoco.mjtWrap.mjWRAP_JOINT)
    in_parent = among(kind, kinds.mjTRN_JOINTINPARENT)  # the same for what has one axis
    return among(kind, kinds.mjTRN_JOINT) or (in_parent and has_one_axis(mujoco, m, target))


def has_one_axis(mujoco: Any, m: Any, joint: int) -> bool:
    """Whether the joint is a hinge or a slide."""
    return among(m.jnt_type[joint], mujoco.mjtJoint.mjJNT_HINGE, mujoco.mjtJoint.mjJNT_SLIDE)


def is_affine(mujoco: Any, m: Any, k: int) -> bool:
    """Whether gain and bias are affine in length and velocity, and the control acts at once or through a filter."""
    gain, bias, dyn = mujoco.mjtGain, mujoco.mjtBias, mujoco.mjtDyn
    of_this = lambda name, like: field(m, f"actuator_{name}", np.full((k + 1, 1), like))[k]
    if np.any(of_this("delay", 0)) or np.any(of_this("actearly", 0)) or np.any(of_this("plugin", -1) >= 0):
        return False
    target, on_joint = int(m.actuator_trnid[k, 0]), not among(m.actuator_trntype[k], mujoco.mjtTrn.mjTRN_TENDON)
    reflects = any(np.any(of_this(name, 0)) for name in ("armature", "damping"))
    if np.any(of_this("dampingpoly", 0)) or (reflects and not (on_joint and has_one_axis(mujoco, m, target))):
        return False
    by_length = (among(m.actuator_gaintype[k], gain.mjGAIN_AFFINE) and m.actuator_gainprm[k, 1] != 0) or (
        among(m.actuator_biastype[k], bias.mjBIAS_AFFINE) and m.actuator_biasprm[k, 1] != 0
    )
    if by_length and on_joint and among(m.jnt_type[target], mujoco.mjtJoint.mjJNT_FREE):  # MuJoCo: no length
        return False
    return (
        among(m.actuator_gaintype[k], gain.mjGAIN_FIXED, gain.mjGAIN_AFFINE)
        and among(m.actuator_biastype[k], bias.mjBIAS_NONE, bias.mjBIAS_AFFINE)
        and among(m.actuator_dyntype[k], dyn.mjDYN_NONE, dyn.mjDYN_INTEGRATOR, dyn.mjDYN_FILTER, dyn.mjDYN_FILTEREXACT)
    )


def _touching(mujoco: Any, m: Any, names: list[str]) -> str:
    """Pairs of geoms that may collide: MuJoCo's filter by masks, by common bodies and by parents."""
    kind, body = (np.asarray(x) for x in (m.geom_contype, m.geom_bodyid))
    by_mask = (kind[:, None] & np.asarray(m.geom_conaffinity)[None, :]) != 0
    weld, parent = np.asarray(m.body_weldid)[body], np.asarray(m.body_weldid)[np.asarray(m.body_parentid)]
    above = parent[weld]
    filtered = weld[:, None] == weld[None, :]
    if enabled(mujoco, m, "filterparent"):
        related = (weld[:, None] == above[None, :]) | (above[:, None] == weld[None, :])
        filtered |= related & (weld[:, None] != 0) & (weld[None, :] != 0)
    excluded = set(np.asarray(m.exclude_signature).tolist())
    pairs = [
        (names[i], names[j])
        for i, j in zip(*np.nonzero(np.triu((by_mask | by_mask.T) & ~filtered)), strict=True)
        if not {(int(body[i]) << 16) + int(body[j]), (int(body[j]) << 16) + int(body[i])} & excluded
    ]
    pairs += [(names[i], names[j]) for i, j in zip(m.pair_geom1, m.pair_geom2, strict=True)]
    return some([f"{i} with {j}" for i, j in pairs], 2)
