"""Minima, derivatives of minima, elastic constants: silicon's published ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.md import (
    AllPairs,
    born_constants,
    diamond,
    elastic_constants,
    energy,
    FIRE,
    Flexible,
    Free,
    HarmonicBond,
    Isotropic,
    LBFGS,
    LennardJones,
    minimize,
    Morse,
    Restraint,
    StillingerWeber,
    stress,
    System,
    Truncated,
)
from kinax.solvers import RESULTS

GPA = 160.21766208  # GPa in an eV per cubic ångström


@pytest.mark.slow
def test_silicon():
    found = minimize(StillingerWeber(), diamond(1, 5.4), cell=Isotropic(), tolerance=1e-9)
    np.testing.assert_allclose(jnp.diagonal(found.system.space.cell), 5.43095, rtol=2e-6)
    np.testing.assert_allclose(found.energy / 8, -4.3366, rtol=1e-9)
    lists, place = AllPairs.make(found.system.space, 3.8), found.system.position

    @jax.jit
    def relaxed_and_slope(lam, place):  # one program for all; the lattice does not depend on lam
        system = found.system.replace(position=place)
        constants = lambda lam: GPA * elastic_constants(StillingerWeber(lam=lam), system, lists)
        return jax.jvp(constants, (lam,), (jnp.ones(()),))

    relaxed, slope = relaxed_and_slope(21.0, place)
    affine = GPA * born_constants(StillingerWeber(), found.system)
    for matrix, shear in ((relaxed, 56.45), (affine, 109.76)):
        expected = 76.42 * np.pad(np.ones((3, 3)), (0, 3)) + np.diag([75.0] * 3 + [shear] * 3)
        np.testing.assert_allclose(matrix, expected, atol=0.005)
    assert np.isnan(relaxed_and_slope(21.0, place.at[0, 0].add(0.1))[0]).all()  # that is no minimum
    difference = (relaxed_and_slope(21.001, place)[0] - relaxed_and_slope(20.999, place)[0]) / 0.002
    np.testing.assert_allclose(slope[3, 3], difference[3, 3], rtol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("method", [FIRE(), LBFGS()], ids=["fire", "lbfgs"])
def test_a_disturbed_crystal_finds_its_cell(method):
    crystal = diamond(1, 5.5)
    disturbed = crystal.replace(position=crystal.position + 0.1 * np.sin(np.arange(24.0).reshape(8, 3)))
    found = minimize(StillingerWeber(), disturbed, cell=Flexible(), method=method, tolerance=1e-8)
    np.testing.assert_allclose(found.energy / 8, -4.3366, rtol=1e-9)
    np.testing.assert_allclose(stress(StillingerWeber(), found.system), 0, atol=1e-8)


@pytest.mark.parametrize("method", [FIRE(), LBFGS()], ids=["fire", "lbfgs"])
def test_minima_of_clusters_and_their_derivatives(method):
    pair = LennardJones(cutoff=Truncated(radius=20.0))
    start = System([[0.0, 0, 0], [1.2, 0, 0], [0.5, 1.0, 0], [0.6, 0.3, 0.8]], Free())
    found = minimize(pair, start, method=method, tolerance=1e-9)
    np.testing.assert_allclose(energy(pair, found.system), -6, rtol=1e-12)  # a tetrahedron
    assert found.result == RESULTS.successful and found.num_steps < 400

    lists = AllPairs.make(Free(), 20.0)

    def edge(sigma):  # neither translation nor rotation of the free cluster may spoil it
        potential = LennardJones(sigma=sigma, cutoff=Truncated(radius=20.0))
        x = minimize(potential, start, method=method, tolerance=1e-9, neighbors=lists).system.position
        return jnp.sqrt(jnp.sum((x[0] - x[1]) ** 2))

    both = jax.jit(lambda s: (*jax.value_and_grad(edge)(s), *jax.jvp(edge, (s,), (jnp.ones(()),))))(1.0)
    np.testing.assert_allclose(both, 2 ** (1 / 6), rtol=1e-8)


def test_what_a_field_holds_may_move():
    """A chain with one end held: where the place goes, all atoms go, but bonds keep their length."""
    start = System([[0.1, 0, 0], [1.3, 0.1, 0]], Free())
    lists = AllPairs.make(Free(), 2.0)

    def ends(place, length):
        potential = Restraint(atoms=[[0]], place=place, stiffness=2.0) + HarmonicBond(
            atoms=[[0, 1]], stiffness=3.0, length=length
        )
        return minimize(potential, start, tolerance=1e-9, neighbors=lists).system.position

    place = jnp.zeros((1, 3))
    x, (by_place, by_length) = jax.jit(lambda p, s: (ends(p, s), jax.jacrev(ends, (0, 1))(p, s)))(place, 1.0)
    np.testing.assert_allclose(x[0], 0, atol=1e-8)
    direction = x[1] - x[0]
    np.testing.assert_allclose(by_place[0, :, 0], np.eye(3), atol=1e-6)
    np.testing.assert_allclose(by_length, np.stack([np.zeros(3), direction]), atol=1e-6)


def test_failures_are_values_and_bad_input_is_refused():
    morse = Morse(cutoff=Truncated(radius=5.0))
    start = System([[0.0, 0, 0], [1.7, 0, 0]], Free())
    short = minimize(morse, start, max_steps=2, throw=False)
    assert short.result == RESULTS.not_converged and short.num_steps == 2
    with pytest.raises(RuntimeError, match="not reached"):
        minimize(morse, start, max_steps=2)
    overlap = System(np.zeros((2, 3)), Free())
    lost = minimize(LennardJones(cutoff=Truncated(radius=3.0)), overlap, throw=False)
    assert lost.result == RESULTS.nonfinite_state
    with pytest.raises(ValueError, match="periodic along all three"):
        minimize(morse, start, cell=Isotropic())
