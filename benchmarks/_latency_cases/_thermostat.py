"""A room that is heated until its thermostat switches off: the time of that is what was measured, in four rooms."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from kinax.solvers import hybrid, parameter, Stop

jax.config.update("jax_enable_x64", True)
OUTSIDE = jnp.array([0.0, 4.0, 8.0, 12.0])


class Room(eqx.Module):
    """Newton's law of cooling; rates in 1/h and K/h."""

    loss: Any = parameter()
    heating: Any = parameter()

    def __call__(self, t, y, outside):
        """Degrees an hour."""
        return self.heating - self.loss * (y - outside)


def switches_off(room, outside):
    """Hours from 15 degrees to 20."""
    warm = Stop(lambda t, y, outside: y - 20.0, direction=True)
    return hybrid(room, jnp.array(15.0), [0.0, 24.0], transitions=warm, args=outside, throw=False).state.t


def residuals(room, data):
    """Hours, in units of a minute."""
    return 60 * (jax.vmap(lambda outside: switches_off(room, outside))(OUTSIDE) - data)
