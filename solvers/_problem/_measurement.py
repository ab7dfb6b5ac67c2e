"""Measurements with their noise, and recorded time series."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Bool, Float

from .._distributions import AbstractNoise
from .._tree import is_concrete
from .._types import inexact_asarray, Numbers, Scalar, strong


def _flags(x: Any) -> Any:
    flags = None if x is None else jnp.asarray(x)
    if flags is not None and flags.dtype != bool:
        raise ValueError(f"`below` and `above` say yes or no for each value, but are of type {flags.dtype}: use bool.")
    return flags


class Observed(eqx.Module):
    """Measured values and the distribution that the model predicts for them: what `residuals` may return.

    - `values`: the data, which may not depend on parameters; NaN where nothing was measured.
    - `distribution`: `Normal(predicted, sd)` and the like; its fields broadcast against `values`, and any of them may
      depend on parameters: a standard deviation can be fitted.
    - `below`, `above`: where the datum is censored: the quantity is at most, or at least, the value.

    It costs minus the logarithm of the likelihood.
    """

    values: Numbers = eqx.field(converter=lambda x: strong(inexact_asarray(x)))
    distribution: AbstractNoise
    below: Numbers = eqx.field(converter=_flags, default=None)
    above: Numbers = eqx.field(converter=_flags, default=None)

    def log_likelihood(self) -> Float[Array, "..."]:
        """The logarithm of each datum's likelihood; zero where nothing was measured."""
        present = self.present
        noise = self.filled()
        x = jnp.where(present, self.values, 1)
        log = noise.log_density(x)
        if self.below is not None:
            log = jnp.where(self.below, noise.log_cdf(x), log)
        if self.above is not None:
            log = jnp.where(self.above, noise.log_survival(x), log)
        return jnp.where(present, log, 0)

    @property
    def present(self) -> Bool[Array, "..."]:
        """Which data there are."""
        return ~jnp.isnan(self.values)

    def filled(self) -> AbstractNoise:
        """The distribution with its fields broadcast to the data, and 1 where nothing was measured.

        So neither NaN predictions at padded times nor their derivatives reach the likelihood.
        """
        shape, dtype = self.values.shape, self.values.dtype
        fill = lambda field: jnp.where(self.present, jnp.broadcast_to(field, shape).astype(dtype), 1)
        return jax.tree.map(fill, self.distribution)


class TimeSeries(eqx.Module):
    """A recording: values at times, NaN where nothing was measured. A plain container for data.

    - `ts`: times that never decrease; padded with NaN at the end if series of different lengths are stacked.
    - `values`: the data, times along the first axis; NaN for a missing one. Elsewhere in data NaN is refused.
    - `sd`: standard deviations of the noise, broadcast to `values`, if known.
    - `below`, `above`: where a value is a limit that the quantity lies below, or above.
    """

    ts: Numbers = eqx.field(converter=lambda x: strong(inexact_asarray(x)))
    values: Numbers = eqx.field(converter=lambda x: strong(inexact_asarray(x)))
    sd: Numbers = eqx.field(converter=lambda x: strong(inexact_asarray(x)), default=None)
    below: Numbers = eqx.field(converter=_flags, default=None)
    above: Numbers = eqx.field(converter=_flags, default=None)

    def __check_init__(self):
        if not is_concrete((self.ts, self.values)) or not all(isinstance(x, jax.Array) for x in (self.ts, self.values)):
            return
        ts, values = np.asarray(self.ts), np.asarray(self.values)
        if ts.ndim != 1 or values.shape[:1] != ts.shape:
            raise ValueError(
                f"TimeSeries: {ts.shape} times do not go with values of shape {values.shape}: one row each."
            )
        if np.isinf(ts).any() or np.isinf(values).any():
            raise ValueError("TimeSeries holds an infinite time or value: use NaN for what was not measured.")
        if (np.diff(ts[~np.isnan(ts)]) < 0).any():
            raise ValueError("TimeSeries: the times decrease somewhere: sort the rows by time.")
        if np.isnan(values).all():
            raise ValueError("TimeSeries holds no value: all are NaN.")

    def observed(self, distribution: AbstractNoise) -> Observed:
        """The values as measurements with the distribution that a model predicts, censored as recorded."""
        return Observed(self.values, distribution, below=self.below, above=self.above)


def best_scale(predicted: ArrayLike, values: ArrayLike, sd: ArrayLike = 1.0) -> Scalar:
    r"""The scale $s$ that minimizes $\sum ((y - s x)/\sigma)^2$: an unknown unit, eliminated.

    Closed form and differentiable, so that a search over the other parameters follows the valley's floor (variable
    projection: G. H. Golub and V. Pereyra, SIAM J. Numer. Anal. 10, 413 (1973), doi:10.1137/0710036).
    Missing values (NaN) are left out. The result is a minimum over the scale, not an integral: for a posterior over it
    make it a parameter.
    """
    x, y, w = _weighted(predicted, values, sd)
    square = jnp.sum(w * x * x)
    return jnp.sum(w * x * y) / jnp.where(square > 0, square, 1)


def best_offset(predicted: ArrayLike, values: ArrayLike, sd: ArrayLike = 1.0) -> Scalar:
    r"""The offset $b$ that minimizes $\sum ((y - x - b)/\sigma)^2$: an unknown background, eliminated."""
    x, y, w = _weighted(predicted, values, sd)
    return jnp.sum(w * (y - x)) / jnp.maximum(jnp.sum(w), jnp.finfo(w.dtype).tiny)


def best_line(predicted: ArrayLike, values: ArrayLike, sd: ArrayLike = 1.0) -> tuple[Scalar, Scalar]:
    r"""The scale $s$ and offset $b$ that minimize $\sum ((y - s x - b)/\sigma)^2$, both eliminated.

    Where the predictions are constant the scale is zero.
    """
    x, y, w = _weighted(predicted, values, sd)
    total = jnp.maximum(jnp.sum(w), jnp.finfo(w.dtype).tiny)
    x_mean, y_mean = jnp.sum(w * x) / total, jnp.sum(w * y) / total
    square = jnp.sum(w * (x - x_mean) ** 2)
    rounding = 8 * jnp.finfo(w.dtype).eps * jnp.max(jnp.abs(x), initial=0)
    square = jnp.where(square > total * rounding**2, square, 0)  # a constant prediction has no scale, only an offset
    scale = jnp.sum(w * (x - x_mean) * (y - y_mean)) / jnp.where(square > 0, square, jnp.inf)
    return scale, y_mean - scale * x_mean


def best_sd(predicted: ArrayLike, values: ArrayLike) -> Scalar:
    r"""The standard deviation under which normal noise is likeliest, $\sqrt{\sum (y - x)^2/N}$, eliminated."""
    x, y, w = _weighted(predicted, values, 1.0)
    square = jnp.sum(w * (y - x) ** 2) / jnp.maximum(jnp.sum(w), 1)
    return jnp.sqrt(jnp.maximum(square, jnp.finfo(w.dtype).tiny))


def _weighted(predicted, values, sd):
    """Predictions, values and weights, with weight zero where nothing was measured."""
    predicted, values = jnp.asarray(predicted), jnp.asarray(values)
    present = ~jnp.isnan(values)
    sd = jnp.broadcast_to(jnp.asarray(sd, values.dtype), values.shape)
    keep = lambda x: jnp.where(present, x, 0)
    return keep(predicted), keep(values), jnp.where(present, 1 / jnp.where(present, sd, 1) ** 2, 0)
