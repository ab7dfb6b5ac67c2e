"""A neural potential: its symmetry functions, what does not change, derivatives where they could fail."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.md import (
    AllPairs,
    BehlerParrinello,
    diamond,
    energy,
    forces,
    Free,
    NeighborList,
    phonons,
    stress,
    System,
)

REACH = 2.5
SMALL = BehlerParrinello(REACH, species=2, radial=3, angular=(1.0, 4.0), zeta=(1, 2), width=4, key=jax.random.key(0))
PLACES = np.array([[0.0, 0, 0], [1.1, 0.1, 0], [2.2, 0.2, 0], [0.3, 1.2, 0.4], [0.9, 0.8, 1.5], [9.0, 0, 0]])
SPECIES = np.array([0, 1, 0, 1, 1, 0], np.int32)  # the first three in a row, the last alone


def by_definition(net, x, species, i):
    """Symmetry functions of one atom, neighbor by neighbor and triple by triple."""
    near = [j for j in range(len(x)) if j != i and np.linalg.norm(x[j] - x[i]) < REACH]
    d = {j: x[j] - x[i] for j in near}
    r = {j: np.linalg.norm(d[j]) for j in near}
    end = {j: (1 + np.cos(np.pi * r[j] / REACH)) / 2 for j in near}
    at, width = np.linspace(REACH / 4, REACH, 3), 0.75 * REACH / 2
    kinds, found = range(2), []
    for kind in kinds:
        found += [
            sum(end[j] * np.exp(-((r[j] - s) ** 2) / (2 * width**2)) for j in near if species[j] == kind) for s in at
        ]
    for pair in ({0}, {0, 1}, {1}):
        for eta in np.array([1.0, 4.0]) / REACH**2:
            for zeta in (1, 2):
                for sign in (1, -1):
                    terms = [
                        (1 + sign * d[j] @ d[k] / (r[j] * r[k])) ** zeta
                        * np.exp(-eta * (r[j] ** 2 + r[k] ** 2))
                        * (end[j] * end[k])
                        for j in near
                        for k in near
                        if j != k and {species[j], species[k]} == pair
                    ]
                    found.append(2 ** (1 - zeta) * sum(terms))
    return found


def test_symmetry_functions_are_those_of_the_papers():
    found = SMALL.symmetry_functions(System(PLACES, Free(), species=SPECIES))
    expected = [by_definition(SMALL, PLACES, SPECIES, i) for i in range(6)]
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-13)
    np.testing.assert_array_equal(found[-1], 0)
    systems = System(PLACES, Free(), species=SPECIES)
    shaken = [PLACES + 0.1 * np.sin(np.arange(18.0).reshape(6, 3) + k) for k in range(4)]
    systems = jax.vmap(lambda x: systems.replace(position=x))(jnp.asarray(shaken))
    lists, energies = AllPairs.make(Free(), REACH), np.array([1.0, 2.0, 4.0, 3.0])
    net = SMALL.standardized(systems, energies, lists)
    found = jax.vmap(lambda s: net.symmetry_functions(s, lists))(systems)
    found = np.asarray(found)
    for kind in range(2):
        of_kind = (found[:, SPECIES == kind].reshape(-1, found.shape[-1]) - np.asarray(net.center[kind])) / np.asarray(
            net.spread[kind]
        )
        np.testing.assert_allclose(of_kind.mean(axis=0), 0, atol=1e-12)
        np.testing.assert_allclose(of_kind.std(axis=0)[of_kind.std(axis=0) > 0], 1)
    np.testing.assert_allclose(net.offset @ np.array([3.0, 3.0]), 2.5)
    np.testing.assert_allclose(net.scale, np.sqrt(1.25 / 6))


def test_turned_moved_and_renumbered_it_is_the_same():
    system = System(PLACES, Free(), species=SPECIES)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]
    order = np.array([3, 5, 0, 1, 4, 2])
    moved = System((PLACES @ turn + 3.0)[order], Free(), species=SPECIES[order])
    np.testing.assert_allclose(energy(SMALL, moved), energy(SMALL, system), rtol=1e-12)
    np.testing.assert_allclose(forces(SMALL, moved), (forces(SMALL, system) @ turn)[order], atol=1e-12)


@pytest.mark.parametrize("second", [False, pytest.param(True, marks=pytest.mark.slow)], ids=["energy", "forces"])
def test_derivatives(second):
    """By parameters and places, of the energy, and of forces too; atoms in a row, one alone, one at the cutoff."""
    lists = AllPairs.make(Free(), REACH)
    rng = np.random.default_rng(1)
    places = np.concatenate([PLACES, PLACES[:1] - np.array([[REACH, 0, 0]])])
    system = System(places, Free(), species=np.append(SPECIES, 1))
    weight = jnp.asarray(rng.normal(size=places.shape))
    tiny = BehlerParrinello(REACH, species=2, radial=2, zeta=(2,), width=2, depth=1, key=jax.random.key(2))
    floats, rest = eqx.partition((tiny, system.position), eqx.is_inexact_array)

    def of(floats):
        net, position = eqx.combine(floats, rest)
        moved = system.replace(position=position)
        return net.total(moved, lists) + (jnp.vdot(weight, net.force(moved, lists)) if second else 0)

    v = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)), floats)
    v = eqx.tree_at(lambda t: (t[0].cutoff, t[1]), v, (jnp.zeros(()), v[1].at[-1].set(0).at[0].set(0)))
    along = lambda floats: jax.jvp(of, (floats,), (v,))[1]
    every = jax.jit(jax.value_and_grad(of))
    _, slopes = every(floats)
    reverse = sum(np.vdot(a, b) for a, b in zip(jax.tree.leaves(slopes), jax.tree.leaves(v), strict=True))
    moved = lambda t: every(jax.tree.map(lambda x, d: x + t * d, floats, v))[0]
    difference = (8 * (moved(1e-4) - moved(-1e-4)) - (moved(2e-4) - moved(-2e-4))) / 12e-4
    np.testing.assert_allclose(reverse, difference, rtol=1e-6)
    if second:
        np.testing.assert_allclose(jax.jit(along)(floats), reverse, rtol=1e-9)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(slopes))


def test_it_ends_smoothly():
    lists = AllPairs.make(Free(), REACH)
    pair = lambda r: energy(SMALL, System([[0.0, 0, 0], [r, 0, 0]], Free(), species=SPECIES[:2]), lists)
    beyond = pair(REACH + 0.1)
    for h in (1e-2, 1e-3):  # as the square of the distance to the end
        assert 0 < abs(pair(REACH - h) - beyond) < 10 * h**2


def test_standardizing_refuses_what_the_neighbors_or_the_room_do_not_hold():
    crystal = diamond(2, 5.4)
    moved = crystal.position.at[0].add(jnp.array([1.2, 0, 0]))
    systems = jax.vmap(lambda x: crystal.replace(position=x))(jnp.stack([crystal.position, moved]))
    net = BehlerParrinello(3.5, radial=2, zeta=(1,), width=2, key=jax.random.key(0))
    with pytest.raises(ValueError, match="configuration 1"):
        net.standardized(systems, jnp.zeros(2), NeighborList.make(crystal, 3.6))
    few = BehlerParrinello(3.5, radial=2, zeta=(1,), width=2, most=2, key=jax.random.key(0))
    with pytest.raises(ValueError, match="more than most = 2"):
        few.standardized(systems, jnp.zeros(2), AllPairs.make(crystal.space, 3.5))


def test_bad_input_is_refused():
    for name, value in {"species": 0, "zeta": (0,), "angular": (-1.0,), "most": 0}.items():
        with pytest.raises(ValueError, match="must be positive"):
            BehlerParrinello(2.0, key=jax.random.key(0), **{name: value})
    with pytest.raises(ValueError, match="Species 2 has no parameters"):
        energy(SMALL, diamond(1, 5.0, species=2))


@pytest.mark.slow
def test_in_crystals():
    """A list with padded slots, where images count, is all pairs; stress; phonons; crowds are NaN; float32 stays."""
    crystal = diamond(1, 4.4, species=np.arange(8) % 2)
    cube = crystal.replace(position=crystal.position + 0.1 * np.sin(np.arange(24.0).reshape(8, 3)))
    listed = NeighborList.make(cube, REACH + 0.4)
    np.testing.assert_allclose(energy(SMALL, cube, listed), energy(SMALL, cube), rtol=1e-12)
    np.testing.assert_allclose(forces(SMALL, cube, listed), forces(SMALL, cube), atol=1e-12)
    expand = lambda t: energy(SMALL, cube.strained(t * jnp.eye(3)))
    trace = (expand(1e-4) - expand(-1e-4)) / 2e-4 / cube.space.volume
    np.testing.assert_allclose(jnp.trace(stress(SMALL, cube)), trace, rtol=1e-5)
    # atoms of a perfect crystal are at rest by symmetry, whatever the network; force constants reach twice the cutoff
    found = phonons(BehlerParrinello(2.6, radial=4, zeta=(1, 2), width=4, key=jax.random.key(1)), diamond(1, 5.43))
    assert found.constants.shape[0] == 8
    np.testing.assert_allclose(np.sort(np.abs(found.eigenvalues(np.zeros(3))))[:3], 0, atol=1e-10)
    crowded = BehlerParrinello(REACH, species=2, radial=1, zeta=(1,), width=1, most=2, key=jax.random.key(0))
    assert np.isnan(energy(crowded, cube))
    with jax.enable_x64(False):
        single = System(np.float32(PLACES), Free(), species=SPECIES)
        small = jax.tree.map(lambda x: np.float32(x) if eqx.is_inexact_array(x) else x, SMALL)
        push = forces(small, single)
    assert push.dtype == jnp.float32
    np.testing.assert_allclose(push, forces(SMALL, System(PLACES, Free(), species=SPECIES)), atol=1e-4)
