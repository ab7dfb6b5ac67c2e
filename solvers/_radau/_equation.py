"""The three kinds of equations, on flat states: how far stages are from solving them, and their derivatives."""

import abc
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from .._exact import exact
from .._tree import difference
from ._method import Method
from ._terms import AbstractImplicitTerm, MassTerm

Push = Callable[[Array], Array]


class AbstractEquation(eqx.Module):
    r"""$F(t, y, \dot y) = 0$ with $M = \partial F / \partial \dot y$ and $J = -\partial F / \partial y$."""

    @abc.abstractmethod
    def gap(self, method: Method, times: Array, h: Array, start: Array, stages: Array) -> Array:
        r"""(s, n): h A F at the stages (s, n); its derivative is $M - h A J$."""

    @abc.abstractmethod
    def slope(self, t: Array, y: Array) -> Array:
        """-F(t, y, 0)."""

    @abc.abstractmethod
    def residual(self, t: Array, y: Array, slope: Array) -> Array:
        """F(t, y, slope)."""

    @abc.abstractmethod
    def jacobian(self, t: Array, y: Array, slope: Array) -> Callable[[Array], tuple[Array, Array]]:
        """v -> `self.slope(t, y)`, J v."""

    @abc.abstractmethod
    def mass(self, t: Array, y: Array, slope: Array) -> Push:
        """v -> M v."""

    def between(self, method: Method, times: Array, h: Array, y: Array, curve: Array) -> Array:
        """-h F of the collocation polynomial half way between its last two nodes, where F has a derivative in it.

        What an algebraic equation determines may jump, and then no step is short enough for a polynomial.
        """
        theta = (method.c[-1] + method.c[-2]) / 2
        powers = np.arange(1, len(curve) + 1)
        here = jnp.tensordot(jnp.asarray(theta**powers, curve.dtype), curve, 1)
        slope = jnp.tensordot(jnp.asarray(powers * theta ** (powers - 1), curve.dtype), curve, 1) / h
        t = (times[-1] + times[-2]) / 2
        value = self.residual(t, y + here, slope)
        return -h * jnp.where(_has_rate(self.mass(t, y, slope), value), value, 0)

    @abc.abstractmethod
    def defect(self, t: Array, h: Array, y: Array, here: Array, change: Array, slope: Array, fresh: Array) -> Array:
        """-h F(t, y, -change / h), where `here` is `self.slope(t, y)`.

        Unless the start is `fresh`, `slope` is the derivative at the end of the last step, and F(t, y, slope) is what
        the iteration has left over there. Of algebraic equations it would be an error that no step is too short for,
        and so is that of a fresh start, after a jump.
        """


class Explicit(AbstractEquation):
    r"""$\dot y = f(t, y)$."""

    terms: Any
    args: PyTree
    unflat: Callable[[Array], PyTree] = eqx.field(static=True)

    def gap(self, method, times, h, start, stages):
        """Z - h A f."""
        slopes = jax.vmap(self.slope)(times, stages)
        return stages - start[None] - h * exact(jnp.asarray(method.a, start.dtype), slopes)

    def slope(self, t, y):
        """f."""
        return ravel_pytree(self.terms.vf(t, self.unflat(y), self.args))[0]

    def residual(self, t, y, slope):
        """Slope - f."""
        return slope - self.slope(t, y)

    def jacobian(self, t, y, slope):
        """Of f."""
        return lambda v: jax.jvp(lambda y: self.slope(t, y), (y,), (v,))

    def mass(self, t, y, slope):
        """1."""
        return lambda v: v

    def defect(self, t, h, y, here, change, slope, fresh):
        """h f + change."""
        return h * here + change


class WithMass(AbstractEquation):
    r"""$M \dot y = f(t, y)$."""

    term: MassTerm
    direction: Any
    args: PyTree
    unflat: Callable[[Array], PyTree] = eqx.field(static=True)

    def gap(self, method, times, h, start, stages):
        """M Z - h A f."""
        slopes = jax.vmap(self.slope)(times, stages)
        moved = jax.vmap(self._times)(stages - start[None])
        return moved - h * exact(jnp.asarray(method.a, start.dtype), slopes)

    def slope(self, t, y):
        """f."""
        f = self.term.vf(t * self.direction, self.unflat(y), self.args)
        return ravel_pytree(f)[0]

    def residual(self, t, y, slope):
        """M slope - f."""
        return self._times(slope) - self.slope(t, y)

    def jacobian(self, t, y, slope):
        """Of f."""
        return lambda v: jax.jvp(lambda y: self.slope(t, y), (y,), (v,))

    def mass(self, t, y, slope):
        """M."""
        return self._times

    def defect(self, t, h, y, here, change, slope, fresh):
        """h f + M change, or M (h slope + change)."""
        start = jnp.where(_has_rate(self._times, here), here, 0)
        return h * jnp.where(fresh, start, self._times(slope)) + self._times(change)

    def _times(self, v: Array) -> Array:
        return ravel_pytree(self.term.times(self.unflat(v)))[0]


class General(AbstractEquation):
    r"""$F(t, y, \dot y) = 0$."""

    term: AbstractImplicitTerm
    direction: Any
    args: PyTree
    unflat: Callable[[Array], PyTree] = eqx.field(static=True)

    def gap(self, method, times, h, start, stages):
        """h A F, with the slopes of the collocation polynomial."""
        slopes = exact(jnp.asarray(method.inverse, start.dtype), stages - start[None]) / h
        values = jax.vmap(self.residual)(times, stages, slopes)
        return h * exact(jnp.asarray(method.a, start.dtype), values)

    def slope(self, t, y):
        """-F(t, y, 0)."""
        return -self.residual(t, y, jnp.zeros_like(y))

    def residual(self, t, y, slope):
        """F."""
        value = self.term.residual(t * self.direction, self.unflat(y), self.unflat(slope), self.args)
        return ravel_pytree(value)[0]

    def jacobian(self, t, y, slope):
        """-dF/dy."""

        def push(v):
            _, moved = jax.jvp(lambda y: self.residual(t, y, slope), (y,), (v,))
            return self.slope(t, y), -moved

        return push

    def mass(self, t, y, slope):
        """dF/dslope."""
        return lambda v: jax.jvp(lambda slope: self.residual(t, y, slope), (slope,), (v,))[1]

    def defect(self, t, h, y, here, change, slope, fresh):
        """-h F."""
        value = self.residual(t, y, -change / h)
        start = jnp.where(_has_rate(self.mass(t, y, slope), value), 0, value)
        return h * (jnp.where(fresh, start, self.residual(t, y, slope)) - value)


def _has_rate(mass: Push, like: Array) -> Array:
    """Which equations have a derivative in them."""
    return mass(jnp.cos(jnp.arange(1, len(like) + 1, dtype=like.dtype) ** 2)) != 0


def unwrapped(terms: Any) -> tuple[Any, Any]:
    """A term and the direction of time: diffrax wraps a term in one that may turn time round."""
    return getattr(terms, "term", terms), getattr(terms, "direction", 1)


def is_ordinary(terms: Any) -> bool:
    """Whether nothing but time drives an equation."""
    term, _ = unwrapped(terms)
    members = term.terms if isinstance(term, diffrax.MultiTerm) else (term,)
    return all(isinstance(unwrapped(member)[0], diffrax.ODETerm | AbstractImplicitTerm) for member in members)


def check_structure(terms: Any, t: Any, y: PyTree, args: PyTree) -> None:
    """Raise a ValueError if an implicit equation returns something else than what y looks like."""
    term, _ = unwrapped(terms)
    if not isinstance(term, AbstractImplicitTerm):
        return
    if isinstance(term, MassTerm):
        got, name = eqx.filter_eval_shape(term.vector_field, t, y, args), "vector_field(t, y, args)"
    else:
        got, name = eqx.filter_eval_shape(term.residual, t, y, y, args), "function(t, y, slope, args)"
    found = difference(got, jax.eval_shape(lambda: y), name)
    if found is not None:
        raise ValueError(f"{type(term).__name__}: the equations must return what y0 looks like, but {found}.")


def equation(terms: Any, args: PyTree, unflat: Callable[[Array], PyTree]) -> AbstractEquation:
    """What to solve."""
    term, direction = unwrapped(terms)
    if isinstance(term, MassTerm):
        return WithMass(term, direction, args, unflat)
    if isinstance(term, AbstractImplicitTerm):
        return General(term, direction, args, unflat)
    return Explicit(terms, args, unflat)


def constant(tree: PyTree) -> PyTree:
    """The tree without derivatives."""
    return jax.tree.map(lambda x: jax.lax.stop_gradient(x) if eqx.is_inexact_array(x) else x, tree)
