"""Quantiles of measurements' noise, and of measurements among it, for any distribution that has a cumulative one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float

from .._distributions import AbstractNoise
from .._problem import Observed
from ._recordings import columns


@eqx.filter_jit
def quantile(noise: AbstractNoise, probability: Float[Array, ""], like: Float[Array, "..."]) -> Float[Array, "..."]:
    """The numbers below which a fraction `probability` lies, shaped as `like`; NaN where a field of `noise` is.

    Bisection in arsinh(x), which spans all floats alike.
    """
    shape, dtype = like.shape, like.dtype
    noise = jax.tree.map(lambda field: jnp.broadcast_to(field, shape).astype(dtype), noise)
    lower, upper = (jnp.broadcast_to(end, shape).astype(dtype) for end in noise.support)
    log_p = jnp.log(probability).astype(dtype)

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        x = jnp.sinh(middle)
        inside = jnp.clip(x, lower, upper)
        log_cdf = jnp.where(x <= lower, -jnp.inf, jnp.where(x >= upper, 0, noise.log_cdf(inside)))
        beyond = log_cdf > log_p
        return jnp.where(beyond, low, middle), jnp.where(beyond, middle, high)

    largest = jnp.arcsinh(jnp.finfo(dtype).max / 4)
    low, high = jax.lax.fori_loop(0, 80, halve, (jnp.full(shape, -largest), jnp.full(shape, largest)))
    known = sum(jnp.isnan(field).astype(jnp.int32) for field in jax.tree.leaves(noise)) == 0
    return jnp.where(known, jnp.sinh((low + high) / 2), jnp.nan)


def band(observed: Observed, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The median of what is predicted for each datum, between the quantiles that enclose `level` of it; as columns."""
    at = lambda p: columns(quantile(observed.distribution, jnp.asarray(p), observed.values))
    return at(0.5 - level / 2), at(0.5), at(0.5 + level / 2)


def normal_scores(observed: Observed):
    """Where each datum lies in the distribution predicted for it, as a standard normal number.

    NaN where nothing was measured, and for censored data.
    """
    noise, x = observed.filled(), jnp.where(observed.present, observed.values, 1)
    below, above = jnp.exp(noise.log_cdf(x)), jnp.exp(noise.log_survival(x))
    seen = observed.present
    for flags in (observed.below, observed.above):
        seen = seen if flags is None else seen & ~flags
    scores = jnp.where(below < above, scipy.special.ndtri(below), -scipy.special.ndtri(above))
    return jnp.where(seen, scores, jnp.nan)
