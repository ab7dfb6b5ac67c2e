"""How the matrices of an implicit step are represented and inverted."""

import abc
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array

from .._exact import exact
from ._equation import Push


class AbstractBlocks(eqx.Module):
    r"""The inverses of $M - (h / \lambda_k) J$, m of them, in units of the components."""

    @abc.abstractmethod
    def __call__(self, modes: Array) -> Array:
        """(m, n) complex -> (m, n), each with its own inverse."""

    @abc.abstractmethod
    def first(self, v: Array) -> Array:
        """(n,) real -> (n,): the first inverse, which is real."""


class AbstractJacobian(eqx.Module):
    """The structure of a Jacobian: how many directions show all of it, and how to solve with it."""

    @abc.abstractmethod
    def blocks(
        self, mass: Push, jacobian: Callable[[Array], tuple[Array, Array]], factors: Array, scale: Array
    ) -> tuple[Array, AbstractBlocks]:
        r"""The slope, and the inverses of $M - f_k J$ for complex factors (m,), with y in units of `scale`."""

    @abc.abstractmethod
    def linear_solver(self, stages: int) -> lx.AbstractLinearSolver:
        """For the derivative of (stages, n) unknowns by the equations that they solve."""


class DenseBlocks(AbstractBlocks):
    """Inverted matrices."""

    inverses: Array  # (m, n, n) complex

    def __call__(self, modes):
        """Products."""
        return exact(self.inverses, modes[:, :, None])[:, :, 0]

    def first(self, v):
        """A product."""
        return exact(jnp.real(self.inverses[0]), v)


class Dense(AbstractJacobian):
    """A matrix of n times n numbers, the default: up to some hundred unknowns nothing is faster."""

    def blocks(self, mass, jacobian, factors, scale):
        """Inverts."""
        one = jnp.eye(scale.shape[0], dtype=scale.dtype)
        slope, matrix = jax.vmap(jacobian, out_axes=(None, 1))(one)
        # scaled, the matrix loses no digits by components that are small
        unit = lambda a: (a * scale[None] / scale[:, None]).astype(factors.dtype)[None]
        m = unit(jax.vmap(mass, out_axes=1)(one))
        return slope, DenseBlocks(jnp.linalg.inv(m - factors[:, None, None] * unit(matrix)))

    def linear_solver(self, stages):
        """LU factors."""
        return lx.AutoLinearSolver(well_posed=True)
