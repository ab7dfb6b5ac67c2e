"""Derivatives of what is solved for, by the implicit function theorem: fixed points, minima, roots."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
from jaxtyping import Array, Bool, PyTree

from ._adjoint import AbstractAdjoint
from ._derived import with_derivative
from ._loop import scan_in_chunks
from ._results import RESULTS
from ._types import strong


class Implicit(AbstractAdjoint):
    r"""Differentiates a solution through the equation it satisfies, however it was found.

    If $r(x, \theta) = 0$ then $\mathrm{d}x/\mathrm{d}\theta = -(\partial r/\partial x)^{-1}\partial r/\partial\theta$.
    Nothing of the iteration is stored. Forward and reverse mode, any order.

    - `rollout(simulator, state, n, save_every=n, adjoint=Implicit())`: the simulator's fixed point $x = f_\theta(x)$.
    - `fixed_point(fn, x, args)`, `minimum(fn, x, args)`, `root(fn, x, args)`: `x` as it is, with the derivative of the
      solution with respect to `args` and to whatever arrays `fn` closes over or holds as leaves.

    A point that is no solution gets a NaN derivative, never a wrong one: when differentiating, the distance to the
    solution is estimated by a Newton step and must be at most `atol + rtol |x|`. So does a solution that is not
    isolated (a conserved quantity, a double root): the Jacobian must give back a random vector.

    - `linear_solver`: any lineax solver; an iterative one for large systems.
    """

    linear_solver: lx.AbstractLinearSolver = lx.AutoLinearSolver(well_posed=None)
    rtol: float = 1e-4
    atol: float = 1e-6

    def run(self, simulator, state, recording):
        """Iterates without storing, then attaches the derivative of the fixed point."""
        if recording.saves != 1:
            raise ValueError(
                "Implicit() differentiates the fixed point only: pass save_every=n, so that it alone is saved."
            )
        constant = jax.lax.stop_gradient
        frozen = jax.tree.map(lambda x: constant(x) if eqx.is_inexact_array(x) else x, simulator)
        last, _ = scan_in_chunks(frozen, jax.tree.map(constant, state), recording, recording.steps, lambda f: f)
        moving, fixed = eqx.partition(last, eqx.is_inexact_array)
        if not jax.tree.leaves(moving):
            raise ValueError("Implicit() needs a state with float leaves: nothing else has a derivative.")

        def step(x, _):
            return eqx.filter(simulator(eqx.combine(x, fixed)), eqx.is_inexact_array)

        arrived = _close(_minus(step(moving, None), moving), moving, self.rtol, self.atol)
        last = eqx.combine(self.fixed_point(step, moving), fixed)
        ys = jax.tree.map(lambda y: jnp.asarray(y)[None], recording.observe(last))
        return last, ys, RESULTS.where(arrived, RESULTS.successful, RESULTS.not_converged)

    def solve(self, run, given):
        """With `diffrax.ImplicitAdjoint`, for solves that end in a steady state."""
        return run(diffrax.ImplicitAdjoint(linear_solver=self.linear_solver), given)

    def fixed_point(self, fn: Callable[[PyTree, Any], PyTree], x: PyTree, args: PyTree = None) -> PyTree:
        """`x`, where `x = fn(x, args)`."""
        return self._attach(lambda x, args: _minus(fn(x, args), x), x, args)

    def minimum(self, fn: Callable[[PyTree, Any], Array], x: PyTree, args: PyTree = None) -> PyTree:
        """`x`, where the gradient of the scalar `fn(x, args)` with respect to `x` is zero."""
        return self._attach(jax.grad(fn), x, args)

    def root(self, fn: Callable[[PyTree, Any], PyTree], x: PyTree, args: PyTree = None) -> PyTree:
        """`x`, where `fn(x, args) = 0`; the value has the structure of `x`."""
        return self._attach(fn, x, args)

    def _attach(self, residual, x, args):
        x, args = jax.tree.map(_as_array, (x, args))
        residual = eqx.filter_closure_convert(residual, x, args)
        return with_derivative(x, self._push_forward, (residual, args))

    def _push_forward(self, x, problem, change):
        moving, still = eqx.partition(
            problem, jax.tree.map(lambda t: t is not None, change, is_leaf=lambda t: t is None)
        )

        def residual_at(moving):
            residual, args = eqx.combine(moving, still)
            return residual(x, args)

        residual, args = problem
        operator = lx.JacobianLinearOperator(residual, x, args)
        solve = lambda operator, v: lx.linear_solve(operator, v, self.linear_solver, throw=False).value
        value, change = eqx.filter_jvp(residual_at, (moving,), (change,))
        change = jax.tree.map(lambda v, d: jnp.zeros_like(v) if d is None else d, value, change)  # None: independent
        correction = jax.lax.stop_gradient(solve(operator, value))
        probe = jax.tree.map(lambda leaf: jax.random.normal(jax.random.key(0), leaf.shape, leaf.dtype), x)
        regained = jax.lax.stop_gradient(solve(operator, operator.mv(probe)))
        regular = _close(_minus(regained, probe), probe, 1e-3, 0.0)
        trust = jnp.where(_close(correction, x, self.rtol, self.atol) & regular, -1.0, jnp.nan)
        # The transposed solve, in reverse mode, raises for a singular operator: there any other one will do.
        sound = lambda v: jax.tree.map(lambda there, else_: jnp.where(regular, there, else_), operator.mv(v), v)
        guarded = lx.FunctionLinearOperator(sound, operator.in_structure())
        return solve(guarded, jax.tree.map(lambda d: trust.astype(d.dtype) * d, change))


def _as_array(x: Any) -> Any:
    """Python's and NumPy's floats as arrays, so that they may be differentiated."""
    return strong(jnp.asarray(x) if isinstance(x, float | complex | np.ndarray | np.generic) else x)


def _minus(a: PyTree, b: PyTree) -> PyTree:
    return jax.tree.map(lambda x, y: x - y, a, b)


def _close(change: PyTree, x: PyTree, rtol: float, atol: float) -> Bool[Array, ""]:
    """Whether every leaf's largest change is at most atol + rtol times its largest entry."""
    small = lambda d, v: jnp.max(jnp.abs(d), initial=0) <= atol + rtol * jnp.max(jnp.abs(v), initial=0)
    return jnp.stack(jax.tree.leaves(jax.tree.map(small, change, x))).all()
