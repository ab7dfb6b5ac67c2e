"""Products of matrices that keep all digits on every device."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array


def exact(a: Any, b: Any) -> Array:
    """a @ b in full precision: GPUs would round float32 operands to ten bits."""
    return jnp.matmul(a, b, precision=jax.lax.Precision.HIGHEST)
