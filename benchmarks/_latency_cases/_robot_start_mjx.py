"""The same by MJX."""

import importlib
import sys
from typing import Any

import jax
import jax.numpy as jnp
from _clock import report, timed

load: Any = importlib.import_module  # static tools need not have it
mujoco, mjx = load("mujoco"), load("mujoco.mjx")

jax.config.update("jax_enable_x64", True)


def run():
    """The sum of the coordinates at the end, and its derivative by each body's mass."""
    model = mujoco.MjModel.from_xml_path(sys.argv[1])
    on_device = mjx.put_model(model)
    start = mjx.make_data(on_device).replace(qvel=jnp.sin(jnp.arange(float(model.nv))))

    @jax.jit
    @jax.value_and_grad
    def end(mass):
        changed = on_device.replace(body_mass=mass)
        step = lambda data, _: (mjx.step(changed, data), None)
        return jnp.sum(jax.lax.scan(step, start, None, length=100)[0].qpos)

    return jax.block_until_ready(end(on_device.body_mass))


(value, gradient), part = timed(run)
report({"part": part, "values": [float(value), *gradient[1:].tolist()]})
