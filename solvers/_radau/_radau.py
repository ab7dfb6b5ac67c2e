"""Radau IIA methods as a diffrax solver."""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optimistix as optx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ._collocation import along, Collocation
from ._method import Method, radau
from ._newton import BlockNewton, Decoupled, exact


class Radau(diffrax.AbstractImplicitSolver, diffrax.AbstractAdaptiveSolver):
    r"""Radau IIA collocation with s `stages` (odd): order 2s - 1, L-stable, stiffly accurate.

    $Z_i = h \sum_j a_{ij} f(t_0 + c_j h, y_0 + Z_j)$, $y_1 = y_0 + Z_s$; the error is estimated by a method of order s,
    dense output is the collocation polynomial.

    Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), sections IV.5 and IV.8.
    """

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., Collocation]] = Collocation

    stages: int = eqx.field(default=5, static=True)
    root_finder: optx.AbstractRootFinder = eqx.field(
        default_factory=lambda: diffrax.with_stepsize_controller_tols(BlockNewton)()
    )
    root_find_max_steps: int = eqx.field(default=10, static=True)

    def __check_init__(self):
        if self.stages < 3 or self.stages % 2 == 0:
            raise ValueError(f"Radau takes an odd number of stages, 3, 5 or 7, not {self.stages}.")

    @property
    def _method(self) -> Method:
        return radau(self.stages)

    def order(self, terms):
        """2s - 1."""
        return self._method.order

    def error_order(self, terms):
        """The estimate is of a method of order s."""
        return self.stages + 1

    def init(self, terms, t0, t1, y0, args):
        """The polynomial of the last step, which the next one starts from, and that step; nothing at first."""
        flat, _ = ravel_pytree(y0)
        if not jnp.issubdtype(flat.dtype, jnp.floating):
            raise ValueError(
                f"Radau needs a state of real numbers, not {flat.dtype}: split it into real and imaginary part."
            )
        if jnp.shape(terms.contr(t0, t1)) != ():
            raise ValueError("Radau solves ordinary differential equations, not stochastic or controlled ones.")
        return jnp.zeros((self.stages, flat.shape[0]), flat.dtype), jnp.ones((), flat.dtype)

    def func(self, terms, t0, y0, args):
        """The vector field."""
        return terms.vf(t0, y0, args)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        """One step from t0 to t1."""
        method, (curve, before) = self._method, solver_state
        flat, unflat = ravel_pytree(y0)
        h = terms.contr(t0, t1).astype(flat.dtype)
        times = t0 + jnp.asarray(method.c, jnp.result_type(t0)) * (t1 - t0)
        slope, known = self._decoupled(_constant((terms, t0, h, flat, args)), unflat)

        def residual(stages, given):
            terms, times, h, flat, args = given
            slopes = jax.vmap(lambda t, y: _flat_field(terms, t, y, args, unflat))(times, stages)
            return stages - flat[None] - h * exact(jnp.asarray(method.a, flat.dtype), slopes)

        guess = jnp.where(made_jump, 0, _extrapolated(method, curve, h / before))
        found = optx.root_find(
            residual,
            self.root_finder,
            _constant(flat[None] + guess),
            (terms, times, h, flat, args),
            options=dict(decoupled=known, start=_constant(flat)[None]),
            max_steps=self.root_find_max_steps,
            adjoint=optx.ImplicitAdjoint(linear_solver=lx.AutoLinearSolver(well_posed=True)),
            throw=False,
        )
        z = found.value - flat[None]
        curve = exact(jnp.asarray(method.lift, z.dtype), z)
        push = h * slope + exact(jnp.asarray(method.error, z.dtype), _constant(z))
        error = known.scale * exact(jnp.real(known.inverses[0]), push / known.scale) / method.real
        result = diffrax.RESULTS.promote(found.result)
        error = jnp.where(diffrax.is_okay(result), error, jnp.inf)  # so that the step is rejected
        y1 = unflat(found.value[-1])
        dense = dict(y0=y0, y1=y1, curve=curve)
        return y1, unflat(error), dense, _constant((curve, h)), result

    def _decoupled(self, start, unflat):
        """The slope at the start, and what the iteration needs of the Jacobian there."""
        terms, t0, h, y, args = start
        push = lambda direction: jax.jvp(lambda y: _flat_field(terms, t0, y, args, unflat), (y,), (direction,))
        one = jnp.eye(y.shape[0], dtype=y.dtype)
        slope, jacobian = jax.vmap(push, out_axes=(None, 1))(one)
        # scaled, the matrix loses no digits by components that are small
        scale = _units((self.root_finder.atol + self.root_finder.rtol * jnp.abs(y)).astype(y.dtype))
        jacobian = jacobian * scale[None] / scale[:, None]
        wide = jnp.complex64 if y.dtype == jnp.float32 else jnp.complex128
        factors = h.astype(wide) / jnp.asarray(self._method.eigenvalues, wide)
        inverses = jnp.linalg.inv(one.astype(wide)[None] - factors[:, None, None] * jacobian.astype(wide)[None])
        return slope, Decoupled(inverses=inverses, scale=scale)


def _units(tolerance: Array) -> Array:
    """The tolerances of the components, none of them zero."""
    most = jnp.max(tolerance, initial=0)
    return jnp.where(most > 0, jnp.maximum(tolerance, 1e-30 * most), 1)


def _flat_field(terms: Any, t: Any, y: Array, args: PyTree, unflat: Callable[[Array], PyTree]) -> Array:
    return ravel_pytree(terms.vf(t, unflat(y), args))[0]


def _constant(tree: PyTree) -> PyTree:
    return jax.tree.map(lambda x: jax.lax.stop_gradient(x) if eqx.is_inexact_array(x) else x, tree)


def _extrapolated(method: Method, curve: Array, ratio: Array) -> Array:
    """The stages that the last polynomial foretells, for a step that is `ratio` times as long."""
    theta = 1 + jnp.asarray(method.c, curve.dtype) * ratio
    return jax.vmap(lambda theta: along(curve, theta))(theta) - jnp.sum(curve, axis=0)[None]
