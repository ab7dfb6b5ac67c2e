"""Observables of configurations and trajectories whose statistics are known."""

from typing import Any

import jax
import jax.numpy as jnp
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.signal
from kinax.md import (
    angle_distribution,
    average,
    configurational_temperature,
    diamond,
    diffusion,
    External,
    fcc,
    forces,
    Free,
    green_kubo_diffusion,
    green_kubo_viscosity,
    LennardJones,
    mean_square_displacement,
    neighbor_list,
    OpenMMSwitch,
    Periodic,
    radial_distribution,
    structure_factor,
    System,
    Triclinic,
    velocity_autocorrelation,
)

TILTED = Triclinic(cell=[[6.0, 0, 0], [2.0, 5.5, 0], [-1.0, 1.5, 6.5]])
SLAB = Triclinic(cell=[[6.0, 0, 0], [2.0, 5.5, 0], [0, 0, 3.0]], axes=(True, True, False))
WIRE = Periodic(lengths=[3.0, 3.0, 6.0], axes=(False, False, True))


def trajectory(position, space, velocity=None, species: Any = 0):
    """A stacked system, as `rollout` returns it; atoms in the box, with their images."""
    velocity = np.zeros_like(position) if velocity is None else velocity
    make = lambda x, v: System(x, space, velocity=v, species=species).wrapped()
    return jax.jit(jax.vmap(make))(jnp.asarray(position), jnp.asarray(velocity))


def autoregressive(shape, keep, seed):
    """x[k + 1] = keep x[k] + noise, of variance 1: correlations keep ** k."""
    noise = np.random.default_rng(seed).normal(size=shape) * np.sqrt(1 - keep**2)
    noise[0] /= np.sqrt(1 - keep**2)
    return scipy.signal.lfilter([1], [1, -keep], noise, axis=0)


@pytest.mark.parametrize("keep", [0.0, 0.9, -0.5])
def test_errors_of_averages_account_for_correlation(keep):
    n, runs = 4000, 200
    result = average(autoregressive((n, runs), keep, 0))
    np.testing.assert_allclose(result.samples.mean(), n * (1 - keep) / (1 + keep), rtol=0.05)
    # the error is that by which means differ from run to run
    np.testing.assert_allclose(result.error.mean(), result.mean.std(), rtol=0.15)
    assert (abs(result.mean) < 2 * result.error).mean() > 0.9


def test_averages_of_few_and_constant_entries():
    flat = average(np.full((10, 2), 3.3))
    assert (flat.error == 0).all() and (flat.samples == 10).all() and "+-" in str(average(np.arange(9.0)))
    for series, words in [(np.ones(3), "too short"), (np.array([1, 2, np.nan, 3]), "NaN or infinite at entry")]:
        with pytest.raises(ValueError, match=words):
            average(series)


@pytest.mark.parametrize("space", [TILTED, SLAB, WIRE], ids=["tilted", "slab", "wire"])
def test_without_correlations_g_and_s_are_one(space):
    """Two species, beyond half the box."""
    rng = np.random.default_rng(1)
    x = rng.uniform(size=(60, 40, 3)) @ np.asarray(space.cell)
    systems = trajectory(x, space, species=[0] * 10 + [1] * 30)
    g = radial_distribution(systems, np.linspace(0, 4.5, 10))
    assert g.mean.shape == (2, 2, 9) and 0.7 < np.median(g.samples) / 60 < 1.3
    np.testing.assert_allclose(g.mean, np.swapaxes(g.mean, 0, 1), rtol=1e-12)
    assert (abs(g.mean - 1) < 4.5 * g.error + 1e-12).all() and (g.error[1, 1, 2:] < 0.1).all()
    if all(space.axes):
        s = structure_factor(systems, [0, 0.5, 2, 3, 4, 5, 6])
        assert (abs(s.mean - 1) < 4.5 * s.error)[2:].all() and np.isnan(s.mean[0])
        k = np.linalg.solve(np.asarray(space.cell), 2 * np.pi * np.array([1, -1, 2]))
        direct = [abs(np.exp(1j * frame @ k).sum()) ** 2 / 40 for frame in x]
        at = np.linalg.norm(k)
        one = structure_factor(systems, [at * (1 - 1e-9), at * (1 + 1e-9)])
        np.testing.assert_allclose(one.mean, np.mean(direct), rtol=1e-10)
        split = structure_factor(systems, [at * (1 - 1e-9), at * (1 + 1e-9)], weights=[1.0, 0.0])
        direct = [abs(np.exp(1j * frame[:10] @ k).sum()) ** 2 / 10 for frame in x]
        np.testing.assert_allclose(split.mean, np.mean(direct), rtol=1e-10)


def test_crystals():
    """Shells of neighbors, Bragg peaks and angles, however the cell is chosen."""
    spacing = 1.6
    cubic = fcc(2, spacing)
    half = spacing / 2 * np.array([[0, 1.0, 1], [1, 0, 1], [1, 1, 0]])
    skew = System([[0.1, 0.2, 0.3]], Triclinic(cell=half))
    for system, size in ((cubic, 32), (skew, 1)):
        edges = spacing * np.array([0.6, 0.8, 1.1, 1.3])
        g = radial_distribution(system, edges)
        if size > 1:
            shells = g.mean[0, 0] * np.diff(4 / 3 * np.pi * edges**3) * (size - 1) / system.space.volume
            np.testing.assert_allclose(shells, [12, 6, 24])
        peak = 2 * np.pi / spacing * np.sqrt(3)
        np.testing.assert_allclose(structure_factor(system, [peak * 0.999, peak * 1.001]).mean, size, rtol=1e-9)
        edges = np.deg2rad([0, 59, 61, 89, 91, 119, 121, 179, 180])
        angles = angle_distribution(system, 0.8 * spacing, edges)
        np.testing.assert_allclose(angles.mean * np.diff(edges) * 66, [0, 24, 0, 12, 0, 24, 0, 6], atol=1e-9)
    tetrahedral = angle_distribution(diamond(1, 1.0), 0.5, np.arccos([1, -0.33, -0.34, -1])).mean
    assert tetrahedral[0] == tetrahedral[2] == 0 < tetrahedral[1]


def test_displacements_are_those_of_the_definition():
    rng = np.random.default_rng(2)
    x = np.cumsum(rng.normal(size=(80, 5, 3)), axis=0) + 1e3
    systems, ts = trajectory(x, TILTED, species=[0, 0, 1, 1, 1]), 0.5 * np.arange(1, 81)
    curve = mean_square_displacement(ts, systems, blocks=2, species=1)
    parts = [[np.mean(np.sum((p[k:] - p[: 40 - k]) ** 2, axis=2)) for k in range(21)] for p in (x[:40, 2:], x[40:, 2:])]
    np.testing.assert_allclose(curve.mean, np.mean(parts, axis=0), rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(curve.error, abs(np.subtract(parts[0], parts[1])) / 2, rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(curve.x, 0.5 * np.arange(21))


def test_transport_coefficients_of_known_noise():
    """Walkers with velocities that forget at a known rate: D = kT / (m gamma); a stress likewise."""
    keep, kT, step, n = np.exp(-0.05), 2.0, 0.05, 4000
    v = np.sqrt(kT) * autoregressive((n, 100, 3), keep, 3)
    exact = kT * (step / 2) * (1 + keep) / (1 - keep)  # the sum by trapezoids
    systems, ts = trajectory(np.cumsum(v, axis=0) * step, Periodic(lengths=[7.0] * 3), v), step * np.arange(n)
    einstein = diffusion(ts, systems, window=(5.0, 15.0))
    assert abs(einstein.mean - exact) < 4 * einstein.error < 0.6 * exact
    running = green_kubo_diffusion(ts, systems)
    at = np.searchsorted(running.x, 8.0)
    assert abs(running.mean[at] - exact) < 4 * running.error[at] < 0.6 * exact
    correlation = velocity_autocorrelation(ts, systems)
    np.testing.assert_allclose(correlation.mean[:40], 3 * kT * keep ** np.arange(40), rtol=0.05)
    noise = autoregressive((n * 10, 6), keep, 4)
    stress = np.take(noise, np.array([[0, 1, 2], [1, 3, 4], [2, 4, 5]]), axis=1) * 0.3
    shear = green_kubo_viscosity(step * np.arange(n * 10), stress, volume=50.0, kT=kT, blocks=10)
    at = np.searchsorted(shear.x, 6.0)
    # (xx - yy) / 2 of independent ones has half the variance: four fifths of the shears
    expected = 50 / kT * 0.09 * (step / 2) * (1 + keep) / (1 - keep) * (3 + 2 * 0.5) / 5
    assert abs(shear.mean[at] - expected) < 4 * shear.error[at] < 0.5 * expected


def test_configurational_temperature():
    system = System(np.random.default_rng(5).normal(size=(20, 3)), Free())
    spring = External(lambda x: 1.5 * jnp.sum(x**2))
    np.testing.assert_allclose(configurational_temperature(spring, system), 3 * np.mean(system.position**2), rtol=1e-12)
    pair, system = LennardJones(cutoff=OpenMMSwitch(radius=2.0, onset=1.5)), fcc(1, 1.6)
    system = system.replace(position=system.position + 0.1 * np.random.default_rng(6).normal(size=(4, 3)))
    pairs, laplacian = neighbor_list(system, 2.0), 0.0
    force = lambda x: np.asarray(forces(pair, system.replace(position=x), pairs)).ravel()
    for k in range(12):
        step = 1e-5 * jnp.eye(12)[k].reshape(4, 3)
        laplacian -= (force(system.position + step) - force(system.position - step))[k] / 2e-5
    expected = np.sum(force(system.position) ** 2) / laplacian
    np.testing.assert_allclose(configurational_temperature(pair, system), expected, rtol=1e-7)


def test_bad_input_is_refused_and_curves_are_drawn():
    matplotlib.use("Agg")
    cubic, cloud = fcc(1, 1.6), System(np.eye(3), Free())
    many = trajectory(np.zeros((20, 2, 3)), TILTED)
    ts = np.arange(20.0)
    for make, words in [
        (lambda: radial_distribution(cloud, [0, 1.0]), "open space"),
        (lambda: radial_distribution(cubic, [1.0, 0.5]), "rising order"),
        (lambda: structure_factor(cloud, [0, 1.0]), "all three axes"),
        (lambda: structure_factor(cubic, [0, 1.0], weights=[1.0, 2.0]), "one for each species"),
        (lambda: angle_distribution(cubic, 0.1, [0, 3.0]), "larger cutoff"),
        (lambda: angle_distribution(cubic, 1.5, [0, 180.0]), "from 0 to pi"),
        (lambda: mean_square_displacement(ts, cubic), "A trajectory is needed"),
        (lambda: mean_square_displacement(ts**2, many), "rise evenly"),
        (lambda: mean_square_displacement(ts[1:], many), "a time for each frame"),
        (lambda: mean_square_displacement(ts, many, blocks=10), "too few"),
        (lambda: mean_square_displacement(ts, many, species=3), "no atom of species 3"),
        (lambda: diffusion(ts, many, window=(1.0, 9.0)), "half the length of a block"),
        (lambda: green_kubo_viscosity(ts, np.zeros(20), volume=1.0, kT=1.0), "expected \\(frames, 3, 3\\)"),
    ]:
        with pytest.raises(ValueError, match=words):
            make()
    panel = radial_distribution(many, np.linspace(0.1, 3, 5)).plot()
    assert panel.get_ylabel() == "g(r)" and len(panel.lines) == 1
    two = trajectory(np.random.default_rng(0).normal(size=(8, 4, 3)), TILTED, species=[0, 0, 1, 1])
    panel = radial_distribution(two, np.linspace(0.1, 3, 5)).plot(names=("Ar", "Kr"))
    assert [t.get_text() for t in panel.get_legend().get_texts()] == ["Ar-Ar", "Ar-Kr", "Kr-Kr"]
    plt.close("all")
