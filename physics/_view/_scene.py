"""A page with a film, made by viser."""

import contextlib
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from ...solvers._report._panels import COLORS
from .._shapes import AbstractShape, Plane
from .._spatial import Pose
from ._surface import Surface, surface

WORLD = "world"
_FIELD_OF_VIEW = 0.6  # rad
_ASPECT = 1.4  # width over height, of a picture that must show everything
_STONE = (0.62, 0.63, 0.65)  # the world's shapes
_DIRECTION = (0.45, -1.0, 0.42)  # from what is seen to the eye: forward, to the left, up


class _Piece(NamedTuple):
    """A surface that is drawn, and the body (-1: the world) it belongs to."""

    body: int
    shape: AbstractShape
    surface: Surface


class _Extent(NamedTuple):
    """Where everything is at all times: some points (n, 3), their middle (3,), the radius around it."""

    points: np.ndarray
    middle: np.ndarray
    radius: float


def page(
    clock: np.ndarray,
    ts: np.ndarray,
    poses: Pose,
    bodies: tuple[str, ...],
    shapes: Mapping[str, tuple[AbstractShape, ...]],
    up: np.ndarray,
) -> str:
    """The text of the page; `clock` (t,) are the times in the film of the times `ts`."""
    places = {WORLD: -1, **{name: k for k, name in enumerate(bodies)}}
    drawn = [(places[name], shape) for name, some in shapes.items() for shape in some]
    pieces = [_Piece(k, shape, surface(shape)) for k, shape in drawn if not isinstance(shape, Plane)]
    planes = [(k, shape) for k, shape in drawn if isinstance(shape, Plane)]
    extent = _extent(pieces, poses)
    with _server() as server:
        scene = server.scene
        scene.set_up_direction(up)
        above = extent.middle + (np.max((extent.points - extent.middle) @ up) + 0.1 * extent.radius) * up
        _aim(server.initial_camera, extent._replace(points=np.vstack([extent.points, above])), up)
        frames = [
            scene.add_frame(
                _node(k, bodies), show_axes=False, axes_length=extent.radius / 4, axes_radius=extent.radius / 100
            )
            for k in range(len(bodies))
        ]
        for number, piece in enumerate(pieces):
            _add_surface(scene, f"{_node(piece.body, bodies)}/{number}", piece)
        for number, (k, plane) in enumerate(planes):
            _add_grid(scene, f"{_node(k, bodies)}/plane {number}", extent, *_own_pose(plane), plane.color)
        if not any(k < 0 for k, _ in planes):
            _add_grid(scene, "/ground", extent, _ground(extent, up) * up, _turn_of_z(up), None)
        label = scene.add_label(
            "/time", _time(ts[0], ts), position=above, anchor="bottom-center", font_screen_scale=1.4
        )
        _pose(frames, poses, 0)
        recording = server.get_scene_serializer()
        for i in range(1, len(clock)):
            recording.insert_sleep(float(clock[i] - clock[i - 1]))
            _pose(frames, poses, i)
            label.text = _time(ts[i], ts)
        if len(clock) > 1:
            recording.insert_sleep(float(np.median(np.diff(clock))))  # else the last frame would not be seen
        return _sealed(recording.as_html())


def _sealed(text: str) -> str:
    """The page with the order to the browser to load nothing that is not in it."""
    inside = "data: blob:"
    rule = (
        f"default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval' {inside}; style-src 'unsafe-inline'; "
        f"worker-src {inside}; connect-src {inside}; img-src {inside}; font-src {inside}"
    )
    text = text.replace("<head>", f'<head><meta http-equiv="Content-Security-Policy" content="{rule}">', 1)
    return text.replace("<title>Viser</title>", "<title>kinax</title>", 1)


@contextlib.contextmanager
def _server() -> Iterator[Any]:
    """A viser server, which scenes are made in: on a free port of this machine, silent, stopped at the end."""
    try:
        import rich
        import viser
    except ImportError as error:
        raise ImportError("Films need viser: pip install kinax[view]") from error
    console = rich.get_console()
    was_quiet, console.quiet = console.quiet, True
    try:
        server = viser.ViserServer(host="127.0.0.1", port=0, verbose=False)
        try:
            yield server
        finally:
            server.stop()
    finally:
        console.quiet = was_quiet


def _pose(frames: list[Any], poses: Pose, i: int) -> None:
    for k, frame in enumerate(frames):
        frame.position, frame.wxyz = poses.position[i, k], poses.orientation[i, k]


def _node(body: int, bodies: tuple[str, ...]) -> str:
    """The name in viser's tree; a slash would make a new branch of it."""
    return "/world" if body < 0 else f"/{body} {bodies[body].replace('/', '|')}"


def _time(t: float, ts: np.ndarray) -> str:
    span = float(ts[-1] - ts[0])
    digits = 2 if span <= 0 else max(0, 2 - math.floor(math.log10(span)))
    return f"t = {t:.{digits}f} s"


# what is seen


def _add_surface(scene: Any, name: str, piece: _Piece) -> None:
    position, orientation = _own_pose(piece.shape)
    color = piece.shape.color or (_STONE if piece.body < 0 else _of_hex(COLORS[piece.body % len(COLORS)]))
    scene.add_mesh_simple(
        name,
        piece.surface.vertices,
        piece.surface.faces,
        color=color[:3],
        opacity=color[3] if len(color) == 4 and color[3] < 1 else None,
        side="double",
        position=position,
        wxyz=orientation,
    )


def _add_grid(
    scene: Any, name: str, extent: _Extent, position: Any, orientation: Any, color: tuple[float, ...] | None
) -> None:
    section = 10 ** math.floor(math.log10(2 * extent.radius))
    scene.add_grid(
        name,
        infinite_grid=True,
        section_size=section,
        cell_size=section / 5,
        section_color=(0.74, 0.76, 0.78),
        cell_color=(0.86, 0.87, 0.88),
        plane_color=(0.965, 0.97, 0.975) if color is None else color[:3],
        plane_opacity=1.0,
        shadow_opacity=0.25,
        fade_distance=14 * extent.radius,
        fade_strength=1.5,
        position=position,
        wxyz=orientation,
    )


def _aim(camera: Any, extent: _Extent, up: np.ndarray) -> None:
    """As near as it can be with everything in a picture that is somewhat wider than high."""
    axes = _matrix(_turn_of_z(up))
    to_eye = axes @ (np.array(_DIRECTION) / np.linalg.norm(_DIRECTION))
    right = np.cross(up, to_eye) / np.linalg.norm(np.cross(up, to_eye))
    away = extent.points - extent.middle
    high, wide = np.abs(away @ np.cross(to_eye, right)), np.abs(away @ right)
    slope = math.tan(_FIELD_OF_VIEW / 2)
    distance = float(np.max(away @ to_eye + 1.2 * np.maximum(high, wide / _ASPECT) / slope))
    distance = max(distance, 2 * extent.radius)
    camera.position = extent.middle + distance * to_eye
    camera.look_at = extent.middle
    camera.up = up
    camera.fov = _FIELD_OF_VIEW
    camera.near, camera.far = distance / 300, 300 * distance


# where it is


def _extent(pieces: list[_Piece], poses: Pose) -> _Extent:
    """By some of the vertices at some of the times."""
    some = slice(None, None, -(-len(poses.position) // 60))
    position, turn = np.asarray(poses.position)[some], _matrix(np.asarray(poses.orientation)[some])
    clouds = [np.asarray(poses.position).reshape(-1, 3)] if not pieces else []
    for piece in pieces:
        vertices = piece.surface.vertices[:: -(-len(piece.surface.vertices) // 400)].astype(float)
        shift, orientation = _own_pose(piece.shape)
        points = vertices @ _matrix(orientation).T + shift
        if piece.body >= 0:
            points = np.einsum("tij,nj->tni", turn[:, piece.body], points) + position[:, piece.body, None, :]
        clouds.append(points.reshape(-1, 3))
    points = np.concatenate(clouds)
    low, high = points.min(axis=0), points.max(axis=0)
    middle = (low + high) / 2
    radius = float(np.max(np.linalg.norm(points - middle, axis=1)))
    return _Extent(points, middle, radius if radius > 0 else 1.0)


def _ground(extent: _Extent, up: np.ndarray) -> float:
    """At zero if things stand, walk or fly above it; a little below the lowest point of what hangs."""
    lowest, size = float(np.min(extent.points @ up)), extent.radius
    return 0.0 if -0.04 * size < lowest < 2 * size else lowest - 0.1 * size


def _own_pose(shape: AbstractShape) -> tuple[np.ndarray, np.ndarray]:
    orientation = np.asarray(shape.orientation, dtype=float)
    return np.asarray(shape.position, dtype=float), orientation / np.linalg.norm(orientation)


def _turn_of_z(direction: np.ndarray) -> np.ndarray:
    """The unit quaternion that turns z into a unit vector."""
    x, y, z = direction
    turn = np.array([1 + z, -y, x, 0.0]) if z > -1 + 1e-9 else np.array([0.0, 1.0, 0.0, 0.0])
    return turn / np.linalg.norm(turn)


def _matrix(quaternion: np.ndarray) -> np.ndarray:
    """(..., 4) -> (..., 3, 3)."""
    w, x, y, z = np.moveaxis(np.asarray(quaternion, dtype=float), -1, 0)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=-2)


def _of_hex(text: str) -> tuple[float, ...]:
    return tuple(int(text[i : i + 2], 16) / 255 for i in (1, 3, 5))
