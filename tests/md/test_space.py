"""Boxes: shortest images against a search, wrapping, widths, strain, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.md import AllPairs, forces, Free, LennardJones, OpenMMSwitch, Periodic, repeat, System, Triclinic

TILTED = [[4.0, 0.0, 0.0], [1.9, 3.5, 0.0], [-1.7, 1.6, 3.0]]
SPACES = [
    Free(),
    Periodic(lengths=[3.0, 4.0, 5.0]),
    Periodic(lengths=[3.0, 4.0, 5.0], axes=(True, True, False)),
    Triclinic(cell=TILTED),
    Triclinic(cell=TILTED, axes=(True, False, True)),
]


def images(space):
    ranges = [range(-4, 5) if periodic else (0,) for periodic in space.axes]
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    return shifts @ np.asarray(space.cell)


@pytest.mark.parametrize("space", SPACES, ids=lambda s: f"{type(s).__name__}{sum(s.axes)}")
def test_displacement_is_the_shortest_and_wrapping_changes_nothing(space):
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-9, 9, (2, 200, 3))
    found = jax.vmap(space.displacement)(jnp.asarray(a), jnp.asarray(b))
    candidates = (a - b)[:, None, :] - np.rint((a - b) @ np.linalg.inv(space.cell) * space.axes)[
        :, None, :
    ] @ space.cell
    candidates = candidates + images(space)[None]
    shortest = candidates[np.arange(200), np.argmin(np.sum(candidates**2, axis=2), axis=1)]
    sure = np.linalg.norm(shortest, axis=1) < np.min(space.widths) / 2  # the promise for tilted cells
    assert sure.sum() > 5
    np.testing.assert_allclose(found[sure], shortest[sure], atol=1e-12)
    inside, image = space.wrap(jnp.asarray(a))
    np.testing.assert_allclose(inside + np.asarray(image, float) @ space.cell, a, atol=1e-12)
    fraction = (inside @ np.linalg.inv(space.cell))[:, np.asarray(space.axes)]
    assert fraction.size == 0 or (fraction.min() > -1e-12 and fraction.max() < 1 + 1e-12)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_atoms_half_way_between_two_images(dtype):
    """Of a perfect crystal, an even number of cells wide, they are many, and rounding decides; no force may remain."""
    pair = LennardJones(cutoff=OpenMMSwitch(radius=2.5, onset=2.2))
    corner = 0.78 * jnp.array([[0, 1.0, 1], [1, 0, 1], [1, 1, 0]], dtype)
    for counts in (6, 8):
        crystal = repeat(System(jnp.zeros((1, 3), dtype), Triclinic(cell=corner)), counts)
        found = forces(pair, crystal, AllPairs.make(crystal.space, 2.5))
        assert found.dtype == dtype and jnp.abs(found).max() < (1e-3 if dtype == jnp.float32 else 1e-11)


def test_widths_volume_and_strain():
    space = Triclinic(cell=TILTED)
    cell = np.asarray(TILTED)
    areas = [np.linalg.norm(np.cross(cell[(k + 1) % 3], cell[(k + 2) % 3])) for k in range(3)]
    np.testing.assert_allclose(space.widths, np.linalg.det(cell) / areas)
    np.testing.assert_allclose(space.volume, np.linalg.det(cell))
    assert np.isinf(Free().volume) and np.isinf(Periodic(lengths=[3.0, 4.0, 5.0], axes=(True, True, False)).widths[2])
    strain = jnp.asarray([[0.01, 0.02, 0.0], [0.0, -0.03, 0.01], [0.0, 0.0, 0.02]])
    for box in SPACES[1], SPACES[3]:
        np.testing.assert_allclose(box.strained(strain).cell, box.cell @ (np.eye(3) + strain))
    slope = jax.grad(lambda box: box.volume)(SPACES[1]).lengths
    np.testing.assert_allclose(slope, [20.0, 15.0, 12.0])


def test_bad_boxes_and_atoms_are_refused_with_the_cure():
    bad = [
        (lambda: Periodic(lengths=[1.0, 0.0, 2.0]), "positive"),
        (lambda: Periodic(lengths=[1.0, jnp.nan, 2.0]), "finite"),
        (lambda: Periodic(lengths=3.0), "one for each axis"),
        (lambda: Periodic(lengths=[1.0, 1.0, 1.0], axes=(False, False, False)), "Free"),
        (lambda: Triclinic(cell=[[1.0, 0, 0], [0, 0, 1], [0, 1, 0]]), "left-handed"),
        (lambda: Triclinic(cell=[[1.0, 0, 0], [0, 1, 0], [1, 1, 0]]), "degenerate"),
        (lambda: System([[0.0, 0.0]], Free()), r"expected \(n, 3\)"),
        (lambda: System([[0.0, 0.0, jnp.nan]], Free()), "NaN or infinite for atom 0"),
        (lambda: System(np.zeros((2, 3)), Free(), mass=[1.0, 0.0]), "atom 1 has 0"),
        (lambda: System(np.zeros((2, 3)), Free(), mass=-1.0), "must be positive"),
        (lambda: System(np.zeros((2, 3)), Free(), species=[0.5, 1.0]), "whole numbers"),
    ]
    for make, words in bad:
        with pytest.raises(ValueError, match=words):
            make()
