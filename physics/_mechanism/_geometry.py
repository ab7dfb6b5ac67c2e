"""Where everything is: frames by pointer jumping, and the six-vectors in which all else is linear.

Inside, the first axes of an array count components and the last one frames, bodies or degrees of freedom: the compiler
makes one long loop of such arrays. Positions and six-vectors of a tree are taken about the origin of its first frame,
in the world's axes, so that a robot far from the world's origin loses no digits; nothing but `start` knows where that
frame is. Poses are matrices (4, 4) that act on (x, y, z, 1), because their product is one loop.
"""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from .._spatial import matmul, normalized, rotation_matrix, unit
from ._tables import apply, PSEUDO_OF_TEN, SKEW, TEN_OF_PSEUDO
from ._topology import Masks, Plan


class Fixed(NamedTuple):
    """What follows from the parameters alone: under `vmap` and in loops it is computed once."""

    place: Array  # (4, 4, nf) the frame in its parent, before it moves
    turns: Array  # (3 or, with screws, 4; 4, 4, nf) times 1, sin q, 1 - cos q, q: the frame in its parent is their sum
    slide: Array  # (4, 4, slides) a shift by q is 1 + q slide
    anchor: Array  # (3, balls)
    axes: Array  # (6, nv) the twist of each degree of freedom in the frame that it is constant in
    pseudo: Array  # (4, 4, nb) second and first moments and mass about the body's origin


class Geometry(NamedTuple):
    """Bodies and motion axes about the first frame of each tree, in the world's axes."""

    pose: Array  # (4, 4, nb)
    start: Array  # (3, nb) where the tree's first frame is in the world
    ten: Array  # (10, nb)
    axes: Array  # (6, nv) the twist that one unit of each velocity is

    @property
    def position(self) -> Array:
        """(3, nb) of the bodies' origins, from the first frame."""
        return self.pose[:3, 3]


def fixed(mechanism: Any, plan: Plan) -> Fixed:
    """Everything that does not depend on q."""
    masks, dtype = mechanism.masks, mechanism.rest.dtype
    places = _with_world(_pose(rotation_matrix(normalized(mechanism.orientation.T)), mechanism.position.T))
    hinge, slide = unit(mechanism.hinge_axis.T), unit(mechanism.slide_axis.T)
    at_hinge, at_ball = mechanism.anchor.T[:, : plan.hinges], mechanism.anchor.T[:, plan.hinges :]
    turn = SKEW(hinge)
    twice = hinge[:, None] * hinge[None, :] - jnp.eye(3, dtype=dtype)[:, :, None]  # the square of `turn`
    pitch = jnp.concatenate([mechanism.pitch, jnp.zeros((1,), dtype)])[masks.hinge_pitch]
    moment = -apply(turn, at_hinge)  # anchor x axis, with the other sign
    slide_turn = places[:3, :3][:, :, masks.slide_place]
    balls = jnp.broadcast_to(jnp.eye(3, dtype=dtype)[:, None], (3, plan.balls, 3)).reshape(3, -1)
    ball_moments = jnp.moveaxis(SKEW(at_ball), 1, 2).reshape(3, -1)  # anchor x e_k
    axes = jnp.concatenate(
        [
            jnp.concatenate([hinge, pitch[None] * hinge + moment]),
            jnp.concatenate([jnp.zeros_like(slide), apply(slide_turn, slide)]),
            jnp.concatenate([balls, ball_moments]),
        ],
        axis=1,
    )
    place = places[:, :, masks.place]
    turns = [_change(turn, -apply(turn, at_hinge)), _change(twice, -apply(twice, at_hinge))]
    turns += [_change(jnp.zeros_like(turn), pitch[None] * hinge)] if plan.screws else []
    none = jnp.zeros((4, 4, 1), dtype)
    return Fixed(
        place=place,
        turns=jnp.stack(
            [place, *(compose(place, jnp.concatenate([each, none], axis=2)[:, :, masks.hinge]) for each in turns)]
        ),
        slide=_change(jnp.zeros((3, 3, plan.slides), dtype), slide),
        anchor=at_ball,
        axes=axes[:, masks.axis],
        pseudo=matmul(jnp.asarray(PSEUDO_OF_TEN, dtype), mechanism.inertia.ten()).reshape(4, 4, -1),
    )


def geometry(mechanism: Any, plan: Plan, q: Array) -> Geometry:
    """Compose the frames' own motions along each branch, in log2(depth) rounds."""
    masks, known = mechanism.masks, fixed(mechanism, plan)
    pose = _joined(known, mechanism, plan, q)
    first = masks.jumps[0] == plan.nf
    shift = jnp.zeros((4, 4, 1), bool).at[:3, 3].set(True)
    start, pose = pose[:3, 3][:, masks.root], jnp.where(first[None, None] & shift, 0, pose)
    pose = _composed(masks, pose)
    carrier = _with_world(pose)[:, :, masks.seen_from]
    of_body = pose[:, :, masks.end]
    moments = compose(compose(of_body, known.pseudo), jnp.swapaxes(of_body, 0, 1))
    return Geometry(
        pose=of_body,
        start=start[:, masks.end],
        ten=jnp.sum(jnp.asarray(TEN_OF_PSEUDO, q.dtype)[:, :, None] * moments.reshape(1, 16, -1), axis=1),
        axes=_moved(carrier, known.axes),
    )


@eqx.filter_custom_jvp
def _composed(masks: Masks, pose: Array) -> Array:
    """Where the frames are, (4, 4, nf), from the place of each in its parent: in log2(depth) rounds."""
    for above in masks.jumps:
        pose = compose(_with_world(pose)[:, :, above], pose)
    return pose


@_composed.def_jvp
def _composed_jvp(primals, tangents):
    """Each frame adds a motion of its own to all frames that it carries: one sum instead of rounds."""
    (masks, pose), (_, change) = primals, tangents
    found = _composed(masks, pose)
    back = jnp.swapaxes(found[:3, :3], 0, 1)
    inverse = _pose(back, -apply(back, found[:3, 3]))
    own = compose(compose(_with_world(found)[:, :, masks.jumps[0]], change), inverse)
    motion = matmul(own.reshape(16, -1), jnp.asarray(masks.within, pose.dtype).T).reshape(own.shape)
    return found, compose(motion, found)


def _with_world(pose: Array) -> Array:
    """The world as a further frame, for the index that means "none"."""
    return jnp.concatenate([pose, jnp.eye(4, dtype=pose.dtype)[:, :, None]], axis=2)


def compose(a: Array, b: Array) -> Array:
    """The products (i, k, n) of matrices (i, j, n) and (j, k, n)."""
    return jnp.sum(a[:, :, None] * b[None], axis=1)


def moved_ten(pose: Array, ten: Array) -> Array:
    """Ten parameters (10, n) of a frame, seen from where its pose (4, 4, n) is given."""
    pseudo = matmul(jnp.asarray(PSEUDO_OF_TEN, ten.dtype), ten).reshape(4, 4, -1)
    moments = compose(compose(pose, pseudo), jnp.swapaxes(pose, 0, 1)).reshape(16, -1)
    return matmul(jnp.asarray(TEN_OF_PSEUDO, ten.dtype), moments)


def _joined(known: Fixed, mechanism: Any, plan: Plan, q: Array) -> Array:
    """Each frame in its parent, (4, 4, nf): where it is at rest, moved by its own joint."""
    masks, moved, pose, parts = mechanism.masks, q - mechanism.rest, known.place, []
    if plan.hinges:
        # 1 - cos with all its digits. What is gathered, and what is summed along an axis, is computed once: otherwise
        # the compiler would repeat the sines for each entry of a matrix, and the matrix for each of its uses
        factors = [jnp.ones_like(moved), jnp.sin(moved), 2 * jnp.sin(moved / 2) ** 2] + ([moved] if plan.screws else [])
        pose = jnp.sum(jnp.stack(factors)[:, masks.hinge_q][:, None, None] * known.turns, axis=0)
    if plan.slides:
        parts.append(moved[masks.slide_q][None, None] * known.slide)
    if plan.balls:
        turn = rotation_matrix(normalized(q[masks.chart.ball_q].T)) - jnp.eye(3, dtype=q.dtype)[:, :, None]
        parts.append(_change(turn, -apply(turn, known.anchor)))
    if not parts:
        return pose
    each = jnp.concatenate(parts, axis=2) if len(parts) > 1 else parts[0]
    own = matmul(each.reshape(16, -1), masks.motion.astype(q.dtype)).reshape(4, 4, -1)
    return pose + compose(known.place, own)


def _moved(pose: Array, twist: Array) -> Array:
    """Twists (6, n) of a frame, seen from where its pose (4, 4, n) is given."""
    turned = jnp.sum(pose[None, :3, :3] * twist.reshape(2, 1, 3, -1), axis=2)
    moment = apply(SKEW(pose[:3, 3]), turned[0])
    return jnp.concatenate([turned[0], turned[1] + moment])


def _pose(turn: Array, position: Array) -> Array:
    return _change(turn, position) + jnp.zeros((4, 4, 1), turn.dtype).at[3, 3].set(1)


def _change(turn: Array, shift: Array) -> Array:
    """(4, 4, n) with a last row of zeros."""
    upper = jnp.concatenate([turn, shift[:, None]], axis=1)
    return jnp.concatenate([upper, jnp.zeros_like(upper[:1])])
