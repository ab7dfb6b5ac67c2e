"""What a compiled program depends on besides the numbers in its arrays."""

from collections.abc import Hashable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import PyTree


def signature_of(tree: PyTree) -> Hashable:
    """Structure, shapes and dtypes of the arrays, and all else by value and type (True equals 1, and 1.0)."""
    leaves, structure = jax.tree.flatten(tree)
    precision = tuple(jax.config.values[name] for name in ("jax_enable_x64", "jax_default_matmul_precision"))
    return structure, tuple(_signature(leaf) for leaf in leaves), precision


def _signature(leaf: Any) -> Hashable:
    if eqx.is_array(leaf):
        return leaf.shape, str(leaf.dtype), bool(getattr(leaf, "weak_type", False))
    return type(leaf), leaf
