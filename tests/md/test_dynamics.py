"""Integrators: order, reversal, conservation, temperature, batches, gradients through a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.md import (
    draw_velocities,
    fcc,
    Free,
    Langevin,
    LennardJones,
    Morse,
    OpenMMSwitch,
    simple_cubic,
    System,
    Truncated,
    VelocityVerlet,
    WCA,
    Yoshida4,
    Yoshida6,
)
from kinax.solvers import rollout

SWITCH = OpenMMSwitch(radius=2.5, onset=2.0)


@pytest.mark.parametrize("kind, order, steps", [(VelocityVerlet, 2, 32), (Yoshida4, 4, 16), (Yoshida6, 6, 8)])
def test_order_and_time_reversal(kind, order, steps):
    """Three atoms on springs in open space; the error of the energy falls as dt**order."""
    system = System(
        [[0.0, 0, 0], [1.1, 0.1, 0], [0.4, 0.9, 0.2]],
        Free(),
        velocity=[[0.1, 0.3, 0], [-0.2, 0, 0.1], [0, -0.3, 0]],
        mass=[1.0, 2.0, 1.5],
    )
    spring = Morse(alpha=1.5, cutoff=Truncated(radius=20.0))

    def end(n, start, time=2.0):
        dynamics = kind(potential=spring, dt=time / n)
        return rollout(dynamics, dynamics.start(start), n, save_every=n).state.system

    runs = [end(n, system) for n in (steps, 2 * steps, 4 * steps)]
    gaps = [np.abs(a.position - b.position).max() for a, b in zip(runs[:-1], runs[1:], strict=True)]
    assert abs(np.log2(gaps[0] / gaps[1]) - order) < 0.35
    back = end(steps, runs[0].replace(velocity=-runs[0].velocity))
    np.testing.assert_allclose(back.position, system.position, atol=1e-11)
    np.testing.assert_allclose(runs[0].momentum, system.momentum, atol=1e-13)


def test_a_liquid_conserves_energy_and_momentum_and_takes_up_the_temperature_of_its_bath():
    pair = LennardJones(cutoff=OpenMMSwitch(radius=1.8, onset=1.4))
    system = draw_velocities(fcc(5, 1.68), 1.44, key=jax.random.key(0))
    newton = VelocityVerlet(potential=pair, dt=0.004)
    start = newton.start(system)
    run = rollout(newton, start, 400, save_every=100, observe=lambda s: (newton.conserved(s), s.system.momentum))
    np.testing.assert_allclose(run.ys[0], newton.conserved(start), atol=2e-3 * 500)
    np.testing.assert_allclose(run.ys[1], 0, atol=1e-10)
    bath = Langevin(potential=pair, kT=0.8, friction=5.0, dt=0.004)
    start = bath.start(run.state.system, key=jax.random.key(1))
    watch = lambda s: (bath.conserved(s), s.system.temperature(constraints=0))
    run = rollout(bath, start, 1500, save_every=10, observe=watch)
    np.testing.assert_allclose(np.mean(run.ys[1][50:]), 0.8, rtol=0.02)  # 100 samples of 1500 modes
    np.testing.assert_allclose(run.ys[0], bath.conserved(start), atol=8e-3 * 500)


@pytest.mark.slow
def test_batches_and_gradients_through_a_run():
    system = draw_velocities(simple_cubic(3, 1.2), 0.5, key=jax.random.key(2))
    start = VelocityVerlet(potential=WCA(), dt=0.005).start(system)

    def final(sigma, kT):
        dynamics = VelocityVerlet(potential=WCA(sigma=sigma), dt=0.005)
        state = dynamics.start(draw_velocities(system, kT, key=jax.random.key(4)), neighbors=start.neighbors, every=10)
        return jnp.sum(rollout(dynamics, state, 40, save_every=40).state.system.position[0] ** 2)

    sigmas = jnp.asarray([0.9, 1.0, 1.05])
    both = jax.jit(jax.value_and_grad(final, argnums=(0, 1)))
    values, (by_sigma, by_kT) = jax.jit(jax.vmap(jax.value_and_grad(final, argnums=(0, 1)), (0, None)))(sigmas, 0.5)
    for k, sigma in enumerate(sigmas):
        value, slopes = both(sigma, 0.5)
        np.testing.assert_allclose((values[k], by_sigma[k], by_kT[k]), (value, *slopes), rtol=1e-9)
    h = 1e-5
    rise = (both(1.0 + h, 0.5)[0] - both(1.0 - h, 0.5)[0]) / (2 * h)
    np.testing.assert_allclose(by_sigma[1], rise, rtol=1e-6)
    forward = jax.jit(lambda s: jax.jvp(lambda s: final(s, 0.5), (s,), (jnp.ones(()),))[1])(1.0)
    np.testing.assert_allclose(forward, by_sigma[1], rtol=1e-9)


def test_bad_input_is_refused():
    system, pair = simple_cubic(2, 1.2), LennardJones(epsilon=[1.0, 2.0], cutoff=SWITCH)
    bad = [
        (lambda: VelocityVerlet(potential=pair, dt=0.0), "dt must be positive"),
        (lambda: VelocityVerlet(potential=pair, dt=[0.1, 0.2]), "expected one number"),
        (lambda: Langevin(potential=pair, kT=1.0, friction=1.0, dt=0.1).start(system), "pass a key"),
        (
            lambda: VelocityVerlet(potential=pair, dt=0.1).start(simple_cubic(2, 1.2, species=[2] * 8)),
            "Species 2 has no parameters",
        ),
        (lambda: Truncated(radius=-1.0), "radius must be positive"),
        (lambda: OpenMMSwitch(radius=1.0, onset=2.0), "onset must be below"),
        (lambda: LennardJones(sigma=0.0, cutoff=SWITCH), "sigma must be finite and positive"),
        (lambda: LennardJones(sigma=[1.0, 2.0], epsilon=[1.0, 1.0, 1.0], cutoff=SWITCH), "tables for"),
        (lambda: LennardJones(epsilon=[[1.0, 2.0], [3.0, 1.0]], cutoff=SWITCH), "symmetric"),
        (lambda: draw_velocities(system, -1.0, key=jax.random.key(0)), "must not be negative"),
    ]
    for make, words in bad:
        with pytest.raises(ValueError, match=words):
            make()
    overlap = VelocityVerlet(potential=LennardJones(cutoff=SWITCH), dt=0.01)
    state = overlap.start(System(np.zeros((2, 3)), Free()))
    with pytest.raises(ValueError, match="force holds 6 NaN"):
        rollout(overlap, state, 5)
