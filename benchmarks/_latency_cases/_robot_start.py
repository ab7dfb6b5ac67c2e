"""A humanoid from MJCF (its path is the argument): 100 steps, and the gradient of where they end by the masses."""

import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from _clock import report, timed
from kinax.physics import Multibody, read_mjcf, SemiImplicitEuler
from kinax.solvers import rollout, TimeState

jax.config.update("jax_enable_x64", True)


def run():
    """The sum of the coordinates at the end, and its derivative by each body's mass."""
    robot = read_mjcf(sys.argv[1], ignore=("contact", "limit"))
    inertia: Any = robot.mechanism.inertia
    start = Multibody(robot.mechanism, robot.forces).state(v=jnp.sin(jnp.arange(float(robot.mechanism.topology.nv))))

    def end(mass):
        heavier: Any = eqx.tree_at(lambda x: x.mass, inertia, mass)
        mechanism = eqx.tree_at(lambda m: m.inertia, robot.mechanism, heavier)
        stepper = SemiImplicitEuler(multibody=Multibody(mechanism, robot.forces), dt=robot.dt)
        last = rollout(stepper, TimeState(t=jnp.array(0.0), y=start), 100, save_every=100).state.y
        return jnp.sum(last.q)

    return jax.block_until_ready(jax.value_and_grad(end)(inertia.mass))


(value, gradient), part = timed(run)
report({"part": part, "values": [float(value), *map(float, gradient)]})
