"""Starts of implicit equations: values that satisfy the algebraic ones, and whether the equation can be solved."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, PyTree

from .._exact import exact
from .._impulses import impulses, Scales
from .._judge import Verdict
from .._results import RESULTS
from .._tree import is_concrete
from .._types import inexact_asarray, RealScalarLike
from ._equation import AbstractEquation, constant, equation
from ._terms import AbstractImplicitTerm


class Start(NamedTuple):
    """A state and its derivative that satisfy an equation."""

    y: PyTree
    slope: PyTree


class Standing(NamedTuple):
    """What a start is worth."""

    slope: Array  # (n,)
    change: Array  # (n,) what is missing from y to be consistent
    regular: Bool[Array, ""]  # the pencil of M and J
    index_one: Bool[Array, ""]


def consistent_start(
    term: AbstractImplicitTerm,
    y0: PyTree,
    *,
    t0: RealScalarLike = 0.0,
    args: PyTree = None,
    slope: PyTree = None,
) -> Start:
    r"""Consistent initial values of $F(t, y, \dot y) = 0$ near `y0`.

    Changes only what the equation leaves free: `y` in the null space of $M = \partial F / \partial \dot y$ (the
    algebraic unknowns), $\dot y$ in the rest. Of $\dot y$ in the null space `slope` remains. Differentiable.

    - `slope`: a guess of the derivative, zero by default; M is evaluated there, and needs it where F is not linear.

    Raises ValueError if no such values are found; traced, it returns NaN.
    """
    y0 = jax.tree.map(inexact_asarray, y0)
    flat, unflat = ravel_pytree(y0)
    guess = jnp.zeros_like(flat) if slope is None else ravel_pytree(slope)[0].astype(flat.dtype)
    y, dy = _solved(equation(term, args, unflat), jnp.asarray(t0, flat.dtype), flat, guess)
    if is_concrete((y, dy)) and not bool(jnp.isfinite(y).all() & jnp.isfinite(dy).all()):
        raise ValueError(
            "No consistent initial values were found near y0: the algebraic equations have no solution there, or do "
            "not determine the algebraic unknowns (index above 1). Start from another y0, or differentiate them."
        )
    return Start(unflat(y), unflat(dy))


def judged(still: AbstractEquation, t: Any, y: Array, unit: Array) -> Verdict:
    """Of the start y, with tolerances `unit`."""
    found = standing(still, t, y, jnp.zeros_like(y))
    off = jnp.abs(found.change) / unit
    off = jnp.where(jnp.isnan(off), jnp.inf, off)
    result = RESULTS.where(jnp.all(off <= 1), RESULTS.successful, RESULTS.inconsistent_start)
    result = RESULTS.where(found.index_one, result, RESULTS.index_too_high)
    result = RESULTS.where(found.regular | found.index_one, result, RESULTS.singular_pencil)
    return Verdict(result, {"start_off_by": jnp.max(off, initial=0), "start_component": jnp.argmax(off)})


def standing(still: AbstractEquation, t: Any, y: Array, guess: Array) -> Standing:
    """Of the start y, where the derivative is near `guess`."""
    new, slope = _solved(still, t, y, guess)
    slope = jnp.where(jnp.isfinite(slope), slope, 0)
    mass, jacobian = _matrices(still, t, y, slope)
    rows, columns = _scales(mass)
    left, _, right, null = _spaces(rows[:, None] * mass * columns[None])
    inner = exact(exact(left.T, rows[:, None] * jacobian * columns[None]), right.T)
    inner = jnp.where(null[:, None] & null[None], inner, jnp.eye(y.shape[0], dtype=y.dtype))
    size = lambda a: jnp.maximum(jnp.max(jnp.abs(a), initial=0), jnp.finfo(y.dtype).tiny)
    pencil = mass / size(mass) + 0.618 * jacobian / size(jacobian)
    return Standing(slope, new - y, _regular(pencil), _regular(inner))


def least_slope(still: AbstractEquation, t: Any, y: Array) -> Array:
    """The smallest derivative that the equation allows, to first order."""
    mass, _ = _matrices(still, t, y, jnp.zeros_like(y))
    left, sizes, right, null = _spaces(mass)
    inverse = jnp.where(null, 0, 1 / jnp.where(null, 1, sizes))
    return exact(right.T, inverse * exact(left.T, still.slope(t, y)))


def _solved(system: AbstractEquation, t: Any, y: Array, slope: Array) -> tuple[Array, Array]:
    """y and its derivative; NaN if there are none."""
    mass, _ = _matrices(*constant((system, t, y, slope)))
    free = _free(mass)

    def moved(u: Array) -> tuple[Array, Array]:
        algebraic = exact(free, u)
        return y + algebraic, slope + u - algebraic

    def residual(u: Array) -> Array:
        return system.residual(t, *moved(u))

    # corrections in units of the unknowns: what they are, or what the first correction says that they will be
    start = constant(jnp.zeros_like(y))
    first = jnp.linalg.solve(jax.jacfwd(residual)(start), residual(start))
    size = jnp.abs(y) + jnp.abs(first) + 1e-6 * jnp.max(jnp.abs(y), initial=0)
    reach = 1 / jnp.where(jnp.isfinite(size) & (size > 0), size, 1)
    one = jnp.ones((), y.dtype)
    return moved(impulses(residual, start, Scales(reach, one, one)))


def _free(mass: Array) -> Array:
    """The projection onto what M does not see, along what it sees; in units that make M's rows and columns alike."""
    rows, columns = _scales(mass)
    _, _, right, null = _spaces(rows[:, None] * mass * columns[None])
    onto = exact(jnp.where(null[None], right.T, 0), right)
    return columns[:, None] * onto / columns[None]


def _scales(mass: Array) -> tuple[Array, Array]:
    """What makes the largest entry of each row 1, and then that of each column; of an empty one, nothing."""
    inverse = lambda most: 1 / jnp.where(most > 0, most, 1)
    rows = inverse(jnp.max(jnp.abs(mass), axis=1))
    return rows, inverse(jnp.max(jnp.abs(rows[:, None] * mass), axis=0))


def _matrices(system: AbstractEquation, t: Any, y: Array, slope: Array) -> tuple[Array, Array]:
    """M and J."""
    one = jnp.eye(y.shape[0], dtype=y.dtype)
    jacobian = system.jacobian(t, y, slope)
    return jax.vmap(system.mass(t, y, slope), out_axes=1)(one), jax.vmap(lambda v: jacobian(v)[1], out_axes=1)(one)


def _spaces(mass: Array) -> tuple[Array, Array, Array, Array]:
    """Singular vectors (as columns), values, vectors (as rows) of M, and which of them are its null space."""
    left, sizes, right = jnp.linalg.svd(mass)
    most = jnp.max(sizes, initial=0)
    return left, sizes, right, sizes <= 10 * mass.shape[0] * jnp.finfo(mass.dtype).eps * most


def _regular(a: Array) -> Bool[Array, ""]:
    """Whether a matrix is far from singular, whatever the units of its rows and columns."""
    tiny = jnp.finfo(a.dtype).tiny
    for _ in range(3):
        a = a / jnp.maximum(jnp.max(jnp.abs(a), axis=1, keepdims=True), tiny)
        a = a / jnp.maximum(jnp.max(jnp.abs(a), axis=0, keepdims=True), tiny)
    sizes = jnp.linalg.svd(a, compute_uv=False)
    return sizes[-1] > 1e3 * a.shape[0] * jnp.finfo(a.dtype).eps * sizes[0]
