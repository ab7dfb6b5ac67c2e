"""One `jax.grad` of the time of a `Stop`."""

import jax
import jax.numpy as jnp
from _clock import report, timed
from _thermostat import Room, switches_off

room = Room(loss=0.2, heating=6.0)
gradient, part = timed(lambda: jax.block_until_ready(jax.grad(switches_off)(room, jnp.array(4.0))))
report({"part": part, "values": [float(gradient.loss), float(gradient.heating)]})
