"""Equations of motion by masks: M(q) a + bias(q, v) = tau.

Source of the mechanics: R. Featherstone, Rigid Body Dynamics Algorithms (2008), chapters 5 and 6. In a frame common to
all bodies of a tree, its recursions are sums over who moves what, products with a constant mask.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from .._spatial import apply_inertia, dot3, matmul, twist_cross, wrench_cross
from ._geometry import Geometry
from ._topology import Masks, Plan


class Moving(NamedTuple):
    """How bodies and axes move; `near` is what moves the point where a joint is attached, without the joint itself."""

    twist: Array  # (6, nb)
    near: Array  # (6, nv)
    change: Array  # (6, nv) near x axes: how fast each axis changes


class Loads(NamedTuple):
    """What it takes to move each body as it moves: acceleration, momentum, and the wrench that changes it."""

    acceleration: Array  # (6, nb) gravity included
    near: Array  # (6, nv) acceleration of the point where a joint is attached
    momentum: Array  # (6, nb)
    wrench: Array  # (6, nb)


def moving(found: Geometry, masks: Masks, v: Array) -> Moving:
    """Twists by adding up what each degree of freedom contributes."""
    added = found.axes * v[None]
    twist, near = _along_paths(added, masks)
    return Moving(twist=twist, near=near, change=twist_cross(near, found.axes))


def loads(found: Geometry, masks: Masks, motion: Moving, v: Array, a: Array | None, gravity: Array) -> Loads:
    """Accelerations and wrenches; `a` None is zero."""
    rates = motion.change * v[None] if a is None else motion.change * v[None] + found.axes * a[None]
    rest = jnp.concatenate([jnp.zeros_like(gravity), -gravity])[:, None]
    acceleration, near = (part + rest for part in _along_paths(rates, masks))
    momentum = apply_inertia(found.ten, motion.twist)
    wrench = apply_inertia(found.ten, acceleration) + wrench_cross(motion.twist, momentum)
    return Loads(acceleration=acceleration, near=near, momentum=momentum, wrench=wrench)


def subtree_sums(masks: Masks, *parts: Array) -> Array:
    """Sums over the bodies that each degree of freedom moves: (.., nb) -> (.., nv), all parts in one product."""
    stacked = jnp.concatenate(parts)
    return matmul(stacked, masks.moves.astype(stacked.dtype))


def six_dot(a: Array, b: Array) -> Array:
    """a · b of six-vectors along the first axis."""
    return dot3(a[:3], b[:3]) + dot3(a[3:], b[3:])


def joint_forces(found: Geometry, masks: Masks, wrench: Array) -> Array:
    """What the joints must give so that the bodies feel `wrench` (6, nb): (nv,)."""
    return six_dot(found.axes, subtree_sums(masks, wrench))


def composite_momenta(found: Geometry, composite: Array) -> Array:
    """(6, nv) the momentum of all that a unit velocity moves."""
    return apply_inertia(composite, found.axes)


def mass_matrix(found: Geometry, masks: Masks, composite: Array, armature: Array) -> Array:
    """(nv, nv) symmetric, from the ten parameters of what each degree of freedom moves."""
    half = matmul(composite_momenta(found, composite).T, found.axes)
    below, above = masks.upto.astype(half.dtype), masks.before.astype(half.dtype).T
    return half * below + half.T * above + jnp.diag(armature)


def inverse_dynamics(mechanism: Any, found: Geometry, v: Array, a: Array | None) -> Array:
    """The joints' forces (nv,) for an acceleration; with `a` None the bias."""
    motion = moving(found, mechanism.masks, v)
    load = loads(found, mechanism.masks, motion, v, a, mechanism.gravity)
    tau = joint_forces(found, mechanism.masks, load.wrench)
    return tau if a is None else tau + mechanism.armature * a


def equations(mechanism: Any, found: Geometry, v: Array) -> tuple[Array, Array]:
    """Mass matrix and bias, with one sum over subtrees."""
    masks = mechanism.masks
    motion = moving(found, masks, v)
    load = loads(found, masks, motion, v, None, mechanism.gravity)
    sums = subtree_sums(masks, found.ten, load.wrench)
    return mass_matrix(found, masks, sums[:10], mechanism.armature), six_dot(found.axes, sums[10:])


def _along_paths(parts: Array, masks: Masks) -> tuple[Array, Array]:
    """Sums over the degrees of freedom that move each body, and those nearer to the world than each joint."""
    paths = jnp.concatenate([masks.moves, masks.before]).astype(parts.dtype)
    both = matmul(parts, paths.T)
    return both[:, : masks.moves.shape[0]], both[:, masks.moves.shape[0] :]


def balls_of(plan: Plan) -> bool:
    """Whether any joint turns about more than one axis at once."""
    return plan.balls > 0
