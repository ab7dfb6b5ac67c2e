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
    EAM,
    energy,
    fcc,
    forces,
    Free,
    neighbor_list,
    NeighborList,
    Periodic,
    read_funcfl,
    read_setfl,
    StillingerWeber,
    stress,
    System,
    Tersoff,
)
from tests.lammps_given import BAR, CARBON_SILICON, TERSOFF_1988


def silicon(cells=2, spacing=5.43095):
    """A crystal whose atoms are out of place by a formula."""
    crystal = diamond(cells, spacing)
    count = crystal.position.size
    return crystal.replace(position=crystal.position + 0.1 * np.sin(1.7 * np.arange(count).reshape(-1, 3) ** 1.5))


def assert_agrees(potential, system, u, force, pressures):
    """With LAMMPS (22 July 2025): the energy, the force on atom 5, the pressure xx yy zz xy xz yz [bar]."""
    lists = neighbor_list(system, float(potential.reach), skin=0.0)
    of = lambda system: (f(potential, system, lists) for f in (energy, forces, stress))
    found, push, tension = eqx.filter_jit(lambda system: tuple(of(system)))(system)  # in one program
    s = -BAR * tension
    np.testing.assert_allclose(found, u, rtol=1e-12)
    np.testing.assert_allclose(push[5], force, rtol=1e-10)
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


def check_derivatives(potential, system, lists, second=1.0):
    """Both modes, and second order, against differences, by each parameter, the positions and the cell."""
    weight = jnp.asarray(np.random.default_rng(6).normal(size=system.position.shape))
    floats, rest = eqx.partition((potential, system.position, system.space), eqx.is_inexact_array)

    @jax.jit
    def of(floats):
        potential, position, space = eqx.combine(floats, rest)
        moved = system.replace(position=position, space=space)
        value = potential.total(moved, lists)
        return value + second * jnp.vdot(weight, potential.force(moved, lists)) if second else value

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
        moved = lambda t, v=v: of(jax.tree.map(lambda leaf, d: leaf + t * d, floats, v))  # noqa: B023
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
    assert_agrees(StillingerWeber(cosine=-0.333333333333), silicon(), u, force, pressures)


@pytest.mark.slow
def test_stillinger_weber_of_two_species():
    system = silicon()
    lengths = jnp.diagonal(system.space.cell)
    alternating = System(0.9 * system.position, Periodic(lengths=0.9 * lengths), species=np.arange(64) % 2)
    force = [0.3890912896228258, -1.4409383106920939, 0.12561162362773065]
    pressures = [38615.025465029, 55567.348079034, 36797.490935626, -30728.46573058, 118882.61203453, -11092.005089103]
    assert_agrees(TWO, alternating, -133.34896548994425, force, pressures)


@pytest.mark.slow
def test_tersoff():
    force = [1.4944222707285968, -0.13413908677022326, 1.1618346887473763]
    pressures = [20366.331111072, 21236.550974623, 16754.673615928, -12557.666827050, 10991.709094952, 7304.984482929]
    assert_agrees(TERSOFF_1988, silicon(2, 5.432), -289.33364827006426, force, pressures)
    system = silicon(2, 4.5)
    mixed = System(system.position, system.space, species=np.arange(64) % 2)
    np.testing.assert_allclose(energy(CARBON_SILICON, mixed), -259.7793703663252, rtol=1e-12)
    lists = NeighborList.make(mixed, 3.3)
    force = [5.84373710499179, 13.36835461923918, 5.490590175830322]
    np.testing.assert_allclose(CARBON_SILICON.force(mixed, lists)[5], force, rtol=1e-10)
    # two atoms alone, three in a row, atoms with more neighbors than there is room for
    row = lambda n: System(2.4 * np.eye(3)[:1] * np.arange(n)[:, None], Free())
    for alone in (row(2), row(3)):
        by_parameters = eqx.filter_grad(lambda t, s=alone: jnp.sum(t.force(s, AllPairs.make(Free(), 4.0)) ** 2))
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(by_parameters(Tersoff())))
    assert np.isnan(energy(Tersoff(most=3), silicon()))


def write_setfl(path):
    """Two metals by formulas: E and F."""
    rho, r = np.arange(200) * 0.05, np.arange(300) * 0.02
    end = np.maximum(0, 1 - r / 5.5) ** 3
    lines = ["made", "up", "here", "2 E F", "200 0.05 300 0.02 5.5"]
    table = lambda x: ["".join(f" {v:.16e}" for v in row) for row in np.array_split(x, 60)]
    for k, (depth, decay) in enumerate(((2.0, 1.1), (2.6, 0.9))):
        lines += [f"{20 + k} 50.0 3.6 fcc", *table(-depth * np.sqrt(rho)), *table(np.exp(-decay * (r - 2.5)) * end)]
    for amplitude in (1.0, 1.4, 1.9):
        lines += table(r * amplitude * np.exp(-1.8 * (r - 2.5)) * end)
    path.write_text("\n".join(lines) + "\n")


def test_embedded_atom_from_a_file(tmp_path):
    write_setfl(tmp_path / "made.eam.alloy")
    metal = read_setfl(tmp_path / "made.eam.alloy", ["F", "E"])
    assert metal.elements == ("F", "E")
    crystal = fcc(2, 3.9)
    system = System(
        crystal.position + 0.1 * np.sin(np.arange(96.0).reshape(32, 3)), crystal.space, species=np.arange(32) % 2
    )
    force = [-0.02020840852010535, 0.03830335242439774, 0.05322201154919673]
    pressures = [
        -71575.901811648,
        -74802.990120515,
        -70869.429342181,
        583.47928650683,
        -632.71530150213,
        1130.9358776774,
    ]
    assert_agrees(metal, system, -58.6846093574797, force, pressures)
    # beyond the last density of the table the curve goes on straight
    dense = System(
        0.5 * system.position, Periodic(lengths=0.5 * jnp.diagonal(system.space.cell)), species=system.species
    )
    assert np.isfinite(forces(metal, dense)).all()
    text = (tmp_path / "made.eam.alloy").read_text()
    (tmp_path / "cut").write_text(text[: len(text) // 2])
    (tmp_path / "other").write_text(text.replace("0.05", "x"))
    for name, elements, words in (
        ("cut", None, "cut short"),
        ("other", None, "not of this format"),
        ("made.eam.alloy", ["E", "Xx"], "has no parameters for Xx; it has E, F"),
    ):
        with pytest.raises(ValueError, match=words):
            read_setfl(tmp_path / name, elements)


def test_funcfl(tmp_path):
    r = np.arange(100) * 0.05
    table = lambda x: ["".join(f" {v:.16e}" for v in row) for row in np.array_split(x, 20)]
    lines = ["one", "29 63.5 3.6 fcc", "100 0.1 100 0.05 4.5", *table(-np.sqrt(np.arange(100) * 0.1))]
    (tmp_path / "one.eam").write_text("\n".join([*lines, *table(8 * np.exp(-r)), *table(np.exp(-r))]))
    pair = System([[0.0, 0, 0], [2.5, 0, 0]], Free())  # on a value of the tables
    expected = 27.2 * 0.529 * 64 * np.exp(-5.0) / 2.5 - 2 * np.sqrt(np.exp(-2.5))
    np.testing.assert_allclose(energy(read_funcfl(tmp_path / "one.eam"), pair), expected, rtol=2e-2)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["stillinger-weber", "two species", "tersoff", "embedded atom"])
def test_derivatives(name, tmp_path):
    system = silicon(1, 4.9)
    system = System(system.position, system.space, species=np.arange(8) % 2)
    if name == "stillinger-weber":
        check_derivatives(StillingerWeber(q=0.1), system, AllPairs.make(system.space, 4.0))
    elif name == "two species":
        check_derivatives(TWO, system, NeighborList.make(system, float(TWO.reach) + 0.4), second=0.0)
    elif name == "tersoff":
        check_derivatives(Tersoff(lambda3=1.5), system, AllPairs.make(system.space, 3.2), second=0.0)
    else:
        write_setfl(tmp_path / "made.eam.alloy")
        metal = read_setfl(tmp_path / "made.eam.alloy")
        check_derivatives(metal, system, AllPairs.make(system.space, 5.6), second=0.0)


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
        (lambda: Tersoff(beta=np.ones((2, 2))), "one number or one per species"),
        (
            lambda: EAM(embedding=np.ones((1, 9)), density=np.ones((2, 9)), pair=1.0, drho=1.0, dr=1.0, cutoff=1.0),
            "pair",
        ),
        (lambda: energy(TWO, diamond(1, 5.4, species=2)), "Species 2 has no parameters"),
    ]
    for make, words in bad:
        with pytest.raises(ValueError, match=re.escape(words)):
            make()
