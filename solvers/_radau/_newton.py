"""Newton's method for the stages of an implicit step, with one Jacobian for all of them."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, PyTree

from .._exact import exact
from ._jacobian import AbstractBlocks
from ._method import radau


class Decoupled(NamedTuple):
    r"""What `BlockNewton` is told through its `options`."""

    blocks: AbstractBlocks
    scale: Array  # (n,) atol + rtol |y|


class _State(NamedTuple):
    size: Array  # of the last correction
    rate: Array  # its ratio to the one before
    step: Array


class BlockNewton(optx.AbstractRootFinder):
    r"""Simplified Newton iteration for the stages: $\Delta Z = -T P\, T^{-1} G(Z)$.

    $P$ is blockwise the inverse of $1 - (h / \lambda_k) J$: small matrices, one of them real, in place of one that is s
    times as large. Ends when what is left, estimated from the rate of convergence, is sqrt(rtol) in units of the
    tolerance (at most `kappa`), when corrections below 0.1 stop to shrink, or when they grow.
    """

    rtol: Any
    atol: Any
    norm: Callable[[PyTree], Any] = optx.max_norm
    kappa: float = 0.03

    def init(self, fn, y, args, options, f_struct, aux_struct, tags):
        """No correction yet."""
        del fn, args, f_struct, aux_struct, tags
        some = jnp.asarray(jnp.inf, y.dtype)
        return _State(some, some, jnp.asarray(0))

    def step(self, fn, y, args, options, state, tags):
        """One correction of all stages."""
        known: Decoupled = options["decoupled"]
        residual, aux = fn(y, args)
        change = -correction(known, residual / known.scale[None])
        size = self.norm(change).astype(y.dtype)
        now = _State(size, size / state.size, state.step + 1)
        return y + change * known.scale[None], now, aux

    def terminate(self, fn, y, args, options, state, tags):
        """Converged, diverged, or neither: sizes are in units of the tolerance."""
        size, rate = state.size, state.rate
        # errors that are left over add up where nothing damps them, at tight tolerances over many steps
        enough = jnp.clip(jnp.sqrt(self.rtol), 10 * jnp.finfo(y.dtype).eps / self.rtol, self.kappa)
        stagnates = (size < 0.1) & (rate > 0.3)  # on the rounding errors of the field
        converged = (size == 0) | stagnates | ((rate < 1) & (size * rate / (1 - rate) < enough))
        diverged = ~converged & ~(rate <= 2)
        over = (state.step >= 2) & (converged | diverged)
        failed = over & diverged
        return over, optx.RESULTS.where(failed, optx.RESULTS.nonlinear_divergence, optx.RESULTS.successful)

    def postprocess(self, fn, y, aux, args, options, state, tags, result):
        """The state at the start where no stages were found, so that the derivative of the rejected step is finite."""
        found = result == optx.RESULTS.successful
        return jnp.where(found, y, options["start"]), aux, {}


def correction(known: Decoupled, residual: Array) -> Array:
    """What a residual (s, n) moves the stages by, with the sign turned; both in units of the scale."""
    method = radau(residual.shape[0])
    wide = jnp.complex64 if residual.dtype == jnp.float32 else jnp.complex128
    modes = exact(jnp.asarray(method.to_modes, wide), residual.astype(wide))
    return jnp.real(exact(jnp.asarray(method.to_stages, wide), known.blocks(modes)))
