"""Thermostats, fixed atoms and two time steps: conservation, reversal, the canonical distribution, gradients."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.md import (
    AllPairs,
    Andersen,
    Brownian,
    draw_velocities,
    External,
    fcc,
    Free,
    Gaussian,
    Langevin,
    LennardJones,
    Morse,
    NoseHoover,
    OpenMMSwitch,
    RESPA,
    simple_cubic,
    System,
    Truncated,
    VelocityRescaling,
    VelocityVerlet,
)
from kinax.solvers import RESULTS, rollout
from scipy import stats
from tests.dynamics import check_both_modes, KEY, Ring, standard_error

SPRING = Morse(alpha=1.5, cutoff=Truncated(radius=20.0))
SOFT = Gaussian(epsilon=0.3, sigma=1.5, cutoff=Truncated(radius=20.0))
TRIMER = System(
    [[0.0, 0, 0], [1.1, 0.1, 0], [0.4, 0.9, 0.2]],
    Free(),
    velocity=[[0.2, 0.6, 0], [-0.1, 0, 0.1], [0, -0.4, -2 / 15]],
    mass=[1.0, 2.0, 1.5],
)


def backwards(state):
    """The state with everything that moves moving back."""
    chain = state.control
    if not isinstance(chain, jax.Array):
        chain = eqx.tree_at(lambda c: c.velocity, chain, -chain.velocity)
    return state.replace(system=state.system.replace(velocity=-state.system.velocity), control=chain)


@pytest.mark.parametrize(
    "make",
    [
        lambda dt: NoseHoover(potential=SPRING, kT=0.2, relaxation=0.5, dt=dt, length=1),
        lambda dt: NoseHoover(potential=SPRING, kT=0.2, relaxation=0.5, dt=dt, length=4),
        lambda dt: RESPA(inner=SPRING, outer=SOFT, dt=dt, inner_steps=3),
    ],
    ids=["one thermostat", "chain", "respa"],
)
def test_deterministic_motion_is_of_order_2_reversible_and_keeps_momentum(make):
    drifts = []
    for n in (48, 96):
        dynamics = make(3.0 / n)
        run = rollout(dynamics, dynamics.start(TRIMER), 96, observe=dynamics.conserved)
        drifts.append(np.std(run.ys[:n]))
        back = rollout(dynamics, backwards(run.state), 96, observe=dynamics.conserved).state
        np.testing.assert_allclose(back.system.position, TRIMER.position, atol=1e-11)
        np.testing.assert_allclose(run.state.system.momentum, TRIMER.momentum, atol=1e-13)
        # something has happened
        assert np.abs(run.state.system.kinetic_energy / TRIMER.kinetic_energy - 1) > 0.02
    assert 1e-5 < drifts[1] < 1e-2 and abs(np.log2(drifts[0] / drifts[1]) - 2) < 0.3


BATHS = {
    "langevin": (lambda p: Langevin(potential=p, kT=0.7, friction=1.0, dt=0.02), 0, False),
    "brownian": (lambda p: Brownian(potential=p, kT=0.7, friction=4.0, dt=0.001), 0, True),
    "andersen": (lambda p: Andersen(potential=p, kT=0.7, rate=1.0, dt=0.02), 0, True),
    "rescaling": (lambda p: VelocityRescaling(potential=p, kT=0.7, relaxation=0.5, dt=0.02), 3, False),
    "rescaling, fixed": (lambda p: VelocityRescaling(potential=p, kT=0.7, relaxation=0.5, dt=0.02), 3, True),
}


@pytest.mark.parametrize(
    "name",
    [
        "rescaling, fixed",
        *(pytest.param(n, marks=pytest.mark.slow) for n in ("langevin", "andersen", "brownian", "rescaling")),
    ],
)
def test_kinetic_energies_of_many_systems_are_canonical(name):
    """2000 systems that start too cold; the last kinetic energies are independent draws of a gamma distribution."""
    make, constraints, fixed = BATHS[name]
    # so few atoms would need a long time to share their energy evenly; a bath for all of them has no need of springs
    bath = make(External(Ring(0.0 if constraints else 1.5)))
    mask = [True, False, False, False] if fixed else None
    system = System(np.eye(4, 3), Free(), mass=[1.0, 2.0, 3.0, 4.0], fixed=mask)
    near = AllPairs.make(system.space, 1.0)

    def last(key):
        start, noise = jax.random.split(key)
        state = bath.start(draw_velocities(system, 0.3, key=start), key=noise, neighbors=near, every=100)
        run = rollout(bath, state, 400, save_every=400, observe=lambda s: (s.system, bath.conserved(s)))
        return run.ys[0], run.ys[1][0] - bath.conserved(state)

    ends, drift = jax.jit(jax.vmap(last))(jax.random.split(jax.random.key(7), 2000))
    modes = 9 if fixed or constraints else 12
    assert float(system.degrees_of_freedom(constraints=constraints)) == modes
    kinetic = np.sum(np.asarray(system.mass) * np.sum(np.asarray(ends.velocity)[:, 0] ** 2, axis=2), axis=1) / 2
    assert stats.kstest(kinetic, stats.gamma(modes / 2, scale=0.7).cdf).pvalue > 0.01
    assert np.abs(drift).max() < (0.5 if name == "brownian" else 0.1)
    if fixed:
        np.testing.assert_array_equal(ends.position[:, 0, 0], np.ones((2000, 1)) * np.eye(4, 3)[:1])
        np.testing.assert_array_equal(ends.velocity[:, 0, 0], 0)
    elif constraints:
        np.testing.assert_allclose(np.einsum("i,...ij->...j", system.mass, ends.velocity), 0, atol=1e-12)


def test_brownian_positions_are_exact_in_a_harmonic_well_and_diffuse():
    """The variance of the method of Leimkuhler and Matthews is kT/k whatever the step; free atoms have D = kT/(m γ)."""
    system = System(np.zeros((4000, 3)), Free(), mass=2.0)
    system = draw_velocities(system, 0.5, key=jax.random.key(3), keep_momentum=True)
    near = AllPairs.make(system.space, 1.0)

    def spread(stiffness, n):
        well = External(lambda x: stiffness * jnp.sum(x**2) / 2)
        dynamics = Brownian(potential=well, kT=0.5, friction=4.0, dt=0.8)
        start = dynamics.start(system, key=jax.random.key(4), neighbors=near)
        return float(jnp.mean(rollout(dynamics, start, n, save_every=n).state.system.position ** 2))

    error = np.sqrt(2 / 12000)
    np.testing.assert_allclose(spread(5.0, 60), 0.5 / 5.0, rtol=3 * error)  # a step of half the relaxation time
    np.testing.assert_allclose(spread(0.0, 50), 2 * 0.5 / 8.0 * 0.8 * 49.5, rtol=3 * error)


BUILD = {
    "brownian": lambda p, a: Brownian(potential=p, kT=a["kT"], friction=a["time"], dt=a["dt"]),
    "andersen": lambda p, a: Andersen(potential=p, kT=a["kT"], rate=3.0, dt=a["dt"]),
    "rescaling": lambda p, a: VelocityRescaling(potential=p, kT=a["kT"], relaxation=a["time"], dt=a["dt"]),
    "nose_hoover": lambda p, a: NoseHoover(potential=p, kT=a["kT"], relaxation=a["time"], dt=a["dt"], length=2),
    "respa": lambda p, a: RESPA(inner=p, outer=External(lambda x: jnp.sum(jnp.cos(x))), dt=a["dt"], inner_steps=2),
}


@pytest.mark.parametrize(
    "name",
    ["nose_hoover", *(pytest.param(n, marks=pytest.mark.slow) for n in ("andersen", "brownian", "rescaling", "respa"))],
)
def test_gradients_of_a_run_with_a_fixed_atom(name):
    """By potential, masses and all numbers: forward, reverse and differences; float32 stays float32."""
    x = np.eye(4, 3) + 0.1
    near = AllPairs.make(Free(), 1.0)

    def end(given, dtype=None):
        system = System(jnp.asarray(x, dtype), Free(), mass=given["mass"], fixed=[False, False, True, False])
        system = draw_velocities(system, 0.8, key=KEY)
        dynamics = BUILD[name](External(Ring(given["stiffness"])), given)
        state = dynamics.start(system, key=KEY, neighbors=near, every=4)
        last = jax.lax.scan(lambda state, _: (dynamics(state), None), state, length=4)[0]
        return last.system.position, dynamics.conserved(last)

    given = {"stiffness": 1.5, "mass": np.array([1.0, 2.0, 1.5, 1.2]), "dt": 0.02, "kT": 0.7, "time": 0.6}
    position, _ = check_both_modes(end, jax.tree.map(jnp.asarray, given))
    np.testing.assert_array_equal(position[2], x[2])
    assert np.abs(position - x)[np.array([0, 1, 3])].min() > 1e-5
    assert {y.dtype for y in jax.eval_shape(lambda given: end(given, jnp.float32), given)} == {jnp.dtype("float32")}


def test_what_does_not_suit_a_bath_is_refused():
    pair = LennardJones(cutoff=OpenMMSwitch(radius=1.5, onset=1.2))
    moving = draw_velocities(simple_cubic(2, 1.2), 1.0, key=jax.random.key(0))
    hoover = NoseHoover(potential=pair, kT=1.0, relaxation=0.5, dt=0.01)
    rescaling = VelocityRescaling(potential=pair, kT=1.0, relaxation=0.5, dt=0.01)
    field = External(lambda x: jnp.sum(jnp.cos(x + 0.3)))
    key = jax.random.key(1)
    all_fixed = System(moving.position, moving.space, fixed=np.ones(8, bool))
    bad = [
        (lambda: NoseHoover(potential=pair, kT=0.0, relaxation=0.5, dt=0.01), "kT must be positive"),
        (
            lambda: NoseHoover(potential=pair, kT=1.0, relaxation=0.5, dt=0.01, length=0),
            "length must be a whole number",
        ),
        (lambda: RESPA(inner=pair, outer=pair, dt=0.01, inner_steps=0), "inner_steps must be"),
        (lambda: Brownian(potential=pair, kT=1.0, friction=0.0, dt=0.01), "friction must be positive"),
        (lambda: rescaling.start(moving), "pass a key"),
        (lambda: rescaling.start(simple_cubic(2, 1.2), key=key), "at rest"),
        (lambda: hoover.start(moving.replace(velocity=moving.velocity + 1)), "moves as a whole"),
        (lambda: hoover.start(all_fixed), "nothing to warm"),
        (lambda: eqx.tree_at(lambda d: d.potential, hoover, field).start(moving), "constraints=0"),
        (lambda: System(moving.position, moving.space, velocity=1.0, fixed=np.ones(8, bool)), "the atom is fixed"),
        (lambda: System(moving.position, moving.space, fixed=[0, 3]), "booleans, one for each atom"),
    ]
    for make, words in bad:
        with pytest.raises(ValueError, match=words):
            make()


def test_a_step_that_is_too_long_is_reported_with_the_step_and_the_atom():
    """Also where all numbers stay finite, and under jit; the first atom to move farther than the force reaches."""
    system = draw_velocities(simple_cubic(2, 1.5), 1.0, key=KEY)
    dynamics = VelocityVerlet(potential=LennardJones(cutoff=Truncated(radius=1.45)), dt=0.02)
    start = dynamics.start(eqx.tree_at(lambda s: s.position, system, system.position.at[5, 0].add(-0.75)))
    run = jax.jit(lambda start: rollout(dynamics, start, 20, throw=False))(start)
    assert RESULTS[run.result] == RESULTS[RESULTS.step_too_long]
    path = np.concatenate([start.system.unwrapped[None], jax.vmap(lambda s: s.unwrapped)(run.ys)])
    far = np.linalg.norm(np.diff(path, axis=0), axis=2) > 1.45
    step, atom = np.argwhere(far)[0]
    assert (int(run.stats["unstable_step"]), int(run.stats["unstable_atom"])) == (step + 1, atom) and step > 1
    with pytest.raises(RuntimeError, match=rf"Reduce `dt`.*\n.*unstable_step = {step + 1}, unstable_atom = {atom}"):
        rollout(dynamics, start, 20)


@pytest.mark.slow
def test_a_liquid_in_every_bath():
    """108 atoms: mean and variance of the kinetic energy; the same potential energy."""
    pair = LennardJones(cutoff=OpenMMSwitch(radius=2.2, onset=1.8))
    system = draw_velocities(fcc(3, 1.75), 1.0, key=jax.random.key(0))
    warm = Langevin(potential=pair, kT=1.0, friction=2.0, dt=0.004)
    liquid = rollout(warm, warm.start(system, key=jax.random.key(1)), 2000, save_every=2000).state.system
    liquid = draw_velocities(liquid, 1.0, key=jax.random.key(2))
    baths = [
        (NoseHoover(potential=pair, kT=1.0, relaxation=0.2, dt=0.004), 321),
        (NoseHoover(potential=pair, kT=1.0, relaxation=0.2, dt=0.004, length=1), 321),
        (VelocityRescaling(potential=pair, kT=1.0, relaxation=0.2, dt=0.004), 321),
        (Andersen(potential=pair, kT=1.0, rate=1.0, dt=0.004), 324),
        (Langevin(potential=pair, kT=1.0, friction=1.0, dt=0.004), 324),
    ]
    energies = []
    for bath, modes in baths:
        start = bath.start(liquid, key=jax.random.key(3))
        watch = lambda s, bath=bath: (s.system.kinetic_energy, bath.potential_energy(s), bath.conserved(s))
        kinetic, potential, conserved = rollout(bath, start, 8000, save_every=5, observe=watch).ys
        kinetic, potential = np.asarray(kinetic)[200:], np.asarray(potential)[200:]
        assert abs(kinetic.mean() - modes / 2) < 3 * standard_error(kinetic) + 2e-3 * modes / 2  # the step's own error
        spread = (kinetic - modes / 2) ** 2
        assert abs(spread.mean() - modes / 2) < 3 * standard_error(spread) + 2e-3 * modes / 2
        np.testing.assert_allclose(conserved, bath.conserved(start), atol=1.0)
        energies.append((potential.mean(), standard_error(potential)))
    means, errors = np.array(energies).T
    assert (np.abs(means - means[-1]) < 3 * np.hypot(errors, errors[-1])).all()
