"""Equations of motion by masks: M(q) a + bias(q, v) = tau.

Source of the mechanics: R. Featherstone, Rigid Body Dynamics Algorithms (2008), chapters 5 and 6. In a frame common to
all bodies of a tree, its recursions are sums over who moves what, products with a constant mask.
"""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from .._spatial import matmul
from ._geometry import Geometry
from ._tables import apply, INERTIA, TWIST_CROSS, WRENCH_CROSS
from ._topology import Masks


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
    twist, near = _along_paths(found.axes * v[None], masks)
    return Moving(twist=twist, near=near, change=apply(TWIST_CROSS(near), found.axes))


def loads(found: Geometry, masks: Masks, motion: Moving, v: Array, a: Array | None, gravity: Array) -> Loads:
    """Accelerations and wrenches; `a` None is zero."""
    rates = motion.change * v[None] if a is None else motion.change * v[None] + found.axes * a[None]
    rest = jnp.concatenate([jnp.zeros_like(gravity), -gravity])[:, None]
    acceleration, near = (part + rest for part in _along_paths(rates, masks))
    inertia = INERTIA(found.ten)
    momentum = apply(inertia, motion.twist)
    wrench = apply(inertia, acceleration) + apply(WRENCH_CROSS(motion.twist), momentum)
    return Loads(acceleration=acceleration, near=near, momentum=momentum, wrench=wrench)


def subtree_sums(masks: Masks, *parts: Array) -> Array:
    """Sums over the bodies that each degree of freedom moves: (.., nb) -> (.., nv), all parts in one product."""
    stacked = jnp.concatenate(parts)
    return matmul(stacked, masks.moves.astype(stacked.dtype))


def joint_forces(found: Geometry, masks: Masks, wrench: Array) -> Array:
    """What the joints must give so that the bodies feel `wrench` (6, nb): (nv,)."""
    return jnp.sum(found.axes * subtree_sums(masks, wrench), axis=0)


def mass_matrix(found: Geometry, masks: Masks, composite: Array, armature: Array) -> Array:
    """(nv, nv) symmetric, from the ten parameters of what each degree of freedom moves."""
    return symmetric(masks, matmul(apply(INERTIA(composite), found.axes).T, found.axes), armature)


def symmetric(masks: Masks, half: Array, armature: Array) -> Array:
    """The matrix whose entries (i, j), j nearer to the world than i, are right in `half`."""
    below, above = masks.upto.astype(half.dtype), masks.before.astype(half.dtype).T
    return half * below + half.T * above + jnp.diag(armature)


def inverse_dynamics(mechanism: Any, found: Geometry, v: Array, a: Array | None) -> Array:
    """The joints' forces (nv,) for an acceleration; with `a` None the bias."""
    masks = mechanism.masks
    load = loads(found, masks, moving(found, masks, v), v, a, mechanism.gravity)
    tau = joint_forces(found, masks, load.wrench)
    return tau if a is None else tau + mechanism.armature * a


def equations(mechanism: Any, found: Geometry, v: Array) -> tuple[Array, Array]:
    """Mass matrix and bias, with one sum over subtrees."""
    masks = mechanism.masks
    load = loads(found, masks, moving(found, masks, v), v, None, mechanism.gravity)
    sums = subtree_sums(masks, found.ten, load.wrench)
    return mass_matrix(found, masks, sums[:10], mechanism.armature), jnp.sum(found.axes * sums[10:], axis=0)


def _along_paths(parts: Array, masks: Masks) -> tuple[Array, Array]:
    """Sums over the degrees of freedom that move each body, and those nearer to the world than each joint."""
    paths = jnp.concatenate([masks.moves, masks.before]).astype(parts.dtype)
    both = matmul(parts, paths.T)
    return both[:, : masks.moves.shape[0]], both[:, masks.moves.shape[0] :]
