"""Any mechanical system, given as its Lagrangian."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from ..solvers import compiled
from ._check import check_scalar_function, check_twins
from ._state import Motion, Real, Reals


class Lagrangian(eqx.Module):
    r"""Euler-Lagrange equations of any scalar $L(q, v)$, with forces $f(t, q, v)$ that no potential describes.

    $\frac{d}{dt} \frac{\partial L}{\partial v} = \frac{\partial L}{\partial q} + f$, solved for the acceleration $a$:
    $M a = \frac{\partial L}{\partial q} + f - \frac{\partial^2 L}{\partial v \partial q} v$ with the mass matrix
    $M = \partial^2 L/\partial v^2$.

    `lagrangian(q, v)` is any callable that JAX can differentiate three times; `q` and `v` are arrays or PyTrees of one
    structure. Make it an `equinox.Module` with fields declared by `parameter()` to fit it. `force(t, q, v)`, if given,
    returns generalized forces (friction, motors) with the structure of `q`.

        Lagrangian(lambda q, v: v**2 / 2 - (1 - jnp.cos(q)))

    Where $M$ is singular to working precision the acceleration is not determined. It is NaN then, so that `integrate`
    ends with a named result instead of a wrong trajectory; other members of a `vmap` are not affected.

    Source: H. Goldstein, C. Poole, J. Safko, Classical Mechanics (2002), chapter 1.
    """

    State = Motion

    lagrangian: Callable[[Any, Any], Real]
    force: Callable[[Any, Any, Any], Any] | None = None

    @compiled
    def __call__(self, t: Any, y: Motion, args: Any = None) -> Motion:
        """Velocity and acceleration; `t` goes to `force`, `args` is not used."""
        check_twins(self, y, Motion)
        check_scalar_function(self, self.lagrangian, y)
        q, unravel = ravel_pytree(y.q)
        v, _ = ravel_pytree(y.v)

        def momentum(q: Reals, v: Reals) -> Reals:
            return jax.grad(lambda v: self.lagrangian(unravel(q), unravel(v)))(v)

        slope = jax.grad(lambda q: self.lagrangian(unravel(q), unravel(v)))(q)
        transport = jax.jvp(lambda q: momentum(q, v), (q,), (v,))[1]
        push = slope - transport + self._forces(t, y, q)
        return Motion(q=y.v, v=unravel(solve_or_nan(jax.jacfwd(momentum, argnums=1)(q, v), push)))

    @compiled
    def energy(self, y: Motion) -> Real:
        r"""$v \cdot \partial L/\partial v - L$, constant in time if no force acts."""
        momentum, velocity = ravel_pytree(self.momentum(y))[0], ravel_pytree(y.v)[0]
        return momentum @ velocity - self.lagrangian(y.q, y.v)

    @compiled
    def momentum(self, y: Motion) -> Any:
        r"""Conjugate momenta $\partial L/\partial v$, structured like `q`; constant for a coordinate missing in $L$."""
        return jax.grad(self.lagrangian, argnums=1)(y.q, y.v)

    def _forces(self, t: Any, y: Motion, q: Reals) -> Reals:
        if self.force is None:
            return jnp.zeros_like(q)
        force = self.force(t, y.q, y.v)
        found, expected = (jax.tree.map(jnp.shape, x) for x in (force, y.q))
        if found != expected:
            raise ValueError(f"Lagrangian.force returned {found}, expected the shapes of `q`: {expected}.")
        return ravel_pytree(force)[0]


def solve_or_nan(matrix: Reals, right: Reals) -> Reals:
    r"""$x$ in $A x = b$ for a symmetric $A$, or NaN if $A$ is singular to working precision.

    The test is the reciprocal condition number in the 1-norm after scaling rows and columns alike, so that coordinates
    in different units (meters and radians) do no harm.
    """
    size = right.shape[0]
    eye = jnp.eye(size, dtype=right.dtype)
    frozen = jax.lax.stop_gradient(matrix)
    diagonal, largest = jnp.abs(jnp.diagonal(frozen)), jnp.max(jnp.abs(frozen), axis=1)
    scale = jnp.where(diagonal > 0, diagonal, jnp.where(largest > 0, largest, 1))
    scale = 1 / jnp.sqrt(scale)
    scaled = scale[:, None] * matrix * scale[None, :]
    inverse = jnp.linalg.solve(jax.lax.stop_gradient(scaled), eye)
    condition = _norm(inverse) * _norm(jax.lax.stop_gradient(scaled))
    regular = condition * (10 * size * jnp.finfo(right.dtype).eps) < 1  # false for NaN and infinity too
    solution = scale * jnp.linalg.solve(jnp.where(regular, scaled, eye), scale * right)
    return jnp.where(regular, solution, jnp.nan)


def _norm(matrix: Reals) -> Real:
    return jnp.max(jnp.sum(jnp.abs(matrix), axis=0))
