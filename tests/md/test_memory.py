"""What the gradient of a long run needs, from XLA's own analysis of the compiled program."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from kinax.md import AllPairs, draw_velocities, fcc, LennardJones, Truncated, VelocityVerlet
from kinax.solvers import Checkpointed, rollout, Unrolled


def gradient_bytes(adjoint, n):
    system = draw_velocities(fcc(5, (4 / 0.8442) ** (1 / 3)), 1.44, key=jax.random.key(0))
    near = AllPairs.make(system.space, 2.5)

    def loss(sigma):
        pair = LennardJones(sigma=sigma, cutoff=Truncated(radius=2.5))
        dynamics = VelocityVerlet(potential=pair, dt=0.005)
        start = dynamics.start(system, neighbors=near, every=10)
        last = rollout(dynamics, start, n, save_every=n, adjoint=adjoint, throw=False).state
        return jnp.sum(last.system.position**2)

    analysis: Any = jax.jit(jax.grad(loss)).lower(jnp.asarray(1.0)).compile().memory_analysis()
    return analysis.temp_size_in_bytes


def test_the_gradient_of_1000_steps_of_500_atoms_needs_little_memory():
    """The bar is 400 MB; `python -m benchmarks memory` has the same with a neighbor list."""
    stored, all_stored = gradient_bytes(Checkpointed(), 1000), gradient_bytes(Unrolled(), 1000)
    state = 500 * 9 * np.dtype(float).itemsize  # places, velocities, forces
    assert 30 * state < stored < 4e6  # some states, but not one for each step
    assert all_stored > 6 * stored
