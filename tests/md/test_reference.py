"""Energies, virials, tails and pressures that others have published."""

import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.md import (
    draw_velocities,
    energy,
    fcc,
    forces,
    ForceShifted,
    LennardJones,
    Periodic,
    pressure,
    System,
    tail_energy,
    tail_pressure,
    Truncated,
    virial,
)

DEFAULT = pathlib.Path(__file__).parents[3] / "shared" / "data"
FOLDER = pathlib.Path(os.environ.get("KINAX_REFERENCE_DATA", DEFAULT)) / "nist-lj"
needs_nist = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"NIST's data are not in {FOLDER}: set KINAX_REFERENCE_DATA"
)

# https://www.nist.gov/mml/csd/informatics/lennard-jones-fluid-reference-calculations-cuboid-cell, with more digits:
# U and W at cutoffs 3 and 4 with the tail's energy, U and W force-shifted at 3; W = -sum r du/dr
NIST = {
    1: (
        (-4351.5401945439, -568.6654653182, -198.4888837442),
        (-4467.4957249480, -1263.8833718721, -83.7689864033),
        (-3870.9248857840, 317.5383460124),
    ),
    2: (
        (-690.0040451729, -568.4573407379, -24.2296000664),
        (-704.6033197270, -655.9875607066, -10.2257063481),
        (-620.1198609983, -445.3310496198),
    ),
    3: (
        (-1146.6674208337, -1164.9496507132, -49.6222209360),
        (-1175.3805672254, -1337.1026173010, -20.9422466008),
        (-1020.9657074821, -935.7772011755),
    ),
    4: (
        (-16.7903213046, -46.2491967463, -0.5451660015),
        (-17.0604532203, -47.8688281911, -0.2300783928),
        (-15.0014022869, -43.0960055392),
    ),
}


def nist(number, dtype=float):
    lines = (FOLDER / f"lj-{number}.xyz").read_text().splitlines()
    box = np.array(lines[1].split()[1:4], float)
    position = np.array([line.split()[1:4] for line in lines[2 : 2 + int(lines[0])]], float)
    return System(jnp.asarray(position, dtype), Periodic(lengths=box))


@needs_nist
@pytest.mark.parametrize("number", [pytest.param(n, marks=pytest.mark.slow if n in (1, 3) else ()) for n in NIST])
def test_nist_lennard_jones_configurations(number):
    system = nist(number)
    for cutoff, (u, w, tail) in zip((3.0, 4.0), NIST[number][:2], strict=True):
        pair = LennardJones(cutoff=Truncated(radius=cutoff))
        found = energy(pair, system), -jnp.trace(virial(pair, system)), tail_energy(pair, system)
        np.testing.assert_allclose(found, (u, w, tail), rtol=1e-10, atol=1e-10)
    pair = LennardJones(cutoff=ForceShifted(radius=3.0))
    np.testing.assert_allclose((energy(pair, system), -jnp.trace(virial(pair, system))), NIST[number][2], rtol=1e-10)


@needs_nist
def test_float32_stays_float32_and_is_accurate():
    system = nist(2, jnp.float32)
    pair = LennardJones(cutoff=Truncated(radius=3.0))
    u, f = energy(pair, system), forces(pair, system)
    assert u.dtype == jnp.float32 and f.dtype == jnp.float32
    np.testing.assert_allclose(u, NIST[2][0][0], rtol=1e-6)
    exact = forces(pair, nist(2))
    np.testing.assert_allclose(f, exact, atol=1e-5 * np.abs(exact).max())


def test_lammps_melt_before_the_first_step():
    """The logs of LAMMPS's `examples/melt` and `bench/in.lj`: energy per atom and pressure of the lattice."""
    system = fcc(10, (4 / 0.8442) ** (1 / 3))
    pair = LennardJones(cutoff=Truncated(radius=2.5))
    np.testing.assert_allclose(energy(pair, system) / 4000, -6.7733680533, rtol=1e-10)
    cold = pressure(pair, system)
    density = 4000 / system.space.volume
    for kT, n, expected in ((1.44, 32000, -5.0197072591), (3.0, 4000, -3.7033504201)):
        np.testing.assert_allclose(cold + density * kT * (n - 1) / n, expected, rtol=1e-9)
    warm = draw_velocities(system, 1.44, key=jax.random.key(0))
    np.testing.assert_allclose(warm.momentum, 0, atol=1e-10)
    np.testing.assert_allclose(pressure(pair, warm) - cold, density * warm.temperature() * 3999 / 4000, rtol=1e-9)
    np.testing.assert_allclose(warm.temperature(), 1.44, rtol=0.04)
    tail = 16 / 3 * np.pi * density**2 * (2 / 3 * 2.5**-9 - 2.5**-3)
    np.testing.assert_allclose(tail_pressure(pair, system), tail, rtol=1e-12)
    # a function of the live parameters: by dimension, sigma d/dsigma = 3 - cutoff d/dcutoff at a fixed number density
    slopes = jax.grad(lambda pair: tail_energy(pair, system))(pair)
    euler = 3 * tail_energy(pair, system) - pair.cutoff.radius * slopes.cutoff.radius
    np.testing.assert_allclose(slopes.sigma, euler, rtol=1e-10)
