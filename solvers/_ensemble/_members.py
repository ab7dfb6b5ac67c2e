"""The inputs of an ensemble: a PyTree with the members along the leading axis of every leaf, kept on the host."""

import dataclasses
import hashlib
import re
from collections.abc import Sequence
from typing import Any

import jax
import jax.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

_REMEDY = (
    "Close over what all members share: `ensemble(lambda x: fn(x, shared), inputs)`, and stack what differs: "
    "`jnp.stack([...])`."
)


@dataclasses.dataclass(frozen=True)
class Leaf:
    """One leaf of a PyTree of arrays; `key_impl` names the generator if it holds PRNG keys (`array` is their data)."""

    name: str
    array: np.ndarray
    key_impl: Any

    @property
    def one(self) -> jax.ShapeDtypeStruct:
        """Shape and dtype of one member."""
        return jax.ShapeDtypeStruct(self.array.shape[1:], self.array.dtype)


@dataclasses.dataclass(frozen=True)
class Members:
    """`n` members in the order in which the caller gave them."""

    n: int
    leaves: tuple[Leaf, ...]
    treedef: Any

    def take(self, indices: np.ndarray) -> list[np.ndarray]:
        """The raw leaves of some members, stacked."""
        return [leaf.array[indices] for leaf in self.leaves]

    @property
    def signature(self) -> tuple[Any, ...]:
        """All that a program for one member depends on, hashable."""
        kinds = tuple((leaf.one.shape, str(leaf.one.dtype), leaf.key_impl) for leaf in self.leaves)
        return (self.treedef, repr(self.treedef), kinds)  # static parts 1 and 1.0 are equal, their texts are not

    def fingerprint(self) -> str:
        """A digest of structure and values: equal inputs, and only those, have the same."""
        digest = hashlib.sha256(without_addresses(str(self.treedef)).encode())
        for leaf in self.leaves:
            digest.update(f"{leaf.name}{leaf.array.shape}{leaf.array.dtype}{leaf.key_impl}".encode())
            digest.update(np.ascontiguousarray(leaf.array).tobytes())
        return digest.hexdigest()


def rebuild(treedef: Any, leaves: Sequence[Any], key_impls: Sequence[Any]) -> PyTree:
    """The PyTree whose raw leaves are given; works on tracers, one member or many."""
    wrapped = [
        leaf if impl is None else jax.random.wrap_key_data(leaf, impl=impl)
        for leaf, impl in zip(leaves, key_impls, strict=True)
    ]
    return jax.tree.unflatten(treedef, wrapped)


def without_addresses(text: str) -> str:
    """The text of a program or structure without what differs from process to process."""
    return re.sub(r"0x[0-9a-f]+", "", text)


def is_key(x: Any) -> bool:
    """True for a typed PRNG key array."""
    return hasattr(x, "dtype") and jnp.issubdtype(x.dtype, jax.dtypes.prng_key)


def as_members(inputs: PyTree) -> Members:
    """Check the inputs of `ensemble` and bring them to the host."""
    flat, treedef = jax.tree_util.tree_flatten_with_path(inputs)
    if not flat:
        raise ValueError("`inputs` has no array leaf, so there is nothing to map over.")
    names = ["inputs" + jax.tree_util.keystr(path) for path, _ in flat]
    leaves = [leaf for _, leaf in flat]
    refuse_tracers(leaves)
    for name, leaf in zip(names, leaves, strict=True):
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic):
            raise TypeError(f"`{name}` is {leaf!r} ({type(leaf).__name__}), not an array. {_REMEDY}")
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind not in "biufcV":
            raise TypeError(
                f"`{name}` is a NumPy array of dtype {leaf.dtype}, which JAX cannot compute with. {_REMEDY}"
            )
        if leaf.ndim == 0:
            raise ValueError(f"`{name}` is a scalar: it has no leading axis of members. {_REMEDY}")
    sizes = {name: leaf.shape[0] for name, leaf in zip(names, leaves, strict=True)}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{name}: {size}" for name, size in sizes.items())
        raise ValueError(f"The leaves of `inputs` disagree about the number of members (leading axis): {listed}.")
    n = leaves[0].shape[0]
    if n == 0:
        raise ValueError(f"`inputs` holds no members: the leading axis of {', '.join(f'`{s}`' for s in names)} is 0.")
    return Members(n=n, leaves=tuple(_host(*pair) for pair in zip(names, leaves, strict=True)), treedef=treedef)


def refuse_tracers(leaves: Sequence[Any]) -> None:
    """`ensemble` schedules from the host, so it cannot be traced."""
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        raise TypeError(
            "`ensemble` was called under `jit`, `vmap` or `grad`, but it schedules work from the host and cannot be "
            "traced. Inside a transformation use `jax.vmap(fn)(inputs)` or `jax.lax.map(fn, inputs)`; to get "
            "gradients of all members put the gradient inside: `ensemble(jax.grad(fn), inputs)`."
        )


def _host(name: str, leaf: Any) -> Leaf:
    if is_key(leaf):
        return Leaf(name=name, array=np.asarray(jax.random.key_data(leaf)), key_impl=str(jax.random.key_impl(leaf)))
    array = np.asarray(leaf)
    return Leaf(name=name, array=array.astype(jax.dtypes.canonicalize_dtype(array.dtype), copy=False), key_impl=None)
