"""The pieces that integrators are made of."""

from typing import Any

import jax.numpy as jnp
from jax.core import Tracer

from .._system import System


def kicked(system: System, force: Any, h: Any) -> System:
    """Velocities changed by a force acting for the time `h`."""
    h = jnp.asarray(h, system.velocity.dtype)
    return system.replace(velocity=system.velocity + h * force / system.mass[:, None])


def drifted(system: System, h: Any) -> System:
    """Positions moved by the velocities for the time `h`."""
    h = jnp.asarray(h, system.position.dtype)
    return system.replace(position=system.position + h * system.velocity)


def check_dt(dynamics: Any) -> None:
    """`dt` is one number above zero, as far as it is known."""
    if jnp.shape(dynamics.dt) != ():
        raise ValueError(f"{type(dynamics).__name__}.dt has shape {jnp.shape(dynamics.dt)}, expected one number.")
    if not isinstance(dynamics.dt, Tracer) and not dynamics.dt > 0:
        raise ValueError(f"{type(dynamics).__name__}.dt must be positive, got {dynamics.dt}.")
