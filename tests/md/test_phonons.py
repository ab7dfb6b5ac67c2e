"""Vibrations of crystals: closed forms, differences of forces, elastic constants; derivatives where modes are equal."""

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest
from kinax.md import (
    AllPairs,
    band_path,
    diamond,
    elastic_constants,
    External,
    forces,
    Free,
    HarmonicBond,
    LennardJones,
    Periodic,
    phonons,
    repeat,
    StillingerWeber,
    System,
    Triclinic,
    Truncated,
)

NEAR = Truncated(radius=1.3)  # in units of sigma, beyond the first neighbors at 2^(1/6) only
SPRING = 72 / 2 ** (1 / 3)  # the curvature of the well
EDGE = 2 ** (2 / 3)  # of the cube whose first neighbors lie in the well
SILICON = 5.43095


class Well(eqx.Module):
    stiffness: Any

    def __call__(self, position):
        return self.stiffness * jnp.sum(position**2) / 2


def face_centered(edge, basis=((0.0, 0.0, 0.0),), mass=1.0):
    """A primitive cell."""
    cell = edge / 2 * np.array([[0, 1.0, 1], [1, 0, 1], [1, 1, 0]])
    return System(edge * np.array(basis), Triclinic(cell=cell), mass=mass)


def silicon():
    return face_centered(SILICON, ((0, 0, 0), (0.25, 0.25, 0.25)))


def test_first_neighbors_have_a_closed_form():
    r"""$D(q) = \frac{k}{m} \sum_d \hat d \hat d^T (1 - \cos q \cdot d)$ over the twelve first neighbors d."""
    crystal = phonons(LennardJones(cutoff=NEAR), face_centered(EDGE, mass=2.0))
    near = np.array([v for v in np.ndindex(3, 3, 3) if sum(x != 1 for x in v) == 2]) - 1
    wave = np.random.default_rng(0).normal(size=(20, 3)) * 3
    outer = near[:, :, None] * near[:, None, :] / 2
    matrix = SPRING / 2 * np.einsum("dij,qd->qij", outer, 1 - np.cos(wave @ near.T * EDGE / 2))
    expected = np.linalg.eigvalsh(matrix)
    np.testing.assert_allclose(crystal.eigenvalues(crystal.fractional(wave)), expected, atol=1e-9)
    # along [100], 2 sqrt(k/m) |sin(q a / 4)|, twice, and sqrt(2) as much
    frequencies = crystal.frequencies(crystal.fractional(np.array([1.3, 0, 0])))
    transverse = np.sqrt(2 * SPRING) * np.sin(1.3 * EDGE / 4)
    np.testing.assert_allclose(frequencies, transverse * np.array([1, 1, 2**0.5]), rtol=1e-10)
    np.testing.assert_allclose(crystal.frequencies(np.zeros(3)), 0, atol=1e-5)

    q = np.array([0.1, 0.2, 0.3])
    values, vectors = map(np.asarray, crystal.modes(q[None]))
    assert vectors.shape == (1, 3, 1, 3)
    waves = vectors.reshape(3, 3).T
    np.testing.assert_allclose(np.asarray(crystal.dynamical_matrix(q)) @ waves, waves * values**2, atol=1e-9)

    bands = crystal.bands([("Γ", (0, 0, 0)), ("X", (0.5, 0, 0.5)), None, ("U", (0.625, 0.25, 0.625)), ("Γ", (0, 0, 0))])
    assert [name for _, name in bands.corners] == ["Γ", "X|U", "Γ"]
    np.testing.assert_allclose(bands.x[0, -1], 2 * np.pi / EDGE)
    top = np.sqrt(4 * SPRING)
    np.testing.assert_allclose(bands.frequencies[0, -1, -1], top, rtol=1e-9)
    at = np.linspace(-2, 18, 600)
    density = crystal.density(at, mesh=8, width=0.3)
    np.testing.assert_allclose(np.trapezoid(density, at), 3, rtol=1e-6)
    # its second moment is the trace of the atom's own force constant, and the width's
    expected = np.trace(crystal.constants[0, 0, :, 0, :]) / 2 + 3 * 0.3**2
    np.testing.assert_allclose(np.trapezoid(density * at**2, at), expected, rtol=1e-6)


@pytest.mark.slow
def test_derivatives_where_frequencies_are_equal():
    """At L two modes are equal, at the zone's center all are 0; by sigma and the size of the box together."""
    q = np.array([[0.5, 0.5, 0.5], [0.0, 0, 0], [0.1, 0.2, 0.4]])
    crystal = face_centered(EDGE)
    lists = AllPairs.make(repeat(crystal, 3).space, 1.3)

    def observed(t):
        strained = crystal.strained(0.3 * t * jnp.eye(3))
        found = phonons(LennardJones(sigma=1 + t, cutoff=NEAR), strained, cells=3, neighbors=lists)
        return jnp.concatenate([found.eigenvalues(q).reshape(-1), found.frequencies(q).reshape(-1)])

    def both(t):
        return jax.jvp(observed, (t,), (jnp.ones(()),))

    t, h, weight = jnp.asarray(0.01), 1e-5, np.cos(np.arange(18.0))
    compiled = jax.jit(both)
    (values, first), (ahead, steeper), (behind, flatter) = (compiled(x) for x in (t, t + h, t - h))
    center = np.abs(values) < 1e-5  # what is 0 but for rounding
    assert center.sum() == 6
    np.testing.assert_allclose(first[~center], ((ahead - behind) / (2 * h))[~center], rtol=1e-6)
    np.testing.assert_allclose(first[center], 0, atol=1e-6 * np.abs(first).max())
    reverse = jax.jit(jax.grad(lambda t: observed(t) @ weight))(t)
    np.testing.assert_allclose(reverse, first @ weight, rtol=1e-7)
    found = jax.jit(lambda t: jax.jvp(lambda t: both(t)[1], (t,), (jnp.ones(()),))[1])(t)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[~center], ((steeper - flatter) / (2 * h))[~center], rtol=1e-5)


def test_clusters_and_fields():
    pair = System([[0.0, 0, 0], [2 ** (1 / 6), 0, 0]], Free(), mass=[1.0, 3.0])
    found = phonons(LennardJones(cutoff=NEAR), pair).frequencies(np.ones(3))
    np.testing.assert_allclose(found, [0, 0, 0, 0, 0, np.sqrt(SPRING * 4 / 3)], atol=1e-5)
    # what a field holds does not vibrate as a whole: no sum rule is imposed; a soft mode; a frequency that is just 0
    here, lists = System([[0.0, 0, 0]], Free()), AllPairs.make(Free(), 1.0)
    found = lambda k: phonons(External(Well(k)), here, cells=1, neighbors=lists).frequencies(np.zeros(3))[0]
    slope = jax.jit(jax.vmap(jax.value_and_grad(found)))
    np.testing.assert_allclose(slope(jnp.array([4.0, -4.0, 0.0])), [(2, -2, 0), (0.25, 0.25, 0)])


def test_float32_stays_float32():
    with jax.enable_x64(False):
        crystal = phonons(LennardJones(cutoff=NEAR), face_centered(np.float32(EDGE)))
        frequencies, waves = crystal.modes(np.array([[0.5, 0, 0.5], [0, 0, 0]]))
    assert (frequencies.dtype, waves.dtype) == (jnp.float32, jnp.complex64)
    np.testing.assert_allclose(frequencies[0], np.sqrt(SPRING * np.array([4, 4, 8])), rtol=1e-4)
    np.testing.assert_allclose(frequencies[1], 0, atol=2e-2)


def test_customary_path_and_picture():
    matplotlib.use("Agg")
    corners = band_path(face_centered(EDGE))
    assert [c and c[0] for c in corners] == [*"ΓXWKΓLUWLK", None, *"UX"]
    crystal = phonons(LennardJones(cutoff=NEAR), face_centered(EDGE))
    bands = crystal.bands(corners, points=3)
    axes = bands.plot(scale=2.0, unit="THz", name="one")
    assert bands.plot(name="two", ax=axes) is axes
    assert [t.get_text() for t in axes.get_xticklabels()][-2:] == ["K|U", "X"]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["one", "two"]
    np.testing.assert_allclose(axes.get_lines()[0].get_ydata(), 2 * bands.frequencies[0, :, 0])


def test_bad_input_is_refused():
    lj, cell = LennardJones(cutoff=Truncated(radius=2.5)), face_centered(EDGE)
    pair = System([[0.1, 0, 0], [1.5, 0, 0]], Free())
    slab = System([[0.0, 0, 0]], Periodic(lengths=(1.0, 1.0, 1.0), axes=(True, True, False)))
    moving = System(cell.position, cell.space, fixed=np.array([True]))
    crystal = phonons(LennardJones(cutoff=NEAR), cell)
    bad = [
        (lambda: phonons(lj, cell, cells=(5, 6, 6)), "cells = (5, 6, 6) are too few: force constants reach 2.5"),
        (lambda: phonons(StillingerWeber(), silicon(), cells=4), "Give at least (5, 5, 5)"),
        (lambda: phonons(lj, pair), "find them with `minimize`"),
        (lambda: phonons(lj, moving), "without `fixed`"),
        (
            lambda: phonons(LennardJones(cutoff=NEAR) + HarmonicBond(atoms=[[0, 1]], stiffness=1.0, length=1.0), cell),
            "lists atoms",
        ),
        (lambda: repeat(slab, 2), "give 1 for the others"),
        (lambda: jax.jit(lambda r: phonons(LennardJones(cutoff=Truncated(radius=r)), cell))(2.5), "`cells` must be"),
        (lambda: crystal.bands([("Γ", (0, 0, 0))]), "two corners"),
        (lambda: crystal.bands([("Γ", (0, 0)), ("X", (0, 1))]), "three numbers"),
        (lambda: crystal.density(np.ones(1), mesh=0, width=1.0), "at least 1"),
    ]
    for make, words in bad:
        with pytest.raises(ValueError, match=re.escape(words)):
            make()
    lists = AllPairs.make(Free(), 2.5)
    assert np.isnan(jax.jit(lambda: phonons(lj, pair, cells=1, neighbors=lists).constants)()).all()


@pytest.mark.slow
def test_silicon_agrees_with_differences_of_forces_and_with_its_elastic_constants():
    """The cube of 8 atoms, at its zone's center, has the modes of the primitive cell there and at three X."""
    potential, cube, h = StillingerWeber(), diamond(1, SILICON), 1e-4
    unit = np.eye(24).reshape(24, 8, 3)
    force = lambda x: forces(potential, cube.replace(position=cube.position + x))
    matrix = -np.stack([(force(h * e) - force(-h * e)).reshape(-1) / (2 * h) for e in unit])
    expected = np.linalg.eigvalsh((matrix + matrix.T) / 2)
    crystal = phonons(potential, silicon())
    q = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    found = crystal.eigenvalues(q)
    np.testing.assert_allclose(np.sort(found.reshape(-1)), expected, rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(found[0, 3:], expected[-3:], rtol=1e-6)  # the optical frequency, three times

    constants = elastic_constants(potential, cube)
    speed2 = SILICON**3 / 8 * np.array([constants[3, 3], constants[3, 3], constants[0, 0]])  # of unit mass
    k = 1e-3
    along = crystal.eigenvalues(crystal.fractional(np.array([k, 0, 0])))[:3] / k**2
    np.testing.assert_allclose(along, speed2, rtol=2e-5)

    # a parameter that acts on the angles alone, where three modes are equal
    lists = AllPairs.make(repeat(silicon(), 5).space, 3.8)
    optical = lambda p: phonons(p, silicon(), cells=5, neighbors=lists).eigenvalues(q[0])[3]
    slope = jax.jit(jax.grad(lambda p: optical(StillingerWeber(lam=p[0], epsilon=p[1]))))(jnp.array([21.0, 2.1683]))
    difference = (optical(StillingerWeber(lam=21.01)) - optical(StillingerWeber(lam=20.99))) / 0.02
    np.testing.assert_allclose(slope, (difference, found[0, 3] / 2.1683), rtol=1e-7)
