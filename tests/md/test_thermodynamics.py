"""The equation of state of the Lennard-Jones fluid; fluctuations beside the responses that they foretell."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.md import (
    AllPairs,
    average,
    draw_velocities,
    fcc,
    Langevin,
    LennardJones,
    MartynaTobiasKlein,
    OpenMMSwitch,
    System,
    tail_energy,
    tail_pressure,
    Truncated,
    virial,
)
from kinax.solvers import rollout

# https://mmlapps.nist.gov/srs/LJ_PURE/mc.htm, Monte Carlo of 500 atoms: kT, density, energy of an atom and pressure,
# each with its uncertainty
NIST = [
    (0.85, 0.009, -0.093973, 1.29e-4, 7.1641e-3, 2.24e-6),
    (0.85, 0.776, -5.5121, 4.55e-4, 6.7714e-3, 1.72e-3),
    (0.85, 0.860, -6.0305, 2.38e-3, 1.2660, 1.36e-2),
    (0.90, 0.776, -5.4689, 4.20e-4, 0.24056, 2.74e-3),
]


def crystal(cells, density, reach):
    """In float32, and its neighbors."""
    system = fcc(cells, (4 / density) ** (1 / 3))
    return System(system.position.astype(jnp.float32), system.space), AllPairs.make(system.space, reach)


@pytest.mark.slow
@pytest.mark.parametrize("kT, density, u, du, p, dp", NIST)
def test_equation_of_state(kT, density, u, du, p, dp):
    """The virial's pressure with kT as it should be: of the positions alone, which Langevin samples best."""
    pair = LennardJones(cutoff=Truncated(radius=3.0))
    solid, near = crystal(5, density, 3.0)
    bath = lambda kT: Langevin(potential=pair, kT=kT, friction=1.5, dt=0.006)
    velocities, noise = jax.random.split(jax.random.key(round(1000 * density * kT)))
    system = draw_velocities(solid, 3.0, key=velocities)
    start = bath(3.0).start(system, key=noise, neighbors=near)
    melted = rollout(bath(3.0), start, 1000, save_every=1000).state
    cool = rollout(bath(kT), melted, 1000, save_every=1000).state

    def watch(state):
        return pair.total(state.system, state.neighbors), jnp.trace(virial(pair, state.system, state.neighbors))

    energies, virials = (np.asarray(y) for y in rollout(bath(kT), cool, 8000, save_every=20, observe=watch).ys)
    tails = float(tail_energy(pair, solid)) / 500, float(tail_pressure(pair, solid))
    found = average(energies / 500 + tails[0])
    pressed = average(density * kT - virials / (3 * float(solid.space.volume)) + tails[1])
    assert found.error < 8e-3 and pressed.error < 4e-2  # or nothing is shown
    assert abs(found.mean - u) < 3 * np.hypot(found.error, du)
    assert abs(pressed.mean - p) < 3 * np.hypot(pressed.error, dp)


PAIR = LennardJones(cutoff=OpenMMSwitch(radius=1.6, onset=1.3))


def pooled(series):
    """Mean and standard error of series (t, replicas) that are independent of each other."""
    one = average(series)
    return one.mean.mean(), np.sqrt(np.sum(one.error**2)) / one.error.size


def spread(series):
    """Variance of series (t, replicas) of one quantity, and its standard error."""
    return pooled((series - series.mean()) ** 2)


def replicas(make, solid, watch, *, kT=1.0, steps):
    """What is watched (t, 8) in copies of a liquid, after they have settled."""
    system, near = solid

    @jax.jit
    @jax.vmap
    def run(key):
        velocities, noise = jax.random.split(key)
        start = make(kT).start(draw_velocities(system, 2 * kT, key=velocities), key=noise, neighbors=near, every=100)
        settled = rollout(make(kT), start, 1000, save_every=1000, throw=False).state
        return rollout(make(kT), settled, steps, save_every=10, observe=watch, throw=False).ys

    return np.asarray(run(jax.random.split(jax.random.key(2), 8)), float).T


def langevin(kT):
    return Langevin(potential=PAIR, kT=kT, friction=1.0, dt=0.005)


@pytest.mark.slow
def test_heat_capacity_from_fluctuations_and_from_two_temperatures():
    watch = lambda s: PAIR.total(s.system, s.neighbors)
    solid = crystal(2, 0.75, 1.6)
    cold, middle, hot = (replicas(langevin, solid, watch, kT=kT, steps=10000) for kT in (0.9, 1.0, 1.1))
    variance, error = spread(middle)
    (a, da), (b, db) = pooled(cold), pooled(hot)
    slope, slope_error = (b - a) / 0.2, np.hypot(da, db) / 0.2
    assert error < 0.06 * variance and slope_error < 0.06 * slope  # or nothing is shown
    assert abs(variance - slope) < 3 * np.hypot(error, slope_error)


@pytest.mark.slow
def test_compressibility_from_fluctuations_and_from_two_densities():
    def pressed(density):
        watch = lambda s: jnp.trace(virial(PAIR, s.system, s.neighbors))
        inner = replicas(langevin, crystal(3, density, 1.6), watch, steps=1500)
        return pooled(density - inner * density / (3 * 108))

    (a, da), (b, db) = (pressed(density) for density in (0.70, 0.80))
    response = 0.10 / (b - a) / 0.75
    error = response * np.hypot(da, db) / (b - a)
    make = lambda kT: MartynaTobiasKlein(
        potential=PAIR, kT=kT, pressure=(a + b) / 2, relaxation=0.3, box_relaxation=0.5, dt=0.005
    )
    volume = replicas(make, crystal(3, 0.75, 1.6), lambda s: s.system.space.volume, steps=2500)
    mean, mean_error = pooled(volume)
    found, found_error = (x / mean for x in spread(volume))
    assert found_error < 0.1 * found and error < 0.06 * response
    assert abs(found - response) < 3 * np.hypot(found_error, error)
