"""Where everything is: frames by pointer jumping, and the six-vectors in which all else is linear.

Inside, the first axis of an array counts components and the last one frames, bodies or degrees of freedom: the
compiler makes one long loop of such arrays. All six-vectors are taken about one point for each tree, in the middle of
its bodies, so that a robot far from the world's origin loses no digits. No result depends on that point.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._spatial import cross3, matmul, moved_ten, normalized, quaternion_product, rotate, rotation_matrix, unit
from ._topology import Plan


class Frames(NamedTuple):
    """Frames seen from the world, positions from the origin of their tree's first frame."""

    turn: Array  # (4, nf)
    unturned: Array  # (4, nf) the orientation before the frame's own turn
    position: Array  # (3, nf)
    start: Array  # (3, nf) the first frame's position in the world
    anchor: Array  # (3, nf) of the frame's own turn


class Geometry(NamedTuple):
    """Bodies and motion axes about the middle of each tree, in the world's axes."""

    turn: Array  # (4, nb)
    position: Array  # (3, nb)
    middle: Array  # (3, nb) in the world
    ten: Array  # (10, nb)
    axes: Array  # (6, nv) the twist that one unit of each velocity is


def frames(mechanism: Any, plan: Plan, q: Array) -> Frames:
    """Compose the frames' own motions along each branch, in log2(depth) rounds."""
    masks, dtype = mechanism.masks, q.dtype
    identity = jnp.zeros((4, 1), dtype).at[0].set(1)
    place = _pick(normalized(mechanism.orientation.T), masks.place, identity)
    motion, shift, anchor = _own_motion(mechanism, plan, q)
    position = _pick(mechanism.position.T, masks.place, jnp.zeros((3, 1), dtype))
    position = position + rotate(place, shift + anchor - rotate(motion, anchor))
    turn = quaternion_product(place, motion)
    first = masks.jumps[0] == plan.nf
    start, position = position, jnp.where(first[None], 0, position)
    for ancestors in masks.jumps:
        above_turn = _pick(turn, ancestors, identity)
        above = _pick(position, ancestors, jnp.zeros((3, 1), dtype))
        turn, position = quaternion_product(above_turn, turn), above + rotate(above_turn, position)
    unturned = quaternion_product(_pick(turn, masks.jumps[0], identity), place)
    return Frames(
        turn=turn,
        unturned=unturned,
        position=position,
        start=start[:, masks.root],
        anchor=position + rotate(turn, anchor),
    )


def geometry(mechanism: Any, plan: Plan, q: Array) -> Geometry:
    """Frames, and with them inertias and motion axes."""
    masks, found = mechanism.masks, frames(mechanism, plan, q)
    turn, position = found.turn[:, masks.end], found.position[:, masks.end]
    # where the middle lies changes no result, so derivatives need not follow it
    weight = masks.tree.astype(q.dtype)
    weight = weight / jnp.maximum(jnp.sum(weight, axis=1), 1)[:, None]
    middle = jax.lax.stop_gradient(matmul(position, weight.T))
    of_body = middle[:, masks.end]
    ten = moved_ten(mechanism.inertia.ten(), rotation_matrix(turn), position - of_body)
    return Geometry(
        turn=turn,
        position=position - of_body,
        middle=found.start[:, masks.end] + of_body,
        ten=ten,
        axes=_axes(mechanism, plan, found, middle, q.dtype),
    )


def _own_motion(mechanism: Any, plan: Plan, q: Array) -> tuple[Array, Array, Array]:
    """The turn (4, nf), shift (3, nf) and anchor (3, nf) of each frame by its own joint."""
    masks, dtype = mechanism.masks, q.dtype
    moved = q - mechanism.rest
    angle = moved[masks.hinge_q]
    axis = unit(mechanism.hinge_axis.T)
    turns = [jnp.concatenate([jnp.cos(angle / 2)[None], jnp.sin(angle / 2)[None] * axis])] if plan.hinges else []
    if plan.balls:
        turns.append(normalized(q[masks.ball_q].T))
    turns.append(jnp.zeros((4, 1), dtype).at[0].set(1))
    motion = jnp.concatenate(turns, axis=1)[:, masks.motion]
    anchor = _pick(mechanism.anchor.T, masks.motion, jnp.zeros((3, 1), dtype))
    shift = jnp.zeros((3, plan.nf), dtype)
    if plan.slides:
        shift = matmul(unit(mechanism.slide_axis.T) * moved[masks.slide_q][None], masks.slid.astype(dtype))
    if plan.screws:
        advance = (_pitches(mechanism, dtype)[masks.hinge_pitch] * angle)[None] * axis
        shift = shift + _pick(advance, masks.motion, jnp.zeros((3, plan.balls + 1), dtype))
    return motion, shift, anchor


def _axes(mechanism: Any, plan: Plan, found: Frames, middle: Array, dtype: Any) -> Array:
    """The twist of each degree of freedom, (6, nv)."""
    masks = mechanism.masks
    own = jnp.concatenate(
        [unit(mechanism.slide_axis.T), unit(mechanism.hinge_axis.T), jnp.eye(3, dtype=dtype)], axis=1
    )[:, masks.dof_axis]
    turn = jnp.where(masks.dof_turned[None], found.turn[:, masks.dof_frame], found.unturned[:, masks.dof_frame])
    direction = rotate(turn, own)
    arm = (found.anchor - middle)[:, masks.dof_frame]
    angular = jnp.where(masks.turns[None], direction, 0)
    along = _pitches(mechanism, dtype)[masks.pitch][None]
    return jnp.concatenate([angular, cross3(arm, angular) + along * direction])


def _pitches(mechanism: Any, dtype: Any) -> Array:
    """Of the screws, of hinges (0), of slides (1)."""
    return jnp.concatenate([mechanism.pitch, jnp.asarray([0, 1], dtype)])


def _pick(values: Array, index: Array, otherwise: Array) -> Array:
    """Columns of `values`, or of `otherwise` where the index goes beyond them."""
    return jnp.concatenate([values, otherwise], axis=1)[:, index]
