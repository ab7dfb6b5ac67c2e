"""The mass matrix on the host: a mechanism is looked at while it is built, before anything is compiled."""

from typing import Any

import numpy as np

from .._spatial import matrix_of, unit
from ._joint import BALL, SLIDE
from ._topology import plan


def mass_matrix_away(made: Any) -> np.ndarray:
    """M (nv, nv) in float64 away from rest, where joints may lie on one line: the sum of what each body adds."""
    sizes = plan(made.topology)
    turn, place, axes = _walked(made, np.linspace(0.2, 0.5, sizes.nv))
    end, moves = sizes.masks["end"], sizes.masks["moves"]
    turn, place = turn[end], place[end]
    mass, center, moments = (
        np.asarray(x, float) for x in (made.inertia.mass, made.inertia.center, made.inertia.moments)
    )
    arm = place + np.einsum("bij,bj->bi", turn, center)
    angular = np.where(moves[:, None], axes[None, :3], 0)  # (nb, 3, nv)
    linear = np.where(moves[:, None], axes[None, 3:], 0) + np.cross(angular, arm[:, :, None], axis=1)
    own = moments[:, np.array([[0, 1, 3], [1, 2, 4], [3, 4, 5]])]
    turning = turn @ own @ np.swapaxes(turn, 1, 2) @ angular
    nv = axes.shape[1]
    product = lambda a, b: a.reshape(-1, nv).T @ b.reshape(-1, nv)
    return product(angular, turning) + product(linear, mass[:, None, None] * linear) + np.diag(made.armature)


def _walked(made: Any, change: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Orientation (nf, 3, 3) and place (nf, 3) of each frame, `change` away from rest, and the axes (6, nv)."""
    sizes = plan(made.topology)
    position, orientation = np.asarray(made.position, float), np.asarray(made.orientation, float)
    above, bodies = sizes.masks["jumps"][0], sizes.masks["place"]
    turns, places, axes = np.zeros((sizes.nf, 3, 3)), np.zeros((sizes.nf, 3)), np.zeros((6, sizes.nv))
    for frame, elements in enumerate(sizes.elements):
        world = above[frame] == sizes.nf
        turn, place = (np.eye(3), np.zeros(3)) if world else (turns[above[frame]], places[above[frame]])
        if bodies[frame] < len(position):
            place = place + turn @ position[bodies[frame]]
            turn = turn @ matrix_of(unit(orientation[bodies[frame]]))
        for kind, element, first in elements:
            if kind == SLIDE:
                axes[3:, first] = turn @ unit(np.asarray(made.slide_axis, float)[element])
                place = place + change[first] * axes[3:, first]
            else:
                turn, place = _turned(made, (kind, element, first), change, (turn, place), axes)
        turns[frame], places[frame] = turn, place
    return turns, places, axes


def _turned(made: Any, which: tuple[str, int, int], change: np.ndarray, pose: Any, axes: np.ndarray) -> Any:
    """The pose after a hinge or a ball, whose columns of `axes` are filled in."""
    (kind, element, first), (turn, place), sizes = which, pose, plan(made.topology)
    ball = kind == BALL
    arm = turn @ np.asarray(made.anchor, float)[element + (sizes.hinges if ball else 0)]
    point, advance = place + arm, np.zeros(3)
    if ball:
        start = np.asarray(made.rest, float)[sizes.masks["chart"].ball_q[element]]
        after = turn @ matrix_of(unit(start)) @ _rotation(change[first : first + 3])
        directions = after.T
    else:
        own = unit(np.asarray(made.hinge_axis, float)[element])
        directions, after = (turn @ own)[None], turn @ _rotation(change[first] * own)
        screw = sizes.masks["hinge_pitch"][element]
        if screw < sizes.screws:
            advance = np.asarray(made.pitch, float)[screw] * directions[0]
    for k, direction in enumerate(directions, start=first):
        axes[:, k] = np.append(direction, np.cross(point, direction) + advance)
    return after, point + change[first] * advance - after @ turn.T @ arm


def _rotation(vector: np.ndarray) -> np.ndarray:
    """The matrix of a rotation vector that is not zero."""
    angle = np.linalg.norm(vector)
    return matrix_of(np.append(np.cos(angle / 2), np.sin(angle / 2) * vector / angle))
