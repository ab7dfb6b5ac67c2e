"""PyTree helpers: naming leaves in messages, comparing structures, testing for finite values."""

import functools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Bool, PyTree


def leaf_name(path: tuple[Any, ...], root: str) -> str:
    """`root` with the path of a leaf behind it, as one would write it in Python: `state.q[0]`."""
    return root + jtu.keystr(path)


def is_concrete(tree: PyTree) -> bool:
    """Whether no leaf is a tracer, so that values can be looked at."""
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


def is_float(x: Any) -> bool:
    """Whether `x` is an array of floating (or complex) numbers."""
    return eqx.is_inexact_array(x)


def is_number(x: Any) -> bool:
    """Whether `x` is an array of numbers, not of PRNG keys."""
    return eqx.is_array(x) and not jnp.issubdtype(x.dtype, jax.dtypes.extended)


def as_jax(tree: PyTree) -> PyTree:
    """The tree with NumPy's numbers as JAX arrays, so that they are data of a compiled function, not part of it."""
    numeric = lambda x: isinstance(x, np.ndarray | np.generic) and x.dtype.kind in "biufc"
    return jax.tree.map(lambda x: jnp.asarray(x) if numeric(x) else x, tree)


def all_finite(tree: PyTree) -> Bool[Array, ""]:
    """Whether every float in every float leaf is finite."""
    # 0 x is NaN where x is not finite; sums of it fuse into one kernel, `isfinite(x).all()` per leaf compiles one each
    zeros = [jnp.sum(0 * x) for x in jax.tree.leaves(tree) if is_float(x)]
    return functools.reduce(jnp.logical_and, map(jnp.isfinite, zeros), jnp.asarray(True))


def nan_where(failed: Bool[Array, ""], tree: PyTree) -> PyTree:
    """The tree with all floats NaN if `failed`, and their derivatives with them, so that nothing overlooks it."""
    factor = jnp.where(failed, jnp.nan, 1.0)
    return jax.tree.map(lambda x: x * factor.astype(x.real.dtype) if is_float(x) else x, tree)


def refuse_nonfinite(tree: PyTree, root: str) -> None:
    """Raise a ValueError that names the first leaf with a NaN or an infinity, if values can be looked at."""
    for leaf in jax.tree.leaves(tree):
        if is_float(leaf) and not isinstance(leaf, Tracer) and not _finite(leaf):
            break
    else:
        return
    for path, leaf in jtu.tree_leaves_with_path(tree):
        bad = ~np.isfinite(np.asarray(leaf)) if is_float(leaf) and not isinstance(leaf, Tracer) else np.array(False)
        if bad.any():
            where = "" if leaf.ndim == 0 else f" (first at index {tuple(int(i) for i in np.argwhere(bad)[0])})"
            raise ValueError(
                f"{leaf_name(path, root)} holds {bad.sum()} NaN or infinite value(s){where}. Remove or mask them first."
            )


def _finite(leaf: Any) -> bool:
    """Whether all is finite, without moving an array off its accelerator."""
    near = isinstance(leaf, np.ndarray) or all(device.platform == "cpu" for device in leaf.devices())
    return bool(np.isfinite(np.asarray(leaf)).all() if near else jnp.isfinite(leaf).all())


def refuse_other_than_floats(tree: PyTree, root: str) -> None:
    """Raise a ValueError that names the first leaf that is not a float array."""
    for path, leaf in jtu.tree_leaves_with_path(tree):
        if not is_float(leaf):
            raise ValueError(f"{leaf_name(path, root)} must be a float array, not {leaf!r}.")


def _describe(x: Any) -> str:
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"{x.dtype}{list(x.shape)}"
    return repr(x)


def difference(got: PyTree, expected: PyTree, root: str) -> str | None:
    """The first way in which two trees of shapes differ, in words; `None` if they agree."""
    got_leaves, got_def = jtu.tree_flatten_with_path(got)
    expected_leaves, expected_def = jtu.tree_flatten_with_path(expected)
    if got_def != expected_def:
        got_names = {leaf_name(p, root) for p, _ in got_leaves}
        expected_names = {leaf_name(p, root) for p, _ in expected_leaves}
        missing, extra = sorted(expected_names - got_names), sorted(got_names - expected_names)
        detail = "".join(
            [f"; missing {', '.join(missing)}" if missing else "", f"; unexpected {', '.join(extra)}" if extra else ""]
        )
        return f"its structure is\n    {got_def}\ninstead of\n    {expected_def}{detail}"
    for (path, a), (_, b) in zip(got_leaves, expected_leaves, strict=True):
        if _describe(a) != _describe(b):
            return f"{leaf_name(path, root)} is {_describe(a)} instead of {_describe(b)}"
    return None
