"""RATTLE: constraints to rounding, derivatives against minimal coordinates, forces, refusals."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import DoublePendulum, Hamiltonian, Motion, Pendulum, Phase
from kinax.solvers import integrate, RATTLE, RESULTS, rollout, TimeState, yoshida6

# length, gravity, mass, angle, angular velocity
ROD = jnp.asarray([0.7, 9.81, 1.3, 1.2, -0.8])


def distance(length):
    return lambda q: jnp.sqrt(jnp.sum(q**2)) - length


def pendulum(x, dt):
    length, gravity, mass = x[0], x[1], x[2]
    energy = lambda q, p: jnp.sum(p**2) / (2 * mass) + mass * gravity * q[1]
    return RATTLE(Hamiltonian(energy), distance(length), dt)


def placed(x, angle, rate):
    """Phase of the pendulum with the parameters x."""
    along = jnp.stack([jnp.cos(angle), jnp.sin(angle)])
    return Phase(x[0] * jnp.stack([along[1], -along[0]]), x[2] * x[0] * rate * along)


def hung(x):
    return TimeState(t=jnp.zeros((), x.dtype), y=placed(x, x[3], x[4]))


def in_angles(x, dt, n):
    r"""RATTLE in the angle: $\sin(\phi' - \phi) = h\,(\dot\phi - \frac{h g}{2 l} \sin\phi)$, and back in time."""
    pull = lambda angle: dt * x[1] / (2 * x[0]) * jnp.sin(angle)

    def step(y, _):
        angle, rate = y
        sine = dt * (rate - pull(angle))
        angle = angle + jnp.arcsin(sine)
        return (angle, sine / dt - pull(angle)), None

    (angle, rate), _ = jax.lax.scan(step, (x[3], x[4]), None, length=n)
    return placed(x, angle, rate)


def with_value(mode, fn):
    """The derivative and, as a by-product, the value, in one program."""
    return jax.jit(mode(lambda x: (fn(x),) * 2, has_aux=True))


def assert_trees_close(a, b, atol):
    for one, other in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=atol)


def test_pendulum_is_the_one_in_minimal_coordinates_with_its_derivatives():
    dt, n = jnp.asarray(0.02), 200
    run = lambda x: rollout(pendulum(x, dt), hung(x), n, save_every=n).state.y
    same = lambda x: in_angles(x, dt, n)
    exact, expected = with_value(jax.jacfwd, same)(ROD)
    assert np.max(np.abs(exact.p)) > 1
    for mode in (jax.jacfwd, jax.jacrev):
        slope, value = with_value(mode, run)(ROD)
        assert_trees_close(value, expected, 1e-13)
        assert_trees_close(slope, exact, 1e-12)


def test_derivatives_are_those_of_the_pendulum_in_continuous_time():
    def run(x):
        return rollout(yoshida6(pendulum(x, jnp.asarray(0.005))), hung(x), 200, save_every=200).state.y

    def exact(x):
        rod = Pendulum(length=x[0], gravity=x[1])
        y = integrate(rod, Motion(x[3], x[4]), [0.0, 1.0], rtol=1e-12, atol=1e-13).state.y
        return placed(x, y.q, y.v)

    expected_slope, expected = with_value(jax.jacfwd, exact)(ROD)
    for mode in (jax.jacfwd, jax.jacrev):
        slope, value = with_value(mode, run)(ROD)
        assert_trees_close(value, expected, 1e-9)
        assert_trees_close(slope, expected_slope, 1e-8)


MASSES, LENGTHS, GRAVITY = jnp.asarray([1.3, 0.4]), jnp.asarray([0.8, 0.5]), 9.81


def rods(q):
    return jnp.stack([jnp.sum(q[0] ** 2) - LENGTHS[0] ** 2, jnp.sum((q[1] - q[0]) ** 2) - LENGTHS[1] ** 2])


def chain_energy(q, p):
    return jnp.sum(p**2 / (2 * MASSES[:, None])) + GRAVITY * jnp.sum(MASSES * q[:, 1])


@jax.jit
def chain_start(angles, rates):
    along = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
    across = jnp.stack([along[:, 1], -along[:, 0]], axis=1)
    sums = lambda vectors: jnp.cumsum(LENGTHS[:, None] * vectors, axis=0)
    return Motion(sums(across), sums(rates[:, None] * along))


def test_two_rods_with_momenta_and_with_velocities():
    angles, rates = jnp.asarray([1.5, -0.6]), jnp.asarray([0.4, 2.0])
    q, v = chain_start(angles, rates)
    m = MASSES[:, None]
    momenta = RATTLE(Hamiltonian(chain_energy), rods, 0.005)
    fall = lambda t, y, args: Motion(y.v, jnp.broadcast_to(jnp.asarray([0.0, -GRAVITY]), y.q.shape))
    velocities = RATTLE(fall, rods, 0.005, mass=m)
    t = jnp.asarray(0.0)
    first = rollout(yoshida6(momenta), TimeState(t=t, y=Phase(q, m * v)), 200, save_every=10)
    second = rollout(yoshida6(velocities), TimeState(t=t, y=Motion(q, v)), 200, save_every=10)
    np.testing.assert_allclose(first.ys.y.q, second.ys.y.q, rtol=0, atol=1e-11)
    np.testing.assert_allclose(first.ys.y.p, m[None] * second.ys.y.v, rtol=0, atol=1e-11)
    system = DoublePendulum(masses=MASSES, lengths=LENGTHS, gravity=GRAVITY)
    exact = integrate(system, Motion(angles, rates), [0.0, 1.0], rtol=1e-12, atol=1e-12).state.y
    assert_trees_close(second.state.y, chain_start(exact.q, exact.v), 1e-8)
    off, leaving = jax.jit(jax.vmap(lambda y: jax.jvp(rods, (y.q,), (y.v,))))(second.ys.y)
    assert np.max(np.abs(off)) < 1e-14
    assert np.max(np.abs(leaving)) < 1e-13
    # the upper rod carries what the lower one carries, along its own direction
    last = second.state
    multipliers = eqx.filter_jit(velocities.multipliers)(last)
    np.testing.assert_allclose(eqx.filter_jit(momenta.multipliers)(first.state), multipliers, rtol=1e-9)
    lower = np.subtract(*np.asarray(last.y.q)[::-1])
    force = -2 * float(multipliers[1]) * lower + float(MASSES[1]) * np.array([0.0, -GRAVITY])
    moved = jax.jit(lambda y: jax.jvp(lambda a, b: chain_start(a, b).v[1], (y.q, y.v), tuple(system(0.0, y)))[1])
    np.testing.assert_allclose(force / float(MASSES[1]), moved(exact), rtol=0, atol=1e-6)


def test_long_run_keeps_constraints_and_energy():
    dt, n = jnp.asarray(0.01), 100_000
    simulator, start = pendulum(ROD, dt), hung(ROD)
    energy = lambda y: jnp.sum(y.p**2) / (2 * ROD[2]) + ROD[2] * ROD[1] * y.q[1]
    watch = lambda s: (jnp.sqrt(jnp.sum(s.y.q**2)) - ROD[0], jnp.vdot(s.y.q, s.y.p), energy(s.y))
    off, normal, energies = rollout(simulator, start, n, save_every=10, observe=watch).ys
    assert np.max(np.abs(off)) < 1e-12
    assert np.max(np.abs(normal)) < 1e-12
    half = len(energies) // 2
    assert np.ptp(energies) < 0.02
    assert abs(np.mean(energies[:half]) - np.mean(energies[half:])) < 1e-3 * np.ptp(energies)


def test_multiplier_is_the_tension_of_the_rod():
    tension = lambda x: pendulum(x, jnp.asarray(0.01)).multipliers(hung(x))
    exact = lambda x: x[2] * (x[1] * jnp.cos(x[3]) + x[0] * x[4] ** 2)
    value, slope = jax.jit(jax.value_and_grad(tension))(ROD)
    # of a step outside jit, by a number that only the constraint knows
    longer = lambda by: RATTLE(pendulum(ROD, 0.01).vector_field, distance(ROD[0] + by), 0.01)(hung(ROD)).y.q
    step = ROD[0] + jax.jvp(lambda by: jnp.sqrt(jnp.sum(longer(by) ** 2)), (0.0,), (1.0,))[1] - 1
    np.testing.assert_allclose(step, ROD[0], rtol=1e-14)
    np.testing.assert_allclose(value, exact(ROD), rtol=1e-14)
    np.testing.assert_allclose(slope, jax.jit(jax.grad(exact))(ROD), rtol=1e-13)


def test_rates_that_are_not_linear_in_the_momentum():
    # relativistic, free on a sphere: a great circle, with the speed p / sqrt(1 + p²)
    field = Hamiltonian(lambda q, p: jnp.sqrt(1 + jnp.sum(p**2)))
    start = TimeState(t=jnp.asarray(0.0), y=Phase(jnp.asarray([1.0, 0, 0]), jnp.asarray([0.0, 1.2, 1.6])))
    end = rollout(RATTLE(field, distance(1.0), 0.001), start, 1000, save_every=1000).state.y
    angle, speed = 2 / np.sqrt(5), np.array([0, 0.6, 0.8])
    exact = np.cos(angle) * np.array([1.0, 0, 0]) + np.sin(angle) * speed
    np.testing.assert_allclose(end.q, exact, rtol=0, atol=1e-6)
    np.testing.assert_allclose(end.q @ end.p, 0, rtol=0, atol=1e-15)


def test_float32_at_rest_and_at_the_origin():
    # a bead at the origin, of a circle around a point beside it: no size that says what is small
    center = jnp.asarray([0.0, 0.3], jnp.float32)
    field = Hamiltonian(lambda q, p: jnp.sum(p**2) / 2 + 9.8 * q[1])
    constraint = lambda q: jnp.sqrt(jnp.sum((q - center) ** 2)) - jnp.asarray(0.3, jnp.float32)
    zero, off = jnp.zeros(2, jnp.float32), jax.jit(jax.vmap(constraint))
    for push in (0.0, 1e-5, 1e-2, 1.0):
        start = TimeState(t=jnp.zeros((), jnp.float32), y=Phase(zero, jnp.asarray([push, 0], jnp.float32)))
        solution = rollout(RATTLE(field, constraint, jnp.asarray(0.001, jnp.float32)), start, 2000)
        assert np.max(np.abs(off(solution.ys.y.q))) < 2e-7
        assert solution.state.y.q.dtype == jnp.float32
        np.testing.assert_allclose(np.max(np.abs(solution.ys.y.p)), push, rtol=1e-3, atol=1e-6)


def test_a_state_off_the_constraint_is_refused_and_can_be_projected():
    simulator = pendulum(ROD, 0.01)
    state = TimeState(t=jnp.asarray(0.0), y=Phase(jnp.asarray([0.6, -0.5]), jnp.asarray([1.0, 0.3])))
    with pytest.raises(ValueError, match=r"not on its constraints: g\(q\) = \[0.081.*project"):
        rollout(simulator, state, 2)
    traced = jax.jit(lambda state: rollout(simulator, state, 2, throw=False).result)
    assert traced(state) == RESULTS.nonfinite_state
    fast = TimeState(t=jnp.asarray(0.0), y=Phase(hung(ROD).y.q, hung(ROD).y.q))
    with pytest.raises(ValueError, match=r"its rate is \[0.53"):
        simulator(fast)
    project = jax.jit(lambda q, p: simulator.project(TimeState(t=jnp.asarray(0.0), y=Phase(q, p))).y)
    unit = lambda q: q / jnp.sqrt(jnp.sum(q**2))
    exact = lambda q, p: Phase(ROD[0] * unit(q), p - unit(q) * jnp.vdot(unit(q), p))
    assert_trees_close(project(*state.y), exact(*state.y), 1e-15)
    simulator.check(TimeState(t=state.t, y=project(*state.y)))
    slopes = lambda mode, f: jax.jit(mode(f, argnums=(0, 1)))(*state.y)
    expected = slopes(jax.jacfwd, exact)
    for mode in (jax.jacfwd, jax.jacrev):
        assert_trees_close(slopes(mode, project), expected, 1e-14)
    assert np.isnan(project(jnp.zeros(2), jnp.ones(2)).q).all()  # no direction leads to the circle


def test_dependent_constraints_are_refused_and_poison_nobody():
    field = Hamiltonian(lambda q, p: jnp.sum(p**2) / 2)

    def simulator(tilt):
        return RATTLE(field, lambda q: jnp.stack([q[2], q[2] + tilt * q[1], jnp.sum(q) - q[2] - q[0] - q[1]])[:2], 0.1)

    state = TimeState(t=jnp.asarray(0.0), y=Phase(jnp.asarray([1.0, 0, 0]), jnp.asarray([2.0, 0, 0])))
    with pytest.raises(ValueError, match="has the rank 1 at this state, not 2"):
        rollout(simulator(0.0), state, 2)
    flat = RATTLE(field, lambda q: jnp.sum(q**2) - jnp.sum(q**2) + q[1] ** 2, 0.1)
    with pytest.raises(ValueError, match="has the rank 0 at this state, not 1"):
        flat(state)
    run = lambda tilt: rollout(simulator(tilt), state, 3, save_every=3, throw=False)
    both = jax.jit(jax.vmap(run))(jnp.asarray([0.0, 1.0]))
    np.testing.assert_array_equal(both.succeeded, [False, True])
    np.testing.assert_allclose(both.state.y.q[1], [1.6, 0, 0], atol=1e-15)


def test_derivatives_of_the_others_after_a_failure():
    field = Hamiltonian(lambda q, p: jnp.sum(p**2) / 2 + 9.81 * q[1])

    def run(p):
        state = TimeState(t=jnp.zeros(()), y=Phase(jnp.asarray([0.0, -1.0]), jnp.stack([p, 0 * p])))
        return rollout(RATTLE(field, distance(1.0), 0.05), state, 15, save_every=15, throw=False).state.y.q[0]

    x = ROD.at[jnp.asarray([0, 2, 3])].set(jnp.asarray([1.0, 1.0, 0.0]))
    same = lambda p: in_angles(x.at[4].set(p), 0.05, 15).q[0]
    starts = jnp.asarray([1.0, 90.0, 2.0])  # farther in a step than the circle is wide
    values, slopes = jax.jit(jax.vmap(jax.value_and_grad(run)))(starts)
    assert np.isnan(values[1])
    expected = jax.jit(jax.vmap(jax.value_and_grad(same)))(starts[::2])
    assert_trees_close((np.asarray(values)[::2], np.asarray(slopes)[::2]), expected, 1e-12)


def test_a_step_too_long_is_nan():
    x = ROD.at[4].set(200.0)  # farther in a step than the circle is wide
    assert np.isnan(rollout(pendulum(x, 0.02), hung(x), 1, throw=False).state.y.q).all()


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="mass must be positive"):
        RATTLE(Pendulum(length=1.0), distance(1.0), 0.1, mass=0.0)
    state = TimeState(t=jnp.asarray(0.0), y=Motion(jnp.ones(2), jnp.zeros(2)))
    with pytest.raises(ValueError, match="mass must be a number, or a PyTree whose shapes"):
        RATTLE(lambda t, y, args: Motion(y.v, -y.q), distance(1.0), 0.1, mass=np.ones(3))(state)
    drag = lambda t, y, args: Motion(y.v, -y.v)
    with pytest.raises(ValueError, match="needs a separable vector field"):
        RATTLE(drag, distance(1.0), 0.1)(state)
    with pytest.raises(ValueError, match="two parts"):
        RATTLE(lambda t, y, args: -y, distance(1.0), 0.1)(TimeState(t=jnp.asarray(0.0), y=jnp.ones(3)))
    two = RATTLE(lambda t, y, args: Motion(y.v, -y.q), lambda q: (q[0], q[1]), 0.1)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="must return one float array"):
        two(state)
