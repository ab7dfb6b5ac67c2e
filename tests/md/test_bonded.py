"""Terms among listed atoms: closed forms, derivatives at degenerate places, exclusions, bad lists."""

import functools
import operator
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.md import (
    AllPairs,
    energy,
    Excluding,
    FENEBond,
    forces,
    Free,
    HarmonicAngle,
    HarmonicBond,
    HarmonicTorsion,
    LennardJones,
    ListedPairs,
    MorseBond,
    Periodic,
    PeriodicTorsion,
    Restraint,
    RyckaertBellemans,
    System,
    Truncated,
    virial,
)

PAIRS, TRIPLES, FOURS = [[0, 1], [1, 2], [2, 3]], [[0, 1, 2], [1, 2, 3]], [[0, 1, 2, 3]]


def chain(angle=1.9, torsion=0.7, edge=None):
    """Four atoms with bonds of length 1.1, both angles, and the dihedral angle."""
    x, y = -np.cos(angle), np.sin(angle)
    ends = np.array([[x * -1, y, 0], [0, 0, 0], [1, 0, 0], [1 + x, y * np.cos(torsion), y * np.sin(torsion)]])
    space = Free() if edge is None else Periodic(lengths=[edge] * 3)
    return System(1.1 * ends, space)


def test_closed_forms():
    system = chain()
    bond, r = np.array([2.0, 3.0, 4.0]), 1.1
    cases = [
        (HarmonicBond(atoms=PAIRS, stiffness=bond, length=1.0), np.sum(bond / 2 * 0.1**2)),
        (MorseBond(atoms=PAIRS, depth=2.0, alpha=1.5, length=1.0), 3 * 2 * (1 - np.exp(-0.15)) ** 2),
        (
            FENEBond(atoms=PAIRS),
            3 * (-15 * 1.5**2 * np.log(1 - (r / 1.5) ** 2) + 4 * (r**-12 - r**-6) + 1),
        ),
        (HarmonicAngle(atoms=TRIPLES, stiffness=3.0, angle=[1.8, 2.2]), 1.5 * (0.1**2 + 0.3**2)),
        (PeriodicTorsion(atoms=FOURS, stiffness=2.0, count=3, phase=0.4), 2 * (1 + np.cos(2.1 - 0.4))),
        (HarmonicTorsion(atoms=FOURS, stiffness=2.0, angle=[0.7 + 2 * np.pi - 0.2]), 0.2**2),
        (
            RyckaertBellemans(atoms=FOURS, c0=1.0, c1=2.0, c2=3.0, c3=4.0, c4=5.0, c5=6.0),
            np.polynomial.polynomial.polyval(np.cos(0.7 - np.pi), [1, 2, 3, 4, 5, 6]),
        ),
        (Restraint(atoms=[[3]], place=system.position[3:] + 0.1, stiffness=5.0), 2.5 * 0.03),
    ]
    lists = AllPairs.make(system.space, 1.0)
    found = jax.jit(lambda system: [potential.total(system, lists) for potential, _ in cases])(system)
    np.testing.assert_allclose(found, [expected for _, expected in cases], rtol=1e-12)
    # the same across the borders of a box, and the stress of a stretched bond
    everything = functools.reduce(operator.add, (potential for potential, _ in cases))
    total = sum(e for _, e in cases)
    crossing = chain(edge=4.0)
    crossing = crossing.replace(position=crossing.position + 3.7).wrapped()
    moved = eqx.tree_at(lambda s: s.terms[-1].place, everything, crossing.position[3:] + 0.1)
    np.testing.assert_allclose(energy(moved, crossing), total, rtol=1e-12)
    inner = eqx.tree_at(lambda s: s.terms, everything, everything.terms[:-1])
    pulled = virial(inner, crossing)
    np.testing.assert_allclose(pulled, -jnp.einsum("ni,nj->ij", chain().position, forces(inner, chain())), atol=1e-10)
    stretched = FENEBond(atoms=PAIRS, extent=1.05)
    assert np.isnan(energy(stretched, system)) and np.isnan(forces(stretched, system)).all()


def derivatives(potential):
    """The gradient, and its derivatives in both modes."""
    lists = AllPairs.make(Free(), 1.0)
    gradient = jax.grad(lambda x: potential.total(System(x, Free()), lists))
    return jax.jit(lambda x: (gradient(x), jax.jacfwd(gradient)(x), jax.jacrev(gradient)(x)))


@pytest.mark.slow
def test_derivatives_where_angles_are_straight_or_bonds_have_no_length():
    row = np.array([[0.0, 0, 0], [0.3, 0.6, 0.6], [0.6, 1.2, 1.2], [0.9, 1.8, 1.8]])
    straight = HarmonicAngle(atoms=[[0, 1, 2]], stiffness=2.0, angle=np.pi)
    # two bonds of length 0.9: moving the middle by s bends by 2 s / 0.9
    of_straight = derivatives(straight)
    for x in (row, row + 0.1, np.array([[0.0, 0, 0], [0, 0, 0.9], [0, 0, 1.8]])):
        slope, forward, backward = of_straight(jnp.asarray(x))
        direction = (x[1] - x[0]) / 0.9
        across = np.eye(3) - np.outer(direction, direction)
        np.testing.assert_allclose(slope, 0, atol=1e-7)
        np.testing.assert_allclose(forward[1, :, 1], 2 * (2 / 0.9) ** 2 * across, atol=1e-6)
        np.testing.assert_allclose(backward, forward, atol=1e-9)
    many = (
        HarmonicAngle(atoms=TRIPLES, stiffness=1.0, angle=1.9)
        + PeriodicTorsion(atoms=FOURS, stiffness=1.0, count=[2])
        + RyckaertBellemans(atoms=FOURS, c1=1.0, c3=2.0)
        + HarmonicTorsion(atoms=FOURS, stiffness=1.0, angle=0.3)
        + HarmonicBond(atoms=[[0, 2]], stiffness=1.0, length=0.5)
    )
    of_many = derivatives(many)
    for x in (row, np.round(row), np.zeros((4, 3)), row * np.array([[1], [1], [-1], [1]])):
        for found in of_many(jnp.asarray(x)):
            assert np.isfinite(found).all()
    # elsewhere, against differences
    x = chain().position + 0.1 * np.sin(np.arange(12.0).reshape(4, 3))
    v, h = np.cos(np.arange(12.0).reshape(4, 3)), 1e-5
    lists = AllPairs.make(Free(), 1.0)
    total = jax.jit(lambda t: many.total(System(x + t * v, Free()), lists))
    slope, hessian, _ = of_many(x)
    np.testing.assert_allclose(np.vdot(slope, v), (total(h) - total(-h)) / (2 * h), rtol=1e-7)
    curvature = (total(100 * h) + total(-100 * h) - 2 * total(0.0)) / (100 * h) ** 2
    np.testing.assert_allclose(jnp.einsum("ij,ijkl,kl", v, hessian, v), curvature, rtol=5e-5)


def test_parameters_have_derivatives_and_float32_stays_float32():
    system = System(chain().position.astype(jnp.float32), Free())
    many = FENEBond(atoms=PAIRS) + HarmonicAngle(atoms=TRIPLES, stiffness=1.0, angle=[1.9, 2.0])
    lists = AllPairs.make(Free(), 1.0)
    slopes = eqx.filter_grad(lambda p: p.total(system, lists))(many)
    assert slopes.terms[0].stiffness.dtype == float and slopes.terms[1].angle.shape == (2,)
    np.testing.assert_allclose(slopes.terms[0].epsilon, 3 * (4 * (1.1**-12 - 1.1**-6) + 1), rtol=1e-4)
    assert energy(many, system).dtype == forces(many, system).dtype == jnp.float32


AWAY = jnp.cos(jnp.arange(12.0)).reshape(4, 3)


def test_excluded_pairs_are_left_out_and_listed_ones_counted():
    pair = LennardJones(sigma=[0.9, 1.0], cutoff=Truncated(radius=2.5))
    system = System(chain(edge=6.0).position, chain(edge=6.0).space, species=[0, 1, 0, 1])
    rest, none = Excluding(pair, atoms=PAIRS), Excluding(pair, atoms=np.zeros((0, 2), int))
    listed = ListedPairs(pair=pair, atoms=PAIRS)
    lists = AllPairs.make(system.space, 2.5)

    @jax.jit
    def measured(x):
        moved = system.replace(position=x)
        along = lambda p: jax.jvp(lambda x: forces(p, system.replace(position=x), lists), (x,), (AWAY,))
        energies = jnp.stack([energy(p, moved, lists) for p in (rest, listed, pair, none)])
        return (
            energies,
            virial(rest + 1.0 * listed, moved, lists),
            virial(pair, moved, lists),
            along(rest + listed),
            along(pair),
        )

    (u_rest, u_listed, u, u_none), w, w_pair, found, expected = measured(system.position)
    np.testing.assert_allclose((u_rest + u_listed, u_none), u, rtol=1e-12)
    assert not np.allclose(u_rest, u)
    np.testing.assert_allclose(w, w_pair, atol=1e-12)
    np.testing.assert_allclose(found, expected, atol=1e-12)  # forces and their derivatives
    np.testing.assert_allclose(energy(rest, system), u_rest, rtol=1e-12)  # the neighbors found by its own reach


def test_bad_lists_are_refused():
    bond = lambda atoms, **changes: HarmonicBond(atoms=atoms, **{"stiffness": 1.0, "length": 1.0, **changes})
    bad = [
        (lambda: bond([[0, 1, 2]]), "HarmonicBond.atoms has shape (1, 3), expected (terms, 2)"),
        (lambda: bond([[0.0, 1.0]]), "whole numbers, not float64"),
        (lambda: bond([[0, 1], [2, 2]]), "term 1 names an atom twice, [2, 2]"),
        (lambda: bond([[0, -1]]), "atoms are counted from 0"),
        (lambda: bond(PAIRS, length=[1.0, 2.0]), "length has shape (2,), expected () or (3,)"),
        (lambda: bond(PAIRS, length=np.nan), "length must be finite"),
        (lambda: Excluding(LennardJones(cutoff=Truncated(radius=2.0)), atoms=[[1, 1]]), "names an atom twice"),
        (lambda: Restraint(atoms=[[0]], place=[0.0, 0.0, 0.0], stiffness=1.0), "expected (1, 3)"),
        (lambda: PeriodicTorsion(atoms=FOURS, stiffness=1.0, count=2.5), "whole numbers, not float64"),
        (lambda: forces(bond([[0, 4]]), chain()), "names atom 4, but there are only 4"),
    ]
    for make, words in bad:
        with pytest.raises(ValueError, match=re.escape(words)):
            make()
