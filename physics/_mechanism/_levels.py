"""Solving with the mass matrix of long chains in time proportional to their length, without forming it.

Source: R. Featherstone, Rigid Body Dynamics Algorithms (2008), section 7.3, for one degree of freedom at a time: each
is a joint of its own, with massless bodies within a joint that has several. All six-vectors of a tree are about one
point, so that nothing is transformed on the way. What lies equally deep in the trees is done at once, a level.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._spatial import matmul
from ._geometry import Geometry
from ._tables import apply, INERTIA
from ._topology import plan, Topology


class Levels(NamedTuple):
    """Degrees of freedom by depth and column; an index one too large means "none"."""

    dof: np.ndarray  # (depth, width)
    bodies: np.ndarray  # (k, depth, width) what the degree of freedom is the last one to move
    place: np.ndarray  # (nv) where each is, row by row
    parent: np.ndarray | None  # (depth, width, width) whether the column (last axis) holds what the child hangs on
    # None if each hangs on what is in its own column


def parents(topology: Topology) -> np.ndarray:
    """(nv,) the degree of freedom that each hangs on, -1 for the world; always of a smaller index."""
    upto = np.tril(plan(topology).masks["upto"], -1)
    return _last(upto)


@functools.lru_cache(maxsize=256)
def levels(topology: Topology) -> Levels:
    """Where each degree of freedom is dealt with. A first child stays in its parent's column."""
    parent, sizes = parents(topology), plan(topology)
    depth = np.zeros(sizes.nv, dtype=int)
    for i, p in enumerate(parent):
        depth[i] = depth[p] + 1 if p >= 0 else 0
    width, column = int(np.bincount(depth).max()), np.full(sizes.nv, -1)
    dof = np.full((depth.max() + 1, width), sizes.nv, dtype=np.int32)
    for level, row in enumerate(dof):
        here = np.flatnonzero(depth == level)
        for i in here:
            if level > 0 and row[column[parent[i]]] == sizes.nv:
                column[i] = column[parent[i]]
                row[column[i]] = i
        for i in here[column[here] < 0]:
            column[i] = np.flatnonzero(row == sizes.nv)[0]
            row[column[i]] = i
    hangs = np.zeros((*dof.shape, width), dtype=bool)
    deeper = np.flatnonzero(parent >= 0)
    hangs[depth[deeper], column[deeper], column[parent[deeper]]] = True
    return Levels(
        dof=dof,
        bodies=_bodies(_last(sizes.masks["moves"]), dof),
        place=(depth * width + column).astype(np.int32),
        parent=None if (column[deeper] == column[parent[deeper]]).all() else hangs,
    )


def by_levels(mechanism: Any, found: Geometry, added: Array) -> Callable[[Array], Array]:
    """x -> (M + diag(added))⁻¹ x by articulated bodies; NaN if that matrix is not positive definite.

    Derivatives are those of a linear equation: nothing differentiates the recursion.
    """
    table, extra = levels(mechanism.topology), mechanism.armature + added
    factors = _factors(table, *jax.lax.stop_gradient((found, extra)))
    product = functools.partial(_product, found, mechanism.masks.moves.astype(extra.dtype), extra)
    solve = lambda _, x: _solve(table, factors, x)
    return lambda x: jax.lax.custom_linear_solve(product, x, solve, symmetric=True)


class _Factors(NamedTuple):
    """Per level; `gain` is the wrench of an articulated body by its axis, divided by `inertia` along the axis."""

    axes: Array  # (depth, 6, width)
    gain: Array  # (depth, 6, width)
    inertia: Array  # (depth, width)
    parent: Array | None


def _factors(table: Levels, found: Geometry, extra: Array) -> _Factors:
    """From the tips to the worlds: what the articulated bodies resist."""
    axes = jnp.moveaxis(_with_none(found.axes, 0.0)[:, table.dof], 0, 1)
    ten = jnp.sum(_with_none(found.ten, 0.0)[:, table.bodies], axis=1)
    inertia = jnp.moveaxis(INERTIA(ten), 2, 0)
    parent = None if table.parent is None else jnp.asarray(table.parent, extra.dtype)

    def step(carried: Array, level: Any) -> tuple[Array, Any]:
        own, axis, along, above = level
        body = own + carried
        wrench = apply(body, axis)
        total = jnp.sum(axis * wrench, axis=0) + along
        total = jnp.where(total > 0, total, jnp.nan)  # as Cholesky's factors are
        gain = wrench / total[None]
        return _to_parents(body - wrench[:, None] * gain[None], above), (gain, total)

    rows = (inertia, axes, _with_none(extra, 1.0)[table.dof], parent)
    _, (gain, total) = jax.lax.scan(step, jnp.zeros_like(inertia[0]), rows, reverse=True)
    return _Factors(axes=axes, gain=gain, inertia=total, parent=parent)


def _solve(table: Levels, factors: _Factors, x: Array) -> Array:
    """Wrenches from the tips to the worlds, then accelerations back."""

    def inward(wrench: Array, level: Any) -> tuple[Array, Array]:
        (axis, gain, _, above), force = level
        left = force - jnp.sum(axis * wrench, axis=0)
        return _to_parents(wrench + gain * left[None], above), left

    def outward(moved: Array, level: Any) -> tuple[Array, Array]:
        (axis, gain, inertia, above), left = level
        carrier = moved if above is None else matmul(moved, above.T)
        a = left / inertia - jnp.sum(gain * carrier, axis=0)
        return carrier + axis * a[None], a

    still = jnp.zeros_like(factors.axes[0])
    _, left = jax.lax.scan(inward, still, (factors, _with_none(x, 0.0)[table.dof]), reverse=True)
    _, a = jax.lax.scan(outward, still, (factors, left))
    return a.reshape(-1)[table.place]


def _product(found: Geometry, moves: Array, extra: Array, x: Array) -> Array:
    """x -> (M + diag(added)) x."""
    wrench = apply(INERTIA(found.ten), matmul(found.axes * x[None], moves.T))
    return jnp.sum(found.axes * matmul(wrench, moves), axis=0) + extra * x


def _to_parents(parts: Array, above: Array | None) -> Array:
    """Sums (.., width) over the children of each column."""
    return parts if above is None else matmul(parts.reshape(-1, parts.shape[-1]), above).reshape(parts.shape)


def _with_none(x: Array, value: float) -> Array:
    """With one more entry of the last axis, for the index that means "none"."""
    return jnp.concatenate([x, jnp.full_like(x, value, shape=(*x.shape[:-1], 1))], axis=-1)


def _last(mask: np.ndarray) -> np.ndarray:
    """The last true column of each row, or -1."""
    return np.max(np.where(mask, np.arange(mask.shape[1])[None], -1), axis=1, initial=-1)


def _bodies(last: np.ndarray, dof: np.ndarray) -> np.ndarray:
    of_each = [np.flatnonzero(last == i) for i in range(dof.max() + 1)]
    table = np.full((max(map(len, of_each)), len(of_each)), len(last), dtype=np.int32)
    for i, bodies in enumerate(of_each):
        table[: len(bodies), i] = bodies
    return table[:, dof]
