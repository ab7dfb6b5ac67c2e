"""What is known is computed on the host: JAX would compile a program for each operation."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def is_known(*values: Any) -> bool:
    """Whether nothing in these trees is traced."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values))


def namespace(*values: Any) -> Any:
    """NumPy if all values are known, else `jax.numpy`; its arrays become JAX's as fields of a module."""
    return np if is_known(*values) else jnp


def on_host(value: Any, dtype: Any = None) -> Any:
    """An array of NumPy if the value is known, else of JAX; by default of the float type that JAX uses."""
    return namespace(value).asarray(value, jnp.result_type(float) if dtype is None else dtype)
