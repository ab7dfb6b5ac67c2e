"""Moving boxes: conservation, reversal, the distribution of volumes, gradients, boxes that collapse."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.md import (
    AllPairs,
    Anisotropic,
    CellRescaling,
    draw_velocities,
    energy,
    External,
    fcc,
    Flexible,
    Free,
    Gaussian,
    Isotropic,
    LennardJones,
    MartynaTobiasKlein,
    OpenMMSwitch,
    Periodic,
    pressure,
    simple_cubic,
    System,
    Triclinic,
)
from kinax.solvers import RESULTS, rollout
from scipy import stats
from tests.dynamics import check_both_modes, KEY, Ring, standard_error

SOFT = Gaussian(epsilon=2.0, sigma=0.6, cutoff=OpenMMSwitch(radius=1.2, onset=0.8))


def hoover(shape, dt: Any = 0.01, potential: Any = SOFT, length=2, pressure: Any = 0.3):
    return MartynaTobiasKlein(
        potential=potential,
        kT=0.7,
        pressure=pressure,
        relaxation=0.4,
        box_relaxation=0.6,
        dt=dt,
        shape=shape,
        length=length,
    )


def rescaling(shape, dt: Any = 0.01, potential: Any = SOFT):
    return CellRescaling(
        potential=potential,
        kT=0.7,
        pressure=0.4,
        relaxation=0.4,
        box_relaxation=1.0,
        compressibility=1.0,
        dt=dt,
        shape=shape,
    )


def backwards(state):
    """The state with everything that moves moving back."""
    c, negated = state.control, lambda chain: eqx.tree_at(lambda x: x.velocity, chain, -chain.velocity)
    c = c._replace(rate=-c.rate, bath=negated(c.bath), box_bath=negated(c.box_bath))
    return state.replace(system=state.system.replace(velocity=-state.system.velocity), control=c)


class Watch(eqx.Module):
    """What is conserved, and the volume; one program for steps of any length."""

    dynamics: Any

    def __call__(self, state):
        return self.dynamics.conserved(state), state.system.space.volume


@pytest.mark.parametrize("shape", [Flexible(), pytest.param(Isotropic(), marks=pytest.mark.slow)])
def test_a_box_with_inertia_is_of_order_2_reversible_and_keeps_momentum(shape):
    system = simple_cubic(2, 1.4)
    space = Triclinic(cell=system.space.cell) if isinstance(shape, Flexible) else system.space
    system = draw_velocities(System(system.position, space, mass=[1.0, 2.0] * 4), 1.0, key=KEY)
    near, drifts = AllPairs.make(space, 1.7), []  # with room for a smaller box
    for n in (60, 120):
        dynamics = hoover(shape, 1.8 / n)
        watch = Watch(dynamics)
        run = rollout(dynamics, dynamics.start(system, neighbors=near, every=10), 120, observe=watch)
        drifts.append(np.std(run.ys[0][:n]))
        back = rollout(dynamics, backwards(run.state), 120, observe=watch).state.system
        np.testing.assert_allclose(back.unwrapped, system.position, atol=1e-10)
        np.testing.assert_allclose(back.space.cell, space.cell, atol=1e-10)
        np.testing.assert_allclose(run.state.system.momentum, 0, atol=1e-13)
        assert np.ptp(run.ys[1]) > 0.05  # the volume has changed
    assert 1e-6 < drifts[1] < 1e-2 and abs(np.log2(drifts[0] / drifts[1]) - 2) < 0.3
    edges = np.diag(run.state.system.space.cell) / np.diag(space.cell)
    assert (np.ptp(edges) < 1e-14) == isinstance(shape, Isotropic)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [Isotropic(), Flexible()])
def test_volumes_of_an_ideal_gas(shape):
    """2000 boxes of four atoms whose momentum is 0: V is distributed as V³ exp(-P V / kT)."""
    dynamics = rescaling(shape, potential=External(lambda x: 0 * jnp.sum(x)))
    system = System(np.eye(4, 3), Triclinic(cell=2.0 * np.eye(3)), mass=[1.0, 2.0, 3.0, 4.0])
    near = AllPairs.make(system.space, 0.5)

    def last(key):
        start, noise = jax.random.split(key)
        state = dynamics.start(draw_velocities(system, 0.7, key=start), key=noise, neighbors=near, every=100)
        run = rollout(dynamics, state, 800, save_every=800)
        return run.ys, run.state.control.heat, dynamics.conserved(run.state) - dynamics.conserved(state)

    ends, heat, drift = jax.jit(jax.vmap(last))(jax.random.split(jax.random.key(5), 2000))
    volume = np.linalg.det(np.asarray(ends.space.cell)[:, 0])
    assert stats.kstest(volume, stats.gamma(4, scale=0.7 / 0.4).cdf).pvalue > 0.01
    kinetic = np.sum(np.asarray(system.mass) * np.sum(np.asarray(ends.velocity)[:, 0] ** 2, axis=2), axis=1) / 2
    assert stats.kstest(kinetic, stats.gamma(4.5, scale=0.7).cdf).pvalue > 0.01
    assert np.std(heat) > 1  # much has been exchanged, and all of it is accounted for
    np.testing.assert_allclose(drift, 0, atol=1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("make", [rescaling, hoover], ids=["rescaling", "inertia"])
def test_gradients_of_a_run_with_a_fixed_atom(make):
    """By potential, masses and all numbers: forward, reverse and differences; float32 stays float32."""
    x = np.eye(4, 3) + 0.1
    near = AllPairs.make(Free(), 1.0)

    def end(given, dtype=None):
        space = Triclinic(cell=jnp.asarray(2 * np.eye(3), dtype))
        system = System(jnp.asarray(x, dtype), space, mass=given["mass"], fixed=[False, False, True, False])
        system = draw_velocities(system, 0.8, key=KEY)
        names = ("pressure", "kT", "relaxation", "box_relaxation", "dt")
        where = lambda d: [getattr(d, name) for name in names]
        dynamics = make(Flexible(), potential=External(Ring(given["stiffness"])))
        dynamics = eqx.tree_at(where, dynamics, [given[name] for name in names])
        state = dynamics.start(system, key=KEY, neighbors=near, every=4)
        last = jax.lax.scan(lambda state, _: (dynamics(state), None), state, length=3)[0]
        return last.system.position, last.system.space.cell, dynamics.conserved(last)

    given = {"stiffness": 1.5, "mass": np.array([1.0, 2.0, 1.5, 1.2]), "dt": 0.02, "kT": 0.7, "pressure": 0.5}
    given = jax.tree.map(jnp.asarray, given | {"relaxation": 0.4, "box_relaxation": 0.6})
    position, cell, _ = check_both_modes(end, given)
    np.testing.assert_allclose(position[2] @ np.linalg.inv(cell), x[2] / 2, rtol=1e-12)  # its place in the box
    assert np.abs(cell - cell.T).max() < 0.02 and np.abs(cell - 2 * np.eye(3)).max() > 1e-3
    assert {y.dtype for y in jax.eval_shape(lambda given: end(given, jnp.float32), given)} == {jnp.dtype("float32")}


@pytest.mark.slow
def test_gradients_through_pair_potentials_in_a_moving_box():
    start = draw_velocities(fcc(2, 1.68), 0.5, key=KEY)
    neighbors = AllPairs.make(start.space, 2.4)  # several images of each atom

    def end(given):
        potential = LennardJones(
            sigma=given["sigma"], epsilon=given["epsilon"], cutoff=OpenMMSwitch(radius=2.0, onset=1.5)
        )
        dynamics = hoover(Isotropic(), potential=potential, dt=0.004, pressure=given["pressure"])
        state = dynamics.start(start, neighbors=neighbors)
        solution = rollout(dynamics, state, 14, save_every=14)
        return solution.state.system.position, solution.state.system.space.cell

    given = {"sigma": jnp.asarray(1.0), "epsilon": jnp.asarray(1.0), "pressure": jnp.asarray(0.3)}
    position, cell = check_both_modes(end, given)
    assert position.shape == (32, 3) and cell[0, 0] < 3.36  # the box shrinks, below twice the cutoff from the start


def test_what_does_not_suit_a_moving_box_is_refused():
    system = draw_velocities(simple_cubic(2, 1.25), 1.0, key=KEY)
    slab = System(system.position, Periodic(lengths=[2.5, 2.5, 2.5], axes=(True, True, False)))
    bad = [
        (lambda: hoover(Isotropic()).start(slab), "periodic along all three"),
        (lambda: hoover(Flexible()).start(system), "box that can shear"),
        (lambda: rescaling(Flexible()).start(system, key=KEY), "box that can shear"),
        (lambda: rescaling(Isotropic()).start(system), "pass a key"),
        (lambda: hoover(Isotropic(), pressure=[1.0, 2.0]), "one finite number"),
        (lambda: hoover(Isotropic(), length=0), "length must be"),
    ]
    for make, words in bad:
        with pytest.raises(ValueError, match=words):
            make()


@pytest.mark.slow
def test_a_box_that_shrinks_is_followed_and_one_that_collapses_is_reported():
    """Atoms that attract each other without bound: images are counted below twice the cutoff, half of it is the end."""
    pair = Gaussian(epsilon=-1.0, sigma=0.6, cutoff=OpenMMSwitch(radius=1.8, onset=1.5))
    system = draw_velocities(simple_cubic(2, 2.0), 0.5, key=KEY)
    dynamics = hoover(Isotropic(), 0.005, pair, pressure=8.0)
    run = rollout(dynamics, dynamics.start(system), 50, save_every=50)
    assert 0.9 < run.state.system.space.cell[0, 0] < 3.2 and run.stats["num_repeats"] > 0
    np.testing.assert_allclose(dynamics.potential_energy(run.state), energy(pair, run.state.system), rtol=1e-12)
    rest = rollout(dynamics, run.state, 100, save_every=100, throw=False)
    assert rest.state.system.space.cell[0, 0] < 0.9 and RESULTS[rest.result] == RESULTS[RESULTS.box_collapsed]


@pytest.mark.slow
@pytest.mark.parametrize(
    "shape, spacing, kT, target, steps",
    [(Isotropic(), 1.75, 2.0, 4.0, 10000), (Anisotropic(), 1.6, 0.3, 1.0, 24000)],
    ids=["liquid", "crystal"],
)
def test_a_liquid_and_a_crystal_under_pressure(shape, spacing, kT, target, steps):
    """By parts, <P> is the pressure asked for, along each axis, and <V P> = P0 <V> - kT; both methods agree."""
    pair = LennardJones(cutoff=OpenMMSwitch(radius=1.4, onset=1.2))  # the box stays wider than two of these
    system = draw_velocities(fcc(2, spacing), kT, key=jax.random.key(0))
    given = {"potential": pair, "kT": kT, "pressure": target, "relaxation": 0.2, "dt": 0.004, "shape": shape}
    warm = CellRescaling(**given, box_relaxation=0.3, compressibility=0.05)
    ends = []
    for dynamics in (warm, MartynaTobiasKlein(**given, box_relaxation=0.4)):

        def watch(s):
            inner = s.control.virial
            motion = jnp.einsum("i,ij,ik->jk", s.system.mass, s.system.velocity, s.system.velocity)
            return jnp.diagonal(motion - inner) / s.system.space.volume, s.system.space.volume, s.system.kinetic_energy

        run = rollout(dynamics, dynamics.start(system, key=jax.random.key(1)), steps, save_every=4, observe=watch)
        tensor, volume, kinetic = (np.asarray(y)[400:] for y in run.ys)
        inner = tensor.mean(axis=1)
        np.testing.assert_allclose(np.asarray(run.ys[0])[-1].mean(), pressure(pair, run.state.system), rtol=1e-9)
        for series, expected in [
            (inner, target),
            (volume * (inner - target), -kT),
            *([(tensor[:, 0], target), (tensor[:, 2], target)] if isinstance(shape, Anisotropic) else []),
            (kinetic, kT * 93 / 2),
            ((kinetic - kT * 93 / 2) ** 2, kT**2 * 93 / 2),
        ]:
            error = standard_error(series)
            assert abs(series.mean() - expected) < 3 * error + 2e-3 * abs(expected), (series.mean(), expected, error)
        spread = (volume - volume.mean()) ** 2
        ends.append((volume.mean(), standard_error(volume), spread.mean(), standard_error(spread)))
        system = run.state.system
    (a, da, s, ds), (b, db, t, dt) = ends
    assert abs(a - b) < 3 * np.hypot(da, db) and abs(s - t) < 3 * np.hypot(ds, dt), ends
