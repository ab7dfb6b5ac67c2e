"""How the stages of an implicit step are found."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, PyTree


class _Progress(NamedTuple):
    size: Array  # of the last correction, each part in its own unit
    before: Array  # of the one before
    overall: Array  # of the last one, all in the unit of the largest part
    step: Array
    inverse: Array  # of the Jacobian of the residual


class StageNewton(optx.AbstractRootFinder):
    r"""Simplified Newton iteration with the Jacobian in the middle of the step, until rounding stops it.

    For `GaussLegendre` and `ImplicitMidpoint`: few iterations, also where the step is long compared to the fastest
    motion; it inverts a matrix of s n rows, for a state of n numbers and s stages.
    """

    rtol: Any = 0.0
    atol: Any = 0.0
    norm: Callable[[PyTree], Any] = optx.max_norm

    def init(self, fn, y, args, options, f_struct, aux_struct, tags):
        """The inverse of the Jacobian."""
        del fn, args, f_struct, aux_struct, tags
        matrix = jnp.eye(y.size, dtype=y.dtype) - jnp.kron(options["matrix"], options["jacobian"])
        return _start(y, jnp.linalg.inv(matrix))

    def step(self, fn, y, args, options, state, tags):
        """One correction of all stages."""
        residual, aux = fn(y, args)
        change = jnp.matmul(state.inverse, residual.reshape(-1), precision=jax.lax.Precision.HIGHEST)
        change = change.reshape(y.shape)
        return y - change, _next(state, self.norm, change, options), aux

    def terminate(self, fn, y, args, options, state, tags):
        """Whether corrections no longer shrink, and whether they are small then."""
        return _verdict(y, state)

    def postprocess(self, fn, y, aux, args, options, state, tags, result):
        """The stages; where none were found those at the start, from which derivatives are finite."""
        return jnp.where(result == optx.RESULTS.successful, y, 0), aux, {}


class StageFixedPoint(optx.AbstractRootFinder):
    r"""Fixed-point iteration $Z \leftarrow h A f(y_0 + Z)$, until rounding stops it.

    For `GaussLegendre` and `ImplicitMidpoint` with large states: no Jacobian; it needs steps that are short compared
    to the fastest motion, and more iterations.
    """

    rtol: Any = 0.0
    atol: Any = 0.0
    norm: Callable[[PyTree], Any] = optx.max_norm

    def init(self, fn, y, args, options, f_struct, aux_struct, tags):
        """No correction yet."""
        del fn, args, options, f_struct, aux_struct, tags
        return _start(y, jnp.zeros((), y.dtype))

    def step(self, fn, y, args, options, state, tags):
        """One iterate."""
        residual, aux = fn(y, args)
        return y - residual, _next(state, self.norm, residual, options), aux

    def terminate(self, fn, y, args, options, state, tags):
        """Whether corrections no longer shrink, and whether they are small then."""
        return _verdict(y, state)

    def postprocess(self, fn, y, aux, args, options, state, tags, result):
        """The stages; where none were found those at the start, from which derivatives are finite."""
        return jnp.where(result == optx.RESULTS.successful, y, 0), aux, {}


def _start(y: Array, inverse: Array) -> _Progress:
    none = jnp.asarray(jnp.inf, y.dtype)
    return _Progress(none, none, none, jnp.asarray(0), inverse)


def _next(state: _Progress, norm: Callable[[PyTree], Any], change: Array, options: Any) -> _Progress:
    size, overall = norm(change / options["scale"][None]), norm(change / options["most"])
    return state._replace(
        size=size.astype(change.dtype), before=state.size, overall=overall.astype(change.dtype), step=state.step + 1
    )


def _verdict(y: Array, state: _Progress) -> tuple[Any, optx.RESULTS]:
    """Errors that an iteration leaves add up to a drift, so that it ends at rounding, not at a tolerance."""
    eps, rate = jnp.finfo(y.dtype).eps, state.size / state.before
    left = state.size * rate / (1 - rate)
    stagnates = (state.overall <= 100 * eps) & (rate >= 0.9)
    converged = (state.size == 0) | stagnates | ((rate < 0.9) & (left < eps / 100))
    grows = (rate > 2) & (state.step >= 5)  # corrections may grow at first
    diverged = ~converged & (grows | ~jnp.isfinite(state.size))
    over = (state.step >= 2) & (converged | diverged)
    return over, optx.RESULTS.where(over & diverged, optx.RESULTS.nonlinear_divergence, optx.RESULTS.successful)
