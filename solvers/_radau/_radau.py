"""Radau IIA methods as a diffrax solver."""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from .._exact import exact
from .._judge import AbstractJudge, Verdict
from .._results import RESULTS
from ._collocation import along, Collocation, end_slope
from ._consistent import judged, least_slope, standing
from ._equation import check_structure, constant, equation, Explicit, General, is_ordinary
from ._jacobian import AbstractJacobian, Dense
from ._method import Method, radau
from ._newton import BlockNewton, Decoupled


class Radau(diffrax.AbstractImplicitSolver, diffrax.AbstractAdaptiveSolver, AbstractJudge):
    r"""Radau IIA collocation with s `stages` (odd): order 2s - 1, L-stable, stiffly accurate.

    $Z_i = h \sum_j a_{ij} f(t_0 + c_j h, y_0 + Z_j)$, $y_1 = y_0 + Z_s$; dense output is the collocation polynomial.
    The error is that of a method of order s, or that of the polynomial between two nodes, whichever is larger.

    Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), sections IV.5 and IV.8.
    """

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., Collocation]] = Collocation

    stages: int = eqx.field(default=5, static=True)
    jacobian: AbstractJacobian = Dense()
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
        """The polynomial of the last step, which the next one starts from, and that step; whether there was none."""
        flat, unflat = ravel_pytree(y0)
        if not jnp.issubdtype(flat.dtype, jnp.floating):
            raise ValueError(
                f"Radau needs a state of real numbers, not {flat.dtype}: split it into real and imaginary part."
            )
        if not is_ordinary(terms):
            raise ValueError("Radau solves ordinary differential equations, not stochastic or controlled ones.")
        check_structure(terms, t0, y0, args)
        curve, fresh = jnp.zeros((self.stages, flat.shape[0]), flat.dtype), jnp.asarray(True)
        still = constant(equation(terms, args, unflat))
        if isinstance(still, General) and isinstance(self.jacobian, Dense):  # its mass matrix may depend on the slope
            start: Any = constant((t0, flat))
            slope = standing(still, start[0], start[1], jnp.zeros_like(flat)).slope
            curve, fresh = curve.at[0].set(slope), jnp.asarray(False)
        return curve, jnp.ones((), flat.dtype), fresh

    def judge(self, terms: Any, t0: Any, y0: PyTree, args: PyTree, tolerances: tuple[Any, Any]) -> Verdict:
        """Whether an equation can be solved from here; of large systems (not `Dense`) it is not looked at."""
        check_structure(terms, t0, y0, args)
        flat, unflat = ravel_pytree(y0)
        still = constant(equation(terms, args, unflat))
        if isinstance(still, Explicit) or not isinstance(self.jacobian, Dense):
            return Verdict(RESULTS.successful, {})
        rtol, atol = tolerances
        return judged(still, t0, flat, units((atol + rtol * jnp.abs(flat)).astype(flat.dtype)))

    def func(self, terms, t0, y0, args):
        """An estimate of the derivative; the step size controller chooses the first step by it."""
        flat, unflat = ravel_pytree(y0)
        system = equation(terms, args, unflat)
        if isinstance(system, Explicit) or not isinstance(self.jacobian, Dense):
            return terms.vf(t0, y0, args)
        return unflat(least_slope(system, t0, flat))

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        """One step from t0 to t1."""
        method, (curve, before, fresh) = self._method, solver_state
        flat, unflat = ravel_pytree(y0)
        h = terms.contr(t0, t1).astype(flat.dtype)
        times = t0 + jnp.asarray(method.c, jnp.result_type(t0)) * (t1 - t0)
        fresh = fresh | made_jump
        system = equation(terms, args, unflat)
        if not isinstance(system, Explicit):  # an empty step, of a member of a batch that is done, tells nothing of y
            h = jnp.where(h == 0, jnp.sqrt(jnp.finfo(h.dtype).eps), h)
        given = (system, times, h, flat)
        # what only steers the iteration and the step size has no derivative
        still, t, step, y = constant((system, t0, h, flat))
        slope = end_slope(curve) / before
        here, known = self._decoupled(still, t, step, y, slope)

        def residual(stages, given):
            equation, times, h, flat = given
            return equation.gap(method, times, h, flat, stages)

        guess = jnp.where(fresh, 0, _extrapolated(method, curve, h / before))
        found = optx.root_find(
            residual,
            self.root_finder,
            constant(flat[None] + guess),
            given,
            options=dict(decoupled=known, start=y[None]),
            max_steps=self.root_find_max_steps,
            adjoint=optx.ImplicitAdjoint(linear_solver=self.jacobian.linear_solver(self.stages)),
            throw=False,
        )
        z = found.value - flat[None]
        curve = exact(jnp.asarray(method.lift, z.dtype), z)
        change = exact(jnp.asarray(method.error, z.dtype), constant(z))
        push = still.defect(t, step, y, here, change, slope, fresh)
        between = still.between(method, constant(times), step, y, constant(curve))
        seen = lambda defect: known.scale * known.blocks.first(defect / known.scale) / method.real
        error = _larger(seen(push), seen(between))
        result = diffrax.RESULTS.promote(found.result)
        error = jnp.where(diffrax.is_okay(result), error, jnp.inf)  # so that the step is rejected
        y1 = unflat(found.value[-1])
        dense = dict(y0=y0, y1=y1, curve=curve)
        return y1, unflat(error), dense, (*constant((curve, h)), jnp.asarray(False)), result

    def _decoupled(self, equation, t0, h, y, slope):
        """The slope at the start, and what the iteration needs of the derivatives there."""
        scale = units((self.root_finder.atol + self.root_finder.rtol * jnp.abs(y)).astype(y.dtype))
        wide = jnp.complex64 if y.dtype == jnp.float32 else jnp.complex128
        factors = h.astype(wide) / jnp.asarray(self._method.eigenvalues, wide)
        derivatives = equation.mass(t0, y, slope), equation.jacobian(t0, y, slope)
        here, blocks = self.jacobian.blocks(*derivatives, factors, scale)
        return here, Decoupled(blocks=blocks, scale=scale)


def _larger(a: Array, b: Array) -> Array:
    """The larger one of each pair, by size."""
    return jnp.where(jnp.abs(a) > jnp.abs(b), a, b)


def units(tolerance: Array) -> Array:
    """The tolerances of the components, none of them zero."""
    most = jnp.max(tolerance, initial=0)
    return jnp.where(most > 0, jnp.maximum(tolerance, 1e-30 * most), 1)


def _extrapolated(method: Method, curve: Array, ratio: Array) -> Array:
    """The stages that the last polynomial foretells, for a step that is `ratio` times as long."""
    theta = 1 + jnp.asarray(method.c, curve.dtype) * ratio
    return jax.vmap(lambda theta: along(curve, theta))(theta) - jnp.sum(curve, axis=0)[None]
