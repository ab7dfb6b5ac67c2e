"""The pieces that integrators are made of."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from .._system import System


def kicked(system: System, force: Any, h: Any) -> System:
    """Velocities changed by a force acting for the time `h`."""
    h = jnp.asarray(h, system.velocity.dtype)
    return system.replace(velocity=system.velocity + h * system.held(force) / system.mass[:, None])


def drifted(system: System, h: Any) -> System:
    """Positions moved by the velocities for the time `h`."""
    h = jnp.asarray(h, system.position.dtype)
    return system.replace(position=system.position + h * system.velocity)


def in_dtype_of(system: System, *values: Any) -> tuple[Any, ...]:
    """Parameters in the dtype of the positions."""
    return tuple(jnp.asarray(value, system.position.dtype) for value in values)


def check_positive(dynamics: Any, *names: str) -> None:
    """Each of these fields is one number above zero, as far as it is known."""
    for name in names:
        value = getattr(dynamics, name)
        if jnp.shape(value) != ():
            raise ValueError(f"{type(dynamics).__name__}.{name} has shape {jnp.shape(value)}, expected one number.")
        if not isinstance(value, Tracer) and not np.asarray(value) > 0:
            raise ValueError(f"{type(dynamics).__name__}.{name} must be positive, got {value}.")
