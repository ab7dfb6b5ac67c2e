"""States with parts on Lie groups, and explicit methods around them."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .._geometric._pair import later
from .._solution import TimeState
from .._tree import difference, is_concrete
from ._groups import AbstractLieGroup

_APART = 1e-3  # what is further from its group than this, relative to 1, is an error


def is_group(x: Any) -> bool:
    """Whether something is a Lie group, and so a leaf of `groups`."""
    return isinstance(x, AbstractLieGroup)


def check_groups(groups: PyTree) -> None:
    """Refuses a PyTree that holds something else than Lie groups."""
    for leaf in jax.tree.leaves(groups, is_leaf=is_group):
        if not is_group(leaf):
            raise ValueError(
                f"groups must hold Lie groups (SO3(), UnitQuaternion(), SE3(), Euclidean()), not {leaf!r}."
            )


def each(groups: PyTree, fn: Callable[..., PyTree], *trees: PyTree) -> PyTree:
    """`fn(group, part, ...)` for every group and its parts of the trees."""
    return jax.tree.map(fn, groups, *trees, is_leaf=is_group)


def moved(groups: PyTree, y: PyTree, u: PyTree) -> PyTree:
    """Each part g of y as g exp(u)."""
    return each(groups, lambda group, g, u: group.product(g, group.exp(u)), y, u)


def start(groups: PyTree, y: PyTree) -> PyTree:
    """The elements of a state, moved onto their groups; refused, or NaN, if they are not next to them."""
    try:
        jax.tree.structure(groups, is_leaf=is_group).flatten_up_to(y)
    except ValueError as error:
        raise ValueError(f"groups must have the structure of the state, or of its upper part: {error}") from None

    def place(group: AbstractLieGroup, g: PyTree) -> PyTree:
        group.zero(g)  # looks at the shapes
        near = group.project(g)
        if near is g:
            return g
        gaps = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b), initial=0), g, near)
        close = jax.tree.reduce(jnp.logical_and, jax.tree.map(lambda gap: gap <= _APART, gaps), jnp.asarray(True))
        if is_concrete(close) and not bool(close):
            name = type(group).__name__
            raise ValueError(f"{g!r} is not in {name}: use {name}().project(g), or check it (a quaternion of norm 0?).")
        return jax.tree.map(lambda x: jnp.where(close, x, jnp.nan), near)

    return each(groups, place, y)


def zero(groups: PyTree, y: PyTree) -> PyTree:
    """The zero of each algebra."""
    return each(groups, lambda group, g: group.zero(g), y)


def velocity(vector_field: Callable[..., PyTree], groups: PyTree, t: Array, y: PyTree) -> PyTree:
    """What the vector field returns, if it is made of velocities."""
    velocity = vector_field(t, y, None)
    found = difference(
        jax.eval_shape(lambda: velocity), jax.eval_shape(lambda: zero(groups, y)), "vector_field(t, y, args)"
    )
    if found is not None:
        raise ValueError(f"The vector field must return velocities of the groups, (3,) for a rotation, but {found}.")
    return velocity


def chart(vector_field: Callable[..., PyTree], groups: PyTree, first: PyTree) -> Callable[..., PyTree]:
    """The vector field in the coordinates u around `first`, an ordinary one."""

    def rate(t: Array, u: PyTree, args: None) -> PyTree:
        there = velocity(vector_field, groups, t, moved(groups, first, u))
        return each(groups, lambda group, u, a: group.dexpinv(u, a), u, there)

    return rate


def explicit(field: Callable[..., PyTree], tableau: Any, origin: TimeState, dt: Array) -> PyTree:
    """The end of a step. In a loop: unrolled, the derivative of eight stages takes minutes to compile."""
    size = max(i for i, b in enumerate(tableau.b_sol) if b != 0) + 1  # no stage is carried over
    nodes, square = np.append(0.0, tableau.c)[:size], np.zeros((size, size))
    for k, row in enumerate(tableau.a_lower[: size - 1], start=1):
        square[k, :k] = row

    def stage(slopes: PyTree, k: Array) -> tuple[PyTree, None]:
        t = later(origin.t, jnp.asarray(nodes, dt.dtype)[k] * dt)
        slope = field(t, combined(origin.y, jnp.asarray(square)[k], slopes), None)
        return jax.tree.map(lambda all_, one: all_.at[k].set(dt.astype(one.dtype) * one), slopes, slope), None

    none = jax.tree.map(lambda x: jnp.zeros((size, *x.shape), x.dtype), origin.y)
    slopes, _ = jax.lax.scan(stage, none, jnp.arange(size))
    return combined(origin.y, tableau.b_sol[:size], slopes)


def combined(y: PyTree, weights: Any, slopes: PyTree) -> PyTree:
    """y + sum_i weights_i slopes_i."""
    exact = jax.lax.Precision.HIGHEST  # GPUs would round float32 operands to ten bits
    return jax.tree.map(lambda x, k: x + jnp.tensordot(jnp.asarray(weights, k.dtype), k, 1, precision=exact), y, slopes)
