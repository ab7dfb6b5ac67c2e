"""What is known is computed on the host: JAX would compile a program for each operation."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ._tree import is_concrete


def namespace(*values: Any) -> Any:
    """NumPy if all values are known, else `jax.numpy`; its arrays become JAX's as fields of a module."""
    return np if is_concrete(values) else jnp


def namespace_of(*arrays: Any) -> Any:
    """NumPy for arrays of NumPy, while something is built on the host, else `jax.numpy`."""
    return np if all(isinstance(x, np.ndarray | np.generic) for x in arrays) else jnp


def on_host(value: Any, dtype: Any = None) -> Any:
    """An array of NumPy if the value is known, else of JAX; by default of the float type that JAX uses."""
    return namespace(value).asarray(value, jnp.result_type(float) if dtype is None else dtype)


def as_array(value: Any, dtype: Any) -> Any:
    """An array of JAX; of numbers on the host without a program."""
    if isinstance(value, jax.Array) or not is_concrete(value):
        return jnp.asarray(value, dtype)
    return jax.device_put(np.asarray(value, dtype))


def all_on_host(tree: Any) -> Any:
    """The tree with arrays of NumPy, if all are known."""
    return jax.tree.map(np.asarray, tree) if is_concrete(tree) else tree
