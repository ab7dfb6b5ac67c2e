"""Shapes for mechanisms that have none: bones between the frames, and balls at the centers of mass."""

import numpy as np

from .._mechanism import Mechanism
from .._shapes import AbstractShape, Capsule, Sphere
from .._spatial import inertia_of_ten
from ._trajectory import poses_of


def stand_ins(mechanism: Mechanism) -> dict[str, tuple[AbstractShape, ...]]:
    """For each body a capsule from its origin to where each of its children hangs, and one to its center of mass.

    The balls' volumes are in proportion to the masses, the largest one's radius is 6 % of the mechanism's size.
    """
    topology = mechanism.topology
    found = inertia_of_ten(mechanism.inertia.ten())
    mass, center = np.asarray(found.mass), np.asarray(found.center)
    hung = np.asarray(mechanism.position)
    origins = poses_of(mechanism, mechanism.rest[None]).position[0]
    reach = np.linalg.norm(center, axis=1)
    size = max(np.max(np.ptp(origins, axis=0)) + 2 * np.max(reach), 1e-12)
    if size <= 1e-12:
        size = 1.0
    shapes = {}
    for k, name in enumerate(topology.names):
        ends = [hung[child] for child, parent in enumerate(topology.parents) if parent == k]
        ends += [center[k]] if mass[k] > 0 else []
        bones = [_bone(end, 0.018 * size) for end in ends if np.linalg.norm(end) > 1e-6 * size]
        radius = 0.06 * size * np.cbrt(mass[k] / np.max(mass)) if mass[k] > 0 else 0.0
        ball = [Sphere(max(radius, 0.024 * size), position=center[k])] if mass[k] > 0 else []
        shapes[name] = (*bones, *ball)
    return shapes


def _bone(end: np.ndarray, radius: float) -> Capsule:
    """From the origin to `end`."""
    length = np.linalg.norm(end)
    x, y, z = end / length
    # the rotation of z into the direction; half a turn about x for -z
    turn = np.array([1 + z, -y, x, 0.0]) if z > -1 + 1e-9 else np.array([0.0, 1.0, 0.0, 0.0])
    return Capsule(radius, length / 2, position=end / 2, orientation=turn / np.linalg.norm(turn))
