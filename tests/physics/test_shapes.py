"""Volumes, centers and moments of inertia of shapes: by counting points, gradients, under jit, bad input."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from kinax.physics import about, Box, Capsule, Cylinder, Ellipsoid, Inertia, inertia_of, Mesh, Plane, Sphere
from scipy.spatial.transform import Rotation

POSE = dict(position=[0.3, -0.2, 0.5], orientation=about([1.0, 2.0, -0.5], 0.8))
CORNERS = np.array([[0.0, 0, 0], [0.5, 0, 0.1], [0.1, 0.6, 0], [0.05, 0.1, 0.7]])
FACES = np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]])

# each with a box that it fits in, and what is inside, in the shape's own frame
inside = {
    "sphere": (Sphere(0.4, **POSE), (0.4, 0.4, 0.4), lambda x, y, z: x**2 + y**2 + z**2 < 0.16),
    "ellipsoid": (
        Ellipsoid([0.2, 0.3, 0.5], **POSE),
        (0.2, 0.3, 0.5),
        lambda x, y, z: (x / 0.2) ** 2 + (y / 0.3) ** 2 + (z / 0.5) ** 2 < 1,
    ),
    "capsule": (
        Capsule(0.2, 0.3, **POSE),
        (0.2, 0.2, 0.5),
        lambda x, y, z: x**2 + y**2 + np.maximum(np.abs(z) - 0.3, 0) ** 2 < 0.04,
    ),
    "cylinder": (Cylinder(0.3, 0.2, **POSE), (0.3, 0.3, 0.2), lambda x, y, z: x**2 + y**2 < 0.09),
    "box": (Box([0.1, 0.2, 0.4], **POSE), (0.1, 0.2, 0.4), lambda x, y, z: np.full_like(x, True, dtype=bool)),
    "mesh": (
        Mesh(CORNERS, FACES, **POSE),
        (0.6, 0.6, 0.8),
        lambda *p: (
            np.all(np.linalg.solve((CORNERS[1:] - CORNERS[0]).T, np.stack(p)) > 0, axis=0)
            & (np.sum(np.linalg.solve((CORNERS[1:] - CORNERS[0]).T, np.stack(p)), axis=0) < 1)
        ),
    ),
}


def full(six):
    xx, xy, yy, xz, yz, zz = np.asarray(six)
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])


def counted(shape, half, is_inside, n=120):
    """Volume, center and moments for 1 kg by the middles of n³ small boxes."""
    axes = [(np.arange(n) + 0.5) / n * 2 * h - h for h in half]
    points = np.stack([x.ravel() for x in np.meshgrid(*axes, indexing="ij")])
    points = points[:, is_inside(*points)]
    volume = points.shape[1] * np.prod(2 * np.array(half)) / n**3
    turn = Rotation.from_quat(np.asarray(shape.orientation), scalar_first=True).as_matrix()
    points = np.asarray(shape.position)[:, None] + turn @ points
    center = points.mean(axis=1)
    second = (points - center[:, None]) @ (points - center[:, None]).T / points.shape[1]
    return volume, center, np.trace(second) * np.eye(3) - second


@pytest.mark.parametrize("name", inside)
def test_integrals_and_their_gradients(name):
    """Against counted points; then to sizes, position and orientation at a given density, against differences."""
    shape, half, is_inside = inside[name]
    floats, rest = eqx.partition(shape, eqx.is_inexact_array)
    flat, unravel = ravel_pytree(floats)

    def numbers(x):
        made = eqx.combine(unravel(x), rest)
        body = made.inertia_of_density(1.5)
        return jnp.concatenate([made.volume()[None], body.mass[None], body.center, body.moments])

    both = jax.jit(lambda x: (numbers(x), jax.jacrev(numbers)(x)))
    values, slopes = both(flat)

    volume, center, moments = counted(shape, half, is_inside)
    np.testing.assert_allclose(values[0], volume, rtol=5e-3)
    np.testing.assert_allclose(values[1], 1.5 * values[0], rtol=1e-12)
    np.testing.assert_allclose(values[2:5], center, atol=1e-3)
    np.testing.assert_allclose(full(values[5:] / values[1]), moments, atol=8e-3 * np.max(moments))
    step = 1e-6
    differences = [
        (both(flat.at[k].add(step))[0] - both(flat.at[k].add(-step))[0]) / (2 * step) for k in range(flat.size)
    ]
    np.testing.assert_allclose(slopes.T, np.array(differences), rtol=1e-6, atol=1e-8)


def tessellated(half_sizes):
    """A box as a mesh."""
    corners = np.array([[x, y, z] for x in (-1.0, 1) for y in (-1.0, 1) for z in (-1.0, 1)])
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    faces = np.array([triangle for a, b, c, d in quads for triangle in ([a, b, c], [a, c, d])])
    return Mesh(corners * np.array(half_sizes), faces, **POSE)


def test_shapes_that_are_one_another():
    """Closed forms to the last digits where two of them must agree; also far from the mesh's origin."""
    half = lambda z: Box([0.1, 0.2, 0.2], position=[0, 0, z])

    @jax.jit
    def pairs(shift):
        box = tessellated([0.1, 0.2, 0.4])
        far = eqx.tree_at(lambda m: m.vertices, box, box.vertices + shift[None])
        same = [
            (Box([0.1, 0.2, 0.4], **POSE), box),
            (Sphere(0.3, **POSE), Ellipsoid([0.3, 0.3, 0.3], **POSE)),
            (Sphere(0.3), Capsule(0.3, 1e-13)),
            (Cylinder(1e-7, 0.5), Capsule(1e-7, 0.5)),
        ]
        halves = inertia_of(half(0.2), half(-0.2), density=500.0), Box([0.1, 0.2, 0.4]).inertia_of_density(500.0)
        return [(a.inertia(3.0), b.inertia(3.0)) for a, b in same] + [halves], (far.inertia(3.0), box.inertia(3.0))

    found, (far, near) = pairs(jnp.array([1e4, 0.0, 0.0]))
    for (a, b), rtol in zip(found, (1e-13, 1e-14, 1e-11, 1e-6, 1e-13), strict=True):
        for name in ("mass", "center", "moments"):
            np.testing.assert_allclose(getattr(a, name), getattr(b, name), rtol=rtol, atol=rtol)
    np.testing.assert_allclose(far.moments, near.moments, rtol=1e-8, atol=1e-9)


def test_dtype_and_families():
    small = Capsule(np.float32(0.1), np.float32(0.2), position=np.zeros(3, np.float32))
    assert Sphere(np.float32(0.1)).volume().dtype == np.float32 and small.volume().dtype == np.float32
    radii = jnp.array([0.1, 0.2, 0.4])
    masses = jax.vmap(lambda r: Sphere(r).inertia_of_density(1000.0).mass)(radii)
    np.testing.assert_allclose(masses, 4000 / 3 * np.pi * np.asarray(radii) ** 3, rtol=1e-12)
    assert isinstance(Sphere(1).inertia(2), Inertia)  # whole numbers are numbers
    assert hash(jax.tree.structure(Box([1, 1, 1], color=[1, 0, 0]))) == hash(
        jax.tree.structure(Box([2, 1, 1], color=(1.0, 0.0, 0.0)))
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Sphere(-0.1), r"Sphere\.radius must be positive, got -0\.1"),
        (lambda: Sphere(np.nan), r"Sphere\.radius must be positive"),
        (lambda: Sphere(np.inf), r"Sphere\.radius holds NaN or infinity"),
        (lambda: Sphere([0.1, 0.2]), r"Sphere\.radius has shape \(2,\), expected \(\)"),
        (lambda: Capsule(0.1, 0.0), r"Capsule\.half_length must be positive"),
        (lambda: Cylinder(0.0, 1.0), r"Cylinder\.radius must be positive"),
        (lambda: Box([1.0, 2.0]), r"Box\.half_sizes has shape \(2,\), expected \(3,\)"),
        (lambda: Ellipsoid([1.0, 0.0, 2.0]), r"Ellipsoid\.radii must be positive"),
        (lambda: Plane(orientation=[0, 0, 0, 0]), r"Plane\.orientation is .* has length 1"),
        (lambda: Plane(position=[0, 0]), r"Plane\.position has shape \(2,\)"),
        (lambda: Sphere(1.0, position=[0, 0, np.nan]), r"Sphere\.position holds NaN"),
        (lambda: Sphere(1.0, color=(255, 0, 0)), r"Sphere\.color is .* between 0 and 1"),
        (lambda: Sphere(1.0).inertia(-1.0), "a mass is not negative"),
        (lambda: inertia_of(Sphere(1.0), Plane()), "Plane encloses no volume"),
        (lambda: inertia_of(), "at least one shape"),
        (lambda: Mesh(CORNERS[:, :2], FACES), r"Mesh\.vertices has shape \(4, 2\)"),
        (lambda: Mesh(CORNERS, FACES.astype(float)), r"Mesh\.faces holds float"),
        (lambda: Mesh(CORNERS, FACES + 1), r"indices from 1 to 4; there are 4 vertices"),
        (lambda: Mesh(CORNERS, FACES[:3]).volume(), "3 of its edges .* no volume"),
        (lambda: Mesh(CORNERS, FACES[:, ::-1]).inertia(1.0), "inside out"),
    ],
)
def test_bad_input_is_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()
