"""Films and plots of mechanisms: what the page shows is where the bodies are, and it loads nothing."""

import base64
import functools
import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import (
    Ball,
    Body,
    Box,
    Capsule,
    Cylinder,
    Ellipsoid,
    Free,
    Hinge,
    Inertia,
    JointState,
    mechanism,
    Mesh,
    Motion,
    Plane,
    Sphere,
)
from kinax.physics._view import plot_energy, plot_phase, view
from kinax.solvers import RESULTS, Solution
from scipy.integrate import solve_ivp

msgspec, zstandard = pytest.importorskip("msgspec"), pytest.importorskip("zstandard")
pytest.importorskip("viser")

TETRAHEDRON = Mesh(np.vstack([np.zeros(3), np.eye(3)]) * 0.2, np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]))


@functools.cache
def robot():
    heavy = lambda z: Inertia(1.0, center=[0, 0, z], moments=[0.02, 0.02, 0.01])
    return mechanism(
        Body("base/plate", joint=Free(), position=[0, 0, 1.0], inertia=heavy(0.0)),
        Body("arm", parent="base/plate", joint=Hinge(axis=[0, 1, 0]), position=[0, 0.2, 0], inertia=heavy(-0.3)),
        Body("hand", parent="arm", joint=Ball(), position=[0, 0, -0.6], inertia=heavy(-0.1)),
    )


def motion(made, n=40):
    """Any motion: the coordinates need not obey an equation."""
    ts = np.linspace(0.5, 2.5, n)
    rng = np.random.default_rng(0)
    q = np.array(made.rest) + 0.3 * np.sin(ts[:, None] * rng.uniform(1, 2, made.rest.size))
    return ts, q


def recorded(page):
    """The messages of a page, with their times."""
    found = re.search(r'__VISER_EMBED_DATA__="([^"]*)"', page)
    assert found
    data = base64.b64decode(found[1])
    content = zstandard.ZstdDecompressor().decompress(data[8:], max_output_size=int.from_bytes(data[:8], "little"))
    length = int.from_bytes(content[:8], "little")
    return msgspec.msgpack.decode(content[8 : 8 + length])


def played(page, time):
    """Positions and orientations of all nodes of the page at a time of the film."""
    positions, orientations = {}, {}
    for t, message in recorded(page)["messages"]:
        if t <= time + 1e-9 and message["type"] == "SetPositionMessage":
            positions[message["name"]] = message["position"]
        if t <= time + 1e-9 and message["type"] == "SetOrientationMessage":
            orientations[message["name"]] = message["wxyz"]
    return positions, orientations


def test_page_shows_where_the_bodies_are(tmp_path):
    made = robot()
    ts, q = motion(made)
    shapes = {
        "base/plate": [Box([0.2, 0.3, 0.05]), TETRAHEDRON],
        "arm": (Capsule(0.05, 0.25, position=[0, 0, -0.3], color=(0.1, 0.5, 0.9, 0.5)), Cylinder(0.08, 0.1)),
        "hand": [Ellipsoid([0.05, 0.1, 0.2], orientation=[0.8, 0.6, 0, 0]), Sphere(0.05)],
        "world": [Plane()],
    }
    film = view(made, (ts, JointState(q=q, v=np.zeros((ts.size, 10)))), shapes=shapes, speed=0.5)
    film.save(tmp_path / "film.html")
    page = (tmp_path / "film.html").read_text()

    assert len(page) < 1.5e6
    rule = re.search(r'<head><meta http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert rule and rule[1].startswith("default-src 'none'; ")  # the browser may fetch nothing
    assert set(re.findall(r"[a-z*]+:", rule[1])) == {"data:", "blob:"}
    outside = re.sub(r"<script.*?</script>|<style.*?</style>", "", page, flags=re.DOTALL)
    assert not re.search(r"https?://(?!www\.w3\.org/)|src=", outside)
    poses = jax.jit(lambda q: made.poses(q))
    for k in (0, 17, 39):
        positions, orientations = played(page, 2 * (ts[k] - ts[0]))
        there = poses(jnp.asarray(q[k]))
        for b, name in enumerate(["/0 base|plate", "/1 arm", "/2 hand"]):
            np.testing.assert_allclose(positions[name], there.position[b], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(orientations[name], there.orientation[b], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(orientations["/2 hand/4"], [0.8, 0.6, 0, 0])
    labels = [m["updates"]["text"] for t, m in recorded(page)["messages"] if m["type"] == "SceneNodeUpdateMessage"]
    assert labels[-1] == "t = 2.50 s"
    assert film._repr_html_().startswith("<iframe srcdoc=")
    assert repr(film) == "Film(3 bodies, 40 frames, t = 0.5 to 2.5 s)"


def test_bodies_without_shapes_and_frames_left_out():
    """Bones lead from a body's origin to where its children hang and to its center of mass."""
    made = eqx.tree_at(lambda m: m.gravity, robot(), jnp.zeros(3))
    ts, q = motion(made, 400)
    film = view(made, (ts, q), frames_per_second=30.0)
    assert 58 <= film.ts.size <= 62 and film.ts[0] == ts[0] and film.ts[-1] == ts[-1]
    np.testing.assert_allclose(film.up, [0, 0, 1])
    bone, ball = film.shapes["hand"]
    np.testing.assert_allclose(ball.position, [0, 0, -0.1])
    assert isinstance(bone, Capsule) and bone.half_length == 0.05
    assert [type(s).__name__ for s in film.shapes["arm"]] == ["Capsule", "Capsule", "Sphere"]
    still = view(made, (ts[:1], q[:1]), shapes={})
    assert recorded(still.html)["durationSeconds"] == 0


def test_solutions_and_energies():
    """Times that were not reached, because an event ended the run, are left out."""
    made = mechanism(Body("rod", joint=Hinge(axis=[0, 1, 0]), inertia=Inertia(1.0, center=[0, 0, -1.0])))
    ts = np.linspace(0, 2, 81)
    found = solve_ivp(lambda t, y: [y[1], -9.81 * np.sin(y[0])], (0, 2), [1.0, 0.0], t_eval=ts, rtol=1e-9, atol=1e-9)
    ys = Motion(q=found.y[0][:, None], v=found.y[1][:, None])
    cut = np.where(ts < 1.49, ts, np.inf)
    result: Any = RESULTS.event_occurred
    solution = Solution(ts=cut, ys=ys, state=None, stats={}, result=result)
    film = view(made, solution, frames_per_second=1000.0)
    np.testing.assert_allclose(film.ts, ts[:60])

    figure = plot_energy(made, (ts, ys))
    kinetic, potential, total = (line.get_ydata() for line in figure.axes[0].lines)
    np.testing.assert_allclose(kinetic, ys.v[:, 0] ** 2 / 2, rtol=1e-12)
    np.testing.assert_allclose(potential, -9.81 * np.cos(ys.q[:, 0]), rtol=1e-12)
    np.testing.assert_allclose(total, total[0], rtol=1e-6)
    assert np.abs(figure.axes[1].lines[0].get_ydata()).max() < 1e-6


def test_phase_portraits():
    made = robot()
    ts, q = motion(made)
    states = (ts, JointState(q=q, v=np.cos(np.arange(ts.size * 10).reshape(-1, 10))))
    figure = plot_phase(made, states)
    assert [ax.get_xlabel() for ax in figure.axes] == [
        *(f"base/plate {axis} [m]" for axis in "xyz"),
        *(f"base/plate turn {axis} [rad]" for axis in "xyz"),
        "arm [rad]",
        *(f"hand turn {axis} [rad]" for axis in "xyz"),
    ]
    (arm,) = plot_phase(made, states, joints=["arm"]).axes
    np.testing.assert_allclose(arm.lines[0].get_xdata(), q[:, 7])
    np.testing.assert_allclose(arm.lines[0].get_ydata(), states[1].v[:, 6])
    with pytest.raises(ValueError, match="0 degrees of freedom were chosen"):
        plot_phase(made, states, joints=[])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, ts, q: view(m, q), r"A trajectory is a Solution or a pair \(ts, ys\), not ndarray"),
        (lambda m, ts, q: view(m, (ts, q[:, :-1])), r"q of the trajectory has shape \(40, 11\), expected \(40, 12\)"),
        (lambda m, ts, q: view(m, (np.stack([ts, ts]), q)), r"times have shape \(2, 40\), .* take one"),
        (lambda m, ts, q: view(m, (ts[::-1], q)), "do not decrease"),
        (
            lambda m, ts, q: view(m, (ts, np.where(ts[:, None] > 1.5, np.nan, q))),
            r"not finite from t = 1\.52564 on: the run failed there",
        ),
        (lambda m, ts, q: view(m, (ts, q), shapes={"leg": [Sphere(0.1)]}), "No body is named 'leg'; there are base/pl"),
        (lambda m, ts, q: view(m, (ts, q), shapes={"arm": ["ball"]}), "Body 'arm' has the shape 'ball'"),
        (lambda m, ts, q: view(m, (ts, q), speed=0.0), "speed is 0.0"),
        (lambda m, ts, q: plot_energy(m, (ts, q)), "need states with `q` and `v`"),
    ],
)
def test_bad_input_is_named(call, message):
    made = robot()
    with pytest.raises(ValueError, match=message):
        call(made, *motion(made))
