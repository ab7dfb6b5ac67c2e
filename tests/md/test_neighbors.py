"""Neighbor lists: the pairs of a search over all images, in every kind of box; overflow and replay in runs."""

import itertools
import logging

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.md import (
    AllPairs,
    draw_velocities,
    energy,
    fcc,
    forces,
    Free,
    LennardJones,
    neighbor_list,
    NeighborList,
    Periodic,
    Shifted,
    System,
    Triclinic,
    Truncated,
    VelocityVerlet,
)
from kinax.solvers import RESULTS, rollout

TILTED = [[6.0, 0.0, 0.0], [2.9, 5.5, 0.0], [-2.7, 2.6, 5.0]]
BOXES = {
    "free": Free(),
    "periodic": Periodic(lengths=[6.0, 7.0, 8.0]),
    "slab": Periodic(lengths=[6.0, 7.0, 8.0], axes=(True, True, False)),
    "wire": Triclinic(cell=TILTED, axes=(False, True, False)),
    "tilted": Triclinic(cell=TILTED),
    "small": Periodic(lengths=[1.5, 7.0, 2.5]),
}


def pairs_by_search(system, cutoff):
    """Every ordered pair (i, j, image) within the cutoff."""
    ranges = [range(-5, 6) if periodic else (0,) for periodic in system.space.axes]
    x, cell, found = np.asarray(system.position), np.asarray(system.space.cell), set()
    for shift in itertools.product(*ranges):
        distance = np.linalg.norm(x[:, None] - x[None] - np.asarray(shift) @ cell, axis=2)
        for i, j in np.argwhere(distance < cutoff):
            if i != j or any(shift):
                found.add((int(i), int(j), *shift))
    return found


QUICK = ("free", "wire", "small")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in BOXES])
def test_lists_hold_the_pairs_of_a_search(name):
    rng = np.random.default_rng(1)
    place = rng.uniform(0, 1, (60, 3)) @ (np.asarray(BOXES[name].cell) * (6 if name == "free" else 1))
    system = System(place + rng.integers(-1, 2, (60, 3)) @ np.asarray(BOXES[name].cell), BOXES[name])
    for cutoff in (0.9, 2.6):
        made = NeighborList.make(system, cutoff)
        number, image, present = jax.tree.map(np.asarray, made.neighbors())
        listed = [(i, int(number[i, k]), *map(int, image[i, k])) for i, k in np.argwhere(present)]
        assert len(listed) == len(set(listed)) and set(listed) == pairs_by_search(system, cutoff)
        assert number.dtype == np.int32 and (number[~present] == 60).all()
        if cutoff == 2.6:
            pair = LennardJones(cutoff=Truncated(radius=2.6), sigma=0.3)
            whole = AllPairs.make(system.space, 2.6)
            np.testing.assert_allclose(energy(pair, system, made), energy(pair, system, whole), rtol=1e-12)
            np.testing.assert_allclose(forces(pair, system, made), forces(pair, system, whole), rtol=1e-9, atol=1e-9)
            for lists in (made, whole):
                vectors, _, there = lists.vectors(system)
                length = np.linalg.norm(vectors, axis=2)[np.asarray(there)]
                assert (length < 2.6).sum() == len(listed)


def melt(**how):
    system = draw_velocities(fcc(5, 1.68, **how), 1.44, key=jax.random.key(3))
    return system, VelocityVerlet(potential=LennardJones(cutoff=Shifted(radius=1.9)), dt=0.004)


@pytest.mark.slow
def test_a_run_grows_what_was_too_small_and_repeats(caplog):
    system, dynamics = melt()
    tight = NeighborList.make(system, 2.1)
    assert int(tight.found) <= tight.index.shape[0]
    state = dynamics.start(system, neighbors=tight, every=60)
    with caplog.at_level(logging.WARNING):
        solution = rollout(dynamics, state, 120, save_every=60)
    assert solution.succeeded and solution.stats["num_repeats"] >= 1 and solution.state.every < 60
    assert len(caplog.records) == 1 and "repeating" in caplog.text
    careful = rollout(dynamics, dynamics.start(system, skin=1.0, every=5), 120, save_every=60)
    assert careful.stats["num_repeats"] == 0
    place = lambda run: jax.vmap(lambda system: system.unwrapped)(run.ys)
    np.testing.assert_allclose(place(solution), place(careful), atol=1e-8)
    assert solution.ys.position.shape == (2, 500, 3)
    # traced, the verdict is a value, and all floats are NaN when an exception was asked for
    run = lambda throw: jax.jit(lambda s: rollout(dynamics, s, 120, save_every=120, throw=throw))(state)
    assert run(False).result == RESULTS.refresh_too_late
    asked = run(True)
    assert asked.result == RESULTS.refresh_too_late and np.isnan(asked.state.system.position).all()


def test_bad_requests_are_refused():
    system, dynamics = melt()
    bad = [
        (lambda: neighbor_list(system, 0.0), "reach must be positive"),
        (lambda: neighbor_list(system, 2.0, skin=-1.0), "skin not negative"),
        (lambda: jax.jit(lambda x: neighbor_list(system.replace(position=x), 2.0).cutoff)(system.position), "outside"),
        (lambda: neighbor_list(system.replace(position=system.position.at[7, 0].set(jnp.nan)), 2.0), "atom 7"),
        (lambda: dynamics.start(system, every=0), "every must be"),
    ]
    for make, words in bad:
        with pytest.raises(ValueError, match=words):
            make()


def test_an_axis_that_becomes_narrower_than_the_cutoff_needs_images_from_farther_away():
    places = np.random.default_rng(0).uniform(size=(30, 3))
    box = lambda width: System(places * [40, 40, width], Periodic(lengths=[40.0, 40.0, width]))
    potential, wide, thin = LennardJones(cutoff=Truncated(radius=2.0)), box(2.1), box(1.9)
    made = NeighborList.make(wide, 2.0, slots=60)
    refresh = eqx.filter_jit(NeighborList.refresh)
    assert not bool(refresh(made, box(2.05)).fault(2.0).any)
    failed = refresh(made, thin)
    assert bool(failed.fault(2.0).full)
    grown = refresh(made.grown(wide, failed, 2.0), thin)
    np.testing.assert_allclose(energy(potential, thin, grown), energy(potential, thin), rtol=1e-12)


def test_single_precision_beside_double_precision():
    crystal = jax.tree.map(lambda x: x.astype(jnp.float32) if x.dtype == jnp.float64 else x, fcc(2, 1.7))
    dynamics = VelocityVerlet(potential=LennardJones(cutoff=Truncated(radius=1.5)), dt=0.001)
    state = rollout(dynamics, dynamics.start(crystal), 2, save_every=2).state
    assert state.system.position.dtype == jnp.float32


def test_neighbors_that_miss_pairs_are_refused():
    crystal, potential = fcc(4, 1.7), LennardJones(cutoff=Truncated(radius=2.5))
    neighbors = NeighborList.make(crystal, 2.8)
    moved = crystal.replace(position=crystal.position.at[0, 0].add(0.1))
    np.testing.assert_allclose(energy(potential, moved, neighbors), energy(potential, moved), rtol=1e-12)
    for system, given in (
        (crystal.replace(position=crystal.position.at[0, 0].add(0.35)), neighbors),
        (crystal.replace(position=crystal.position.at[:2, 0].add(jnp.array([0.2, -0.2]))), neighbors),
        (fcc(4, 1.2), neighbors),
    ):
        with pytest.raises(ValueError, match="miss pairs"):
            energy(potential, system, given)
