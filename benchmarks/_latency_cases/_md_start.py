"""500 Lennard-Jones atoms, 100 steps of Langevin dynamics, float32."""

import jax
from _clock import report, timed
from kinax.md import draw_velocities, fcc, Langevin, LennardJones, Truncated
from kinax.solvers import rollout


def run():
    """The state after 100 steps."""
    system = draw_velocities(fcc(5, (4 / 0.8442) ** (1 / 3)), 1.44, key=jax.random.key(0))
    potential = LennardJones(cutoff=Truncated(radius=2.5))
    bath = Langevin(potential=potential, kT=1.44, friction=1.0, dt=0.005)
    return rollout(bath, bath.start(system, key=jax.random.key(1)), 100, save_every=100).state


state, part = timed(lambda: jax.block_until_ready(run()))
report({"part": part, "values": [float(x) for x in state.system.position[0]]})
