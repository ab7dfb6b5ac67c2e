"""Equations that are not solved for the derivative: a mass matrix, or none at all."""

import abc
from collections.abc import Callable
from typing import Any, NoReturn

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import PyTree

from .._types import inexact_asarray, strong


def _as_floats(mass: PyTree) -> PyTree:
    """A list of numbers is an array; the leaves of any other tree become arrays."""
    if isinstance(mass, list):
        return strong(inexact_asarray(mass))
    return jax.tree.map(lambda leaf: strong(inexact_asarray(leaf)), mass)


class AbstractImplicitTerm(diffrax.AbstractTerm):
    r"""$F(t, y, \dot y) = 0$. Give it to `integrate` in place of a vector field, with `solver=stiff()` or a `Radau`."""

    @abc.abstractmethod
    def residual(self, t: Any, y: PyTree, slope: PyTree, args: PyTree) -> PyTree:
        r"""$F(t, y, \dot y)$, of the structure of `y`."""

    def vf(self, t: Any, y: PyTree, args: PyTree) -> PyTree:
        r"""$-F(t, y, 0)$: of $M \dot y = f$ the right-hand side."""
        zero = jax.tree.map(jnp.zeros_like, y)
        return jax.tree.map(jnp.negative, self.residual(t, y, zero, args))

    def contr(self, t0: Any, t1: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The step."""
        return t1 - t0

    def prod(self, vf: PyTree, control: Any) -> NoReturn:
        """Refuses: a method that multiplies a vector field by its step would solve another equation."""
        raise ValueError(
            f"{type(self).__name__} needs a method that solves implicit equations: pass solver=stiff() or Radau(3)."
        )


class MassTerm(AbstractImplicitTerm):
    r"""$M \dot y = f(t, y, \mathrm{args})$ with a constant matrix M that may be singular.

    - `vector_field`: f, a function whose value has the structure of `y`.
    - `mass`: one number for each entry of `y` (a PyTree of the structure of `y`, 0 for an algebraic equation), or a
      matrix (n, n) that acts on all n entries of `y`, in the order of `jax.flatten_util.ravel_pytree`.

    Differential-algebraic equations of index 1: where $M \dot y$ does not see a combination of unknowns, f must
    determine it. Robertson's reaction with a conservation law:

        MassTerm(lambda t, y, args: ..., mass=jnp.array([1.0, 1.0, 0.0]))

    Raises ValueError if the shape of `mass` does not fit.
    """

    vector_field: Callable[..., PyTree]
    mass: PyTree = eqx.field(converter=_as_floats)

    def residual(self, t: Any, y: PyTree, slope: PyTree, args: PyTree) -> PyTree:
        """M slope - f."""
        return jax.tree.map(jnp.subtract, self.times(slope), self.vector_field(t, y, args))

    def vf(self, t: Any, y: PyTree, args: PyTree) -> PyTree:
        """f."""
        return self.vector_field(t, y, args)

    def times(self, v: PyTree) -> PyTree:
        """M v."""
        flat, unflat = ravel_pytree(v)
        n = flat.shape[0]
        if eqx.is_array(self.mass) and self.mass.shape == (n, n):
            return unflat(jnp.matmul(self.mass.astype(flat.dtype), flat, precision=jax.lax.Precision.HIGHEST))
        same = jax.tree.structure(self.mass) == jax.tree.structure(v)
        shapes = lambda tree: [jnp.shape(leaf) for leaf in jax.tree.leaves(tree)]
        if not same or any(m not in ((), x) for m, x in zip(shapes(self.mass), shapes(v), strict=True)):
            raise ValueError(
                f"MassTerm: mass must be a matrix of shape ({n}, {n}) or have the structure and shapes of y "
                f"({shapes(v)}), but has {shapes(self.mass)}."
            )
        return jax.tree.map(lambda m, x: m.astype(x.dtype) * x, self.mass, v)


class ResidualTerm(AbstractImplicitTerm):
    r"""$F(t, y, \dot y, \mathrm{args}) = 0$, in general nonlinear in $\dot y$, of index 0 or 1.

    - `function`: F, a function (t, y, slope, args) whose value has the structure of `y`. At slope 0 its derivative by
      the slope must have the rank that it has along the solution.

    A mass matrix that depends on the state: `ResidualTerm(lambda t, y, slope, args: mass(y) @ slope - f(t, y))`.
    """

    function: Callable[..., PyTree]

    def residual(self, t: Any, y: PyTree, slope: PyTree, args: PyTree) -> PyTree:
        """F."""
        return self.function(t, y, slope, args)
