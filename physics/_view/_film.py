"""Bodies in motion, in three dimensions."""

import dataclasses
import functools
import html
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...solvers._checkpoint import written_whole
from .._mechanism import Mechanism
from .._shapes import AbstractShape
from .._spatial import Pose
from ._scene import page
from ._stand_in import stand_ins
from ._trajectory import coordinates, poses_of

_HEIGHT = 480  # pixels, in a notebook


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Film:
    """Bodies along a trajectory; the last line of a notebook's cell shows it, `.save("film.html")` makes a page of it.

    - `ts` (t,): the times that are shown; `poses`: positions (t, nb, 3) and orientations (t, nb, 4) of the `bodies`.
    - `shapes`: what is drawn of each body, and of the "world".
    - `up` (3,): the direction that is up on the screen.
    - `speed`: simulated seconds that pass in one second.

    The page needs nothing but a browser: it holds the viewer, and loads nothing. The mouse turns, shifts and zooms;
    below are a button to pause (or the space bar), a slider for the time, the speed, and a list of the bodies.
    Saving needs viser (`pip install kinax[view]`), which draws by three.js.
    """

    ts: np.ndarray
    poses: Pose
    bodies: tuple[str, ...]
    shapes: Mapping[str, tuple[AbstractShape, ...]]
    up: np.ndarray
    speed: float

    def __repr__(self) -> str:
        return f"Film({len(self.bodies)} bodies, {len(self.ts)} frames, t = {self.ts[0]:.6g} to {self.ts[-1]:.6g} s)"

    @functools.cached_property
    def html(self) -> str:
        """The page."""
        return page(self.ts / self.speed, self.ts, self.poses, self.bodies, self.shapes, self.up)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the page to a file."""
        with written_whole(path) as file:
            file.write(self.html.encode())

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" width="100%" height="{_HEIGHT}" title="Film of the mechanism" '
            'style="border: 1px solid #e4e4e4; display: block"></iframe>'
        )


def view(
    mechanism: Mechanism,
    trajectory: Any,
    *,
    shapes: Mapping[str, Sequence[Any]] | None = None,
    speed: float = 1.0,
    frames_per_second: float = 60.0,
) -> Film:
    """A film of a mechanism in three dimensions.

        film = view(arm, integrate(...), shapes={"forearm": [Capsule(0.03, 0.2)], "world": [Plane()]})
        film.save("arm.html")

    - `trajectory`: a `Solution` whose states have coordinates `q`, a pair (ts, ys) of times (t,) and such states, or
      a pair (ts, q) with q of shape (t, nq). One time makes a picture.
    - `shapes`: for the names of bodies, and for "world", what is drawn; the mechanism's own by default. Without any:
      bones from joint to joint and balls at the centers of mass, with volumes in proportion to the masses.
    - `speed`: simulated seconds per second; 0.1 is slow motion.
    - `frames_per_second`: of the film, at most; of more states some are left out.

    The opposite of gravity is up. Unless the world has a `Plane` a grid is drawn: at height 0 if everything stays
    above it, else below everything.
    """
    topology = mechanism.topology
    ts, q = coordinates(mechanism, trajectory)
    if not (np.isfinite(speed) and speed > 0):
        raise ValueError(f"speed is {speed}, expected a positive number of simulated seconds per second.")
    if not frames_per_second > 0:
        raise ValueError(f"frames_per_second is {frames_per_second}, expected a positive number.")
    drawn = mechanism.shapes if shapes is None else _checked(shapes, topology.names)
    kept = _spaced(ts / speed, 1 / frames_per_second)
    return Film(
        ts=ts[kept],
        poses=poses_of(mechanism, q[kept]),
        bodies=topology.names,
        shapes=drawn or stand_ins(mechanism),
        up=_up(np.asarray(mechanism.gravity, dtype=float)),
        speed=float(speed),
    )


def _spaced(ts: np.ndarray, gap: float) -> np.ndarray:
    """Indices of times that lie `gap` apart, about; the first and the last among them."""
    frame = np.floor((ts - ts[0]) / gap * (1 + 1e-9))
    kept = np.flatnonzero(np.diff(frame, prepend=-1.0) > 0)
    return kept if kept[-1] == ts.size - 1 else np.append(kept, ts.size - 1)


def _checked(shapes: Mapping[str, Sequence[Any]], bodies: tuple[str, ...]) -> dict[str, tuple[AbstractShape, ...]]:
    unknown = [name for name in shapes if name not in (*bodies, "world")]
    if unknown:
        raise ValueError(f"No body is named {', '.join(map(repr, unknown))}; there are {', '.join(bodies)}, and world.")
    found = {name: tuple(some) for name, some in shapes.items()}
    for name, some in found.items():
        for shape in some:
            if not isinstance(shape, AbstractShape):
                raise ValueError(f"Body {name!r} has the shape {shape!r}; shapes are Sphere(...), Box(...) and so on.")
    return found


def _up(gravity: np.ndarray) -> np.ndarray:
    """The world's z axis if nothing falls."""
    length = np.linalg.norm(gravity)
    return -gravity / length if length > 0 else np.array([0.0, 0.0, 1.0])
