"""Parameters of forces whose size is known only when they meet a mechanism."""

from typing import Any

import jax.numpy as jnp


def check_number_or(force: Any, name: str, n: int) -> None:
    """The parameter is one number, or has one for each of `n` things."""
    shape = jnp.shape(getattr(force, name))
    if shape not in ((), (n,)):
        raise ValueError(f"{type(force).__name__}.{name} has shape {shape}, expected () or ({n},) in this mechanism.")
