"""Newton's method for impulses that keep constraints."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import lineax as lx
import optimistix as optx
from jaxtyping import Array, PyTree

_MAX_STEPS = 20


class Scales(NamedTuple):
    """What small means: how far a unit of each impulse moves things, how far away they are, how far they move."""

    reach: Array  # (m,)
    size: Array
    motion: Array


class _State(NamedTuple):
    moved: Array  # by the last correction
    before: Array  # by the one before
    step: Array


class ImpulseNewton(optx.AbstractRootFinder):
    """Ends with a correction that moves things by less than `rtol` times their size; what is left is rounding.

    Or with one that is no smaller than half of the last, and less than a hundredth of the motion: rounding, too.
    """

    rtol: Any
    atol: Any
    norm: Callable[[PyTree], Any] = optx.max_norm

    def init(self, fn, y, args, options, f_struct, aux_struct, tags):
        """No correction yet."""
        del fn, args, options, f_struct, aux_struct, tags
        some = jnp.asarray(jnp.inf, y.dtype)
        return _State(some, some, jnp.asarray(0))

    def step(self, fn, y, args, options, state, tags):
        """One correction, with the Jacobian at `y`."""
        residual, aux = fn(y, args)
        jacobian = jax.jacfwd(lambda y: fn(y, args)[0])(y)
        change = jnp.linalg.solve(jacobian, residual)
        moved = self.norm(options["scales"].reach * change).astype(y.dtype)
        return y - change, _State(moved, state.moved, state.step + 1), aux

    def terminate(self, fn, y, args, options, state, tags):
        """Converged, or not finite."""
        scales: Scales = options["scales"]
        stagnates = (state.moved > state.before / 2) & (state.moved < 0.01 * scales.motion)
        converged = (state.moved <= self.rtol * scales.size) | stagnates
        failed = (state.step > 0) & ~jnp.isfinite(state.moved)
        result = optx.RESULTS.where(failed, optx.RESULTS.nonlinear_divergence, optx.RESULTS.successful)
        return converged | failed, result

    def postprocess(self, fn, y, aux, args, options, state, tags, result):
        """Zero where nothing was found, so that derivatives of what is discarded are finite."""
        return jnp.where(result == optx.RESULTS.successful, y, 0), aux, {}


def impulses(fn: Callable[[Array], Array], start: Array, scales: Scales) -> Array:
    """x (m,) with fn(x) = 0, with the derivative of the equation's solution; NaN if none is found."""
    rtol = float(jnp.finfo(start.dtype).eps) ** (2 / 3)  # the error of the next correction is its square
    found = optx.root_find(
        lambda x, _: fn(x),
        ImpulseNewton(rtol=rtol, atol=0.0),
        start,
        options=dict(scales=jax.tree.map(jax.lax.stop_gradient, scales)),
        max_steps=_MAX_STEPS,
        adjoint=optx.ImplicitAdjoint(linear_solver=lx.AutoLinearSolver(well_posed=True)),
        throw=False,
    )
    return jnp.where(found.result == optx.RESULTS.successful, found.value, jnp.nan)
