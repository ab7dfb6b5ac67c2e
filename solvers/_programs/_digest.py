"""Digests of numbers and formulas, to tell whether two are the same."""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ._jaxpr import constants


def formula_digest(fn: Callable[..., PyTree], *arguments: PyTree) -> str:
    """A digest of what `fn` computes: its operations, and the arrays that it is closed over.

    What a host callback does (`jax.pure_callback`) is not traced, so two that differ only there look the same.
    """
    closed = jax.make_jaxpr(fn)(*arguments)
    return digest((re.sub(r"0x[0-9a-f]+", "", str(closed.jaxpr)), list(constants(closed))))


def digest(tree: PyTree) -> str:
    """A digest of the numbers, the names and the text in a PyTree; functions count by name."""
    found = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        found.update(jax.tree_util.keystr(path).encode())
        found.update(_bytes_of(leaf))
    return found.hexdigest()


def _bytes_of(leaf: Any) -> bytes:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    if hasattr(leaf, "dtype"):  # arrays, also those of NumPy as JAX wraps them in a traced program
        array = np.asarray(leaf)
        return f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes()
    return getattr(leaf, "__qualname__", repr(leaf)).encode()
