"""Potentials of many bodies: published constants, LAMMPS, derivatives by everything."""

import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.md import (
    AllPairs,
    diamond,
    energy,
    forces,
    NeighborList,
    Periodic,
    StillingerWeber,
    stress,
    System,
)

BAR = 1.6021765e6  # bar in an eV per cubic ångström, as LAMMPS rounds it


def silicon(cells=2, spacing=5.43095):
    """A crystal whose atoms are out of place by a formula."""
    crystal = diamond(cells, spacing)
    count = crystal.position.size
    return crystal.replace(position=crystal.position + 0.1 * np.sin(1.7 * np.arange(count).reshape(-1, 3) ** 1.5))


def agrees(potential, system, u, force, pressures):
    """With LAMMPS (22 July 2025): the energy, the force on atom 5, the pressure xx yy zz xy xz yz [bar]."""
    s = -BAR * stress(potential, system)
    np.testing.assert_allclose(energy(potential, system), u, rtol=1e-12)
    np.testing.assert_allclose(forces(potential, system)[5], force, rtol=1e-10)
    found = (s[0, 0], s[1, 1], s[2, 2], s[0, 1], s[0, 2], s[1, 2])
    np.testing.assert_allclose(found, pressures, rtol=1e-9)


TWO = StillingerWeber(
    epsilon=[[2.0, 1.5], [1.5, 1.1]],
    sigma=[2.1, 1.7],
    a=[1.8, 1.6],
    gamma=[[1.2, 1.1], [1.1, 1.3]],
    lam=[[[21.0, 24.0], [24.0, 30.0]], [[26.0, 22.0], [22.0, 20.0]]],
    cosine=[[[-0.33, -0.3], [-0.3, -0.2]], [[-0.4, -0.35], [-0.35, -0.25]]],
    A=7.05,
    B=0.6,
)


def check_derivatives(potential, system, lists, reverse_too=True):
    """Both modes and second order against differences, by each parameter, the positions and the cell."""
    weight = jnp.asarray(np.random.default_rng(6).normal(size=system.position.shape))
    floats, rest = eqx.partition((potential, system.position, system.space), eqx.is_inexact_array)

    @jax.jit
    def of(floats):
        potential, position, space = eqx.combine(floats, rest)
        moved = system.replace(position=position, space=space)
        return potential.total(moved, lists) + jnp.vdot(weight, potential.force(moved, lists))

    rng, (leaves, structure) = np.random.default_rng(7), jax.tree.flatten(floats)
    slope = jax.tree.leaves(jax.jit(jax.grad(of))(floats))
    along = jax.jit(lambda v: jax.jvp(of, (floats,), (v,))[1])
    scale = max(1.0, abs(float(of(floats))))
    for k, leaf in enumerate(leaves):
        direction = [rng.normal(size=x.shape) if m == k else np.zeros(x.shape) for m, x in enumerate(leaves)]
        if leaf.ndim > 1 and leaf.shape[-1] == 2:  # tables stay symmetric
            direction[k] = direction[k] + np.swapaxes(direction[k], -1, -2)
        v = structure.unflatten(map(jnp.asarray, direction))
        h = 1e-5 * max(1e-3, min(1.0, float(jnp.abs(leaf).max())))
        moved = lambda t, v=v: of(jax.tree.map(lambda leaf, d: leaf + t * d, floats, v))
        fifth = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
        reverse = np.vdot(slope[k], direction[k])
        np.testing.assert_allclose(reverse, fifth, rtol=3e-6, atol=1e-7 * scale)
        np.testing.assert_allclose(along(v), reverse, rtol=1e-9, atol=1e-10 * scale)


def test_stillinger_weber_is_silicon():
    # bench/POTENTIALS/in.sw of LAMMPS: -138771.2 eV for 32000 atoms; and the published lattice constant
    silicon_of = lambda spacing: energy(StillingerWeber(), diamond(1, spacing)) / 8
    np.testing.assert_allclose(silicon_of(5.431), -138771.2 / 32000, rtol=1e-6)
    np.testing.assert_allclose(silicon_of(5.43095), -4.3366, rtol=1e-8)
    u = -269.1687315637405
    force = [2.0859314220843146, -0.24767323318090043, 1.4127896331592271]
    pressures = [10143.241771479, 11194.216092261, 7672.936908702, -11721.435316118, 11996.288809262, 7890.066206265]
    agrees(StillingerWeber(cosine=-0.333333333333), silicon(), u, force, pressures)


def test_stillinger_weber_of_two_species():
    system = silicon()
    lengths = system.space.lengths
    alternating = System(0.9 * system.position, Periodic(lengths=0.9 * lengths), species=np.arange(64) % 2)
    force = [0.3890912896228258, -1.4409383106920939, 0.12561162362773065]
    pressures = [38615.025465029, 55567.348079034, 36797.490935626, -30728.46573058, 118882.61203453, -11092.005089103]
    agrees(TWO, alternating, -133.34896548994425, force, pressures)
    system = silicon(1, 4.9)
    system = System(system.position, system.space, species=np.arange(8) % 2)
    lists = NeighborList.make(system, float(TWO.reach) + 0.4)
    check_derivatives(TWO, system, lists)
    pairs = AllPairs.make(system.space, float(TWO.reach))
    np.testing.assert_allclose(TWO.force(system, lists), TWO.force(system, pairs), atol=1e-10)


def test_float32_stays_float32():
    system = silicon()
    single = System(system.position.astype(jnp.float32), system.space)
    force = forces(StillingerWeber(), single)
    assert force.dtype == energy(StillingerWeber(), single).dtype == jnp.float32
    np.testing.assert_allclose(force, forces(StillingerWeber(), system), atol=5e-5)


def test_bad_input_is_refused():
    bad = [
        (lambda: StillingerWeber(sigma=0.0), "sigma must be finite and positive"),
        (lambda: StillingerWeber(lam=[1.0, 2.0]), "(species, species, species)"),
        (lambda: energy(TWO, diamond(1, 5.4, species=2)), "Species 2 has no parameters"),
    ]
    for make, words in bad:
        with pytest.raises(ValueError, match=re.escape(words)):
            make()
