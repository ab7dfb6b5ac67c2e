"""Mechanisms from a list of bodies."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ...solvers import parameter
from ...solvers._host import namespace, on_host
from ...solvers._tree import is_concrete
from ...solvers._types import as_parameter
from .._spatial import AbstractInertia, Inertia, inertia_of_ten, stored, unit
from ._joint import AbstractJoint, BALL, check_axis, Fixed, Free, HINGE, Passive, SLIDE, stack_or_empty
from ._massless import mass_matrix_away
from ._mechanism import Mechanism
from ._topology import JointPlace, Topology, WORLD


class Body(eqx.Module):
    """A rigid body, and how it hangs on its parent.

    - `name`; `parent`: the name of another body, or "world".
    - `joint`: one joint, or several one after the other; `Fixed()` by default.
    - `position` [m], `orientation` (unit quaternion, scalar first): of the body's frame in its parent's, at rest.
    - `inertia`: `Inertia(mass, center, moments)`, `shape.inertia(mass)`; massless by default.
    - `shapes`: what the viewer draws, in the body's frame.
    """

    name: str = eqx.field(static=True)
    parent: str = eqx.field(default="world", static=True)
    joint: Any = eqx.field(default_factory=Fixed)
    position: Any = parameter(default=(0.0, 0.0, 0.0))
    orientation: Any = parameter(default=(1.0, 0.0, 0.0, 0.0))
    inertia: AbstractInertia = eqx.field(default_factory=lambda: Inertia(0.0))
    shapes: tuple[Any, ...] = ()

    @property
    def joints(self) -> tuple[Any, ...]:
        """All joints, the one next to the parent first."""
        return tuple(self.joint) if isinstance(self.joint, tuple | list) else (self.joint,)


def mechanism(*bodies: Body, gravity: Any = (0.0, 0.0, -9.81), world: tuple[Any, ...] = ()) -> Mechanism:
    r"""A `Mechanism` of `bodies`, in any order, under `gravity` [m/s²]; `world` are shapes that do not move.

        pendulum = mechanism(
            Body("rod", joint=Hinge(axis=[0, 1, 0]), inertia=Inertia(1.0, center=[0, 0, -0.5], moments=[.08, .08, 0]))
        )

    Works under `jit` and `grad` too, so that a length may be a parameter that positions and inertias follow from.
    Raises ValueError for names that clash, parents that are missing or go in a circle, an axis or a quaternion that
    is zero, limits that are swapped, and (if the numbers are known) a joint that moves no mass.
    """
    bodies = _parents_first(bodies)
    index = {body.name: k for k, body in enumerate(bodies)}
    places, joints = [], []
    for k, body in enumerate(bodies):
        for number, joint in enumerate(body.joints, start=1):
            elements = _elements(body, joint)
            if elements:
                name = joint.name or (body.name if len(body.joints) == 1 else f"{body.name}_{number}")
                kinds = tuple(element.kind for element in elements)
                places.append(
                    JointPlace(
                        name,
                        k,
                        kinds,
                        tuple(element.pitch is not None for element in elements),
                        limited=joint.passive.limits is not None,
                        sprung=joint.passive.stiffness is not None,
                    )
                )
                joints.append((body, joint, elements))
    _refuse_clashes([place.name for place in places], "joints")
    topology = Topology(
        names=tuple(index), parents=tuple(index.get(body.parent, WORLD) for body in bodies), joints=tuple(places)
    )
    shapes = {body.name: tuple(body.shapes) for body in bodies if body.shapes}
    made = _assemble(topology, bodies, joints, gravity, shapes | ({"world": tuple(world)} if world else {}))
    _refuse_massless(made)
    return made


def _assemble(
    topology: Topology, bodies: Sequence[Body], joints: list[Any], gravity: Any, shapes: dict[str, tuple[Any, ...]]
) -> Mechanism:
    dtype = jnp.result_type(float)
    kinds = lambda kind: [e for _, _, elements in joints for e in elements if e.kind == kind]
    turns = kinds(HINGE) + kinds(BALL)
    rows = [_per_joint(body, joint, elements, dtype) for body, joint, elements in joints]
    column = lambda name: _joined([row[name] for row in rows], dtype)
    free = {body.name for body, joint, _ in joints if isinstance(joint, Free)}
    still = lambda body, x, identity: identity if body.name in free else x
    return Mechanism(
        inertia=_stacked([body.inertia for body in bodies], dtype),
        position=stack_or_empty([b.position for b in bodies], 3, dtype),
        orientation=stack_or_empty([still(b, b.orientation, np.eye(4)[0]) for b in bodies], 4, dtype),
        hinge_axis=stack_or_empty([e.axis for e in kinds(HINGE)], 3, dtype),
        slide_axis=stack_or_empty([e.axis for e in kinds(SLIDE)], 3, dtype),
        anchor=stack_or_empty([e.anchor for e in turns], 3, dtype),
        pitch=_joined([on_host(e.pitch, dtype)[None] for e in kinds(HINGE) if e.pitch is not None], dtype),
        rest=column("rest"),
        armature=column("armature"),
        damping=column("damping"),
        stiffness=column("stiffness"),
        friction=column("friction"),
        springref=column("springref"),
        lower=column("lower"),
        upper=column("upper"),
        gravity=_vector(gravity, 3, "gravity"),
        shapes=shapes,
        topology=topology,
    )


def _per_joint(body: Body, joint: AbstractJoint, elements: tuple[Any, ...], dtype: Any) -> dict[str, Any]:
    """The columns of one joint: (nq,) or (nv,) each."""
    passive, whose = joint.passive, f"joint {joint.name or body.name!r}"
    balls = sum(e.kind == BALL for e in elements)
    nv = len(elements) + 2 * balls
    nq = nv + balls
    identity = np.concatenate([np.eye(4)[0] if e.kind == BALL else np.zeros(1) for e in elements])
    rest = joint.rest()
    if isinstance(joint, Free):
        rest = _joined([on_host(body.position, dtype), unit(on_host(body.orientation, dtype))], dtype)
    rest = on_host(identity if rest is None else rest, dtype)
    if rest.shape != (nq,):
        raise ValueError(f"The reference of {whose} has shape {rest.shape[1:]}, expected ().")
    relaxed = rest if passive.springref is None else _full(passive.springref, nq, f"springref of {whose}")
    _check_balls(elements, relaxed, passive, whose)
    lower, upper = _limits(passive, elements, whose)
    spread = lambda name: _full(getattr(passive, name), nv, f"{name} of {whose}")
    columns = dict(rest=rest, springref=np.zeros(0), stiffness=np.zeros(0), lower=lower, upper=upper)
    for name in ("armature", "damping", "friction", *(["stiffness"] if passive.stiffness is not None else [])):
        _refuse_negative(getattr(passive, name), f"{name} of {whose}")
        columns[name] = spread(name)
    if passive.stiffness is not None:
        columns["springref"] = relaxed
    elif passive.springref is not None:
        raise ValueError(f"The springref of {whose} is that of no spring: give its stiffness, too.")
    return {name: on_host(value, dtype) for name, value in columns.items()}


def _joined(parts: list[Any], dtype: Any) -> Any:
    """One after the other, (n,), also if there are none."""
    return namespace(parts).concatenate([np.zeros(0, dtype), *parts])


def _check_balls(elements: tuple[Any, ...], relaxed: Any, passive: Passive, whose: str) -> None:
    """A ball's spring rests at a rotation, and its rotor is round: otherwise its inertia would turn with it."""
    armature = _full(passive.armature, sum(3 if e.kind == BALL else 1 for e in elements), f"armature of {whose}")
    q = v = 0
    for element in elements:
        ball = element.kind == BALL
        if ball:
            _refuse_other_than_unit(relaxed[q : q + 4], f"springref of {whose}")
            three = armature[v : v + 3]
            if is_concrete(three) and np.ptp(np.asarray(three)) > 0:
                raise ValueError(
                    f"The armature of {whose} is {np.asarray(three)}: that of a ball is the same about all axes."
                )
        q, v = q + (4 if ball else 1), v + (3 if ball else 1)


def _elements(body: Body, joint: Any) -> tuple[Any, ...]:
    if not isinstance(joint, AbstractJoint):
        raise ValueError(
            f"Body {body.name!r} has the joint {joint!r}, which is none of Hinge, Slide, Screw, Universal, Planar, "
            "Ball, Free, Fixed."
        )
    if isinstance(joint, Free) and (body.parent != "world" or len(body.joints) > 1):
        raise ValueError(f"Body {body.name!r}: Free() is for a body of the world, without other joints.")
    elements, whose = joint.elements(), f"joint {joint.name or body.name!r}"
    if not isinstance(joint.passive, Passive):
        raise ValueError(f"The `passive` of {whose} is {joint.passive!r}: write Passive(damping=...), for example.")
    for element in elements:
        if element.kind != BALL:
            check_axis(element.axis, whose)
        if element.anchor is not None:
            _vector(element.anchor, 3, f"anchor of {whose}")
        if element.pitch is not None and jnp.shape(element.pitch) != ():
            raise ValueError(f"The pitch of {whose} has shape {jnp.shape(element.pitch)}, expected ().")
    return elements


def _limits(passive: Passive, elements: tuple[Any, ...], whose: str) -> tuple[Any, Any]:
    nv = sum(3 if e.kind == BALL else 1 for e in elements)
    if passive.limits is None:
        return np.zeros(0), np.zeros(0)
    if any(e.kind == BALL for e in elements):
        raise ValueError(f"Limits of {whose}: a joint with a ball has none; limit its swing by a force.")
    if not isinstance(passive.limits, tuple | list) or len(passive.limits) != 2:
        raise ValueError(f"The limits of {whose} are {passive.limits}: give (lower, upper).")
    lower, upper = (_full(x, nv, f"limits of {whose}") for x in passive.limits)
    if is_concrete((lower, upper)) and np.any(lower >= upper):
        raise ValueError(f"Limits of {whose} are swapped: lower {lower} is not below upper {upper}.")
    return lower, upper


def _parents_first(bodies: tuple[Body, ...]) -> tuple[Body, ...]:
    """The bodies in an order in which each comes after its parent; otherwise as they were given."""
    for body in bodies:
        if not isinstance(body, Body):
            raise ValueError(
                f"A mechanism is made of Body(...), not of {type(body).__name__}; write *bodies for a list."
            )
        _vector(body.position, 3, f"position of body {body.name!r}")
        what = f"orientation of body {body.name!r}"
        _refuse_other_than_unit(_vector(body.orientation, 4, what), what)
        if not isinstance(body.inertia, AbstractInertia):
            raise ValueError(
                f"The inertia of body {body.name!r} is {body.inertia!r}: write Inertia(mass, center, moments)."
            )
    if not bodies:
        raise ValueError("A mechanism needs at least one Body.")
    _refuse_clashes(["world", *(body.name for body in bodies)], "bodies")
    waiting, done, placed = list(bodies), [], {"world"}
    while waiting:
        ready = [body for body in waiting if body.parent in placed]
        if not ready:
            known = {body.name for body in bodies}
            missing = sorted({body.parent for body in waiting} - known)
            if missing:
                raise ValueError(f"No body is named {', '.join(map(repr, missing))}, the parent of another.")
            circle = ", ".join(repr(body.name) for body in waiting)
            raise ValueError(f"The bodies {circle} hang on each other in a circle; one must have the parent 'world'.")
        done += ready[:1]
        placed.add(ready[0].name)
        waiting.remove(ready[0])
    return tuple(done)


def _stacked(inertias: list[Any], dtype: Any) -> AbstractInertia:
    if not all(isinstance(inertia, Inertia) for inertia in inertias):
        tens = [on_host(inertia.ten(), dtype) for inertia in inertias]
        return inertia_of_ten(as_parameter(namespace(tens).stack(tens, axis=1)))
    rows = lambda name: [on_host(getattr(each, name), dtype) for each in inertias]
    stack = lambda name: as_parameter(namespace(rows(name)).stack(rows(name)))
    return stored(stack("mass"), stack("center"), stack("moments"))


def _refuse_massless(made: Mechanism) -> None:
    """A joint that moves no inertia has no equation of motion."""
    if not is_concrete(made) or made.topology.nv == 0:
        return
    matrix, eps = mass_matrix_away(made), np.finfo(made.rest.dtype).eps
    diagonal = np.diag(matrix)
    worst = int(np.argmin(diagonal))
    if diagonal[worst] > eps * diagonal.max():
        scale = np.sqrt(diagonal)
        values, vectors = np.linalg.eigh(matrix / np.outer(scale, scale))
        # in float32 a long chain looks like a singular one: there the diagonal has to do
        if values[0] > 10 * len(matrix) * eps or eps > 1e-10:
            return
        worst = int(np.argmax(np.abs(vectors[:, 0])))
    raise ValueError(
        f"The mass matrix is singular: joint {made.topology.owner_of_v(worst)!r} moves no mass, or only a point on its "
        "axis. Give the bodies that it moves an inertia, or the joint an armature."
    )


def _refuse_clashes(names: list[str], what: str) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"Names of {what} clash: {', '.join(map(repr, twice))}. Each name may be used once.")


def _refuse_negative(value: Any, what: str) -> None:
    if is_concrete(value) and not np.all((np.asarray(value) >= 0) & np.isfinite(np.asarray(value))):
        raise ValueError(f"{what} must be finite and not negative, got {np.asarray(value)}.")


def _vector(value: Any, size: int, what: str) -> Any:
    value = on_host(value)
    if value.shape != (size,):
        raise ValueError(f"The {what} has shape {value.shape}, expected ({size},).")
    if is_concrete(value) and not np.isfinite(value).all():
        raise ValueError(f"The {what} holds NaN or infinity: {value}.")
    return value


def _refuse_other_than_unit(quaternion: Any, what: str) -> None:
    if is_concrete(quaternion):
        length = np.linalg.norm(np.asarray(quaternion))
        if abs(length - 1) > 1e-3:
            raise ValueError(
                f"The {what} is {np.asarray(quaternion)}, of length {length:.6g}: a quaternion (w, x, y, z) that "
                "describes a rotation has length 1."
            )


def _full(value: Any, size: int, what: str) -> Any:
    value = on_host(value)
    if value.shape not in ((), (size,)):
        raise ValueError(f"The {what} has shape {value.shape}, expected () or ({size},).")
    return namespace(value).broadcast_to(value, (size,))
