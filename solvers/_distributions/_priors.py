"""Distributions that are used as priors only."""

import jax
import jax.numpy as jnp
import jax.scipy.stats as stats
from jax.scipy.special import betaln, gammaln
from jaxtyping import Array, ArrayLike, Float

from .._types import Numbers, parameter
from ._distribution import AbstractDistribution


class Uniform(AbstractDistribution):
    """Constant density between two finite ends."""

    lower: Numbers = parameter()
    upper: Numbers = parameter()

    @property
    def support(self):
        """Between the ends."""
        return self.lower, self.upper

    def log_density(self, x):
        """-log(upper - lower)."""
        return jnp.where((x >= self.lower) & (x <= self.upper), -jnp.log(self.upper - self.lower), -jnp.inf)

    def draw(self, key, shape):
        """lower + (upper - lower) * uniform numbers."""
        return self.lower + (self.upper - self.lower) * jax.random.uniform(key, shape, self.lower.dtype)


class LogUniform(AbstractDistribution):
    """A positive number whose logarithm is uniform between those of two ends: its order of magnitude is unknown."""

    lower: Numbers = parameter()
    upper: Numbers = parameter()

    @property
    def support(self):
        """Between the ends."""
        return self.lower, self.upper

    def log_density(self, x):
        """-log(x log(upper / lower))."""
        inside = (x >= self.lower) & (x <= self.upper)
        return jnp.where(
            inside, -jnp.log(jnp.where(inside, x, 1)) - jnp.log(jnp.log(self.upper / self.lower)), -jnp.inf
        )

    def draw(self, key, shape):
        """lower * (upper / lower)^uniform."""
        return self.lower * (self.upper / self.lower) ** jax.random.uniform(key, shape, self.lower.dtype)


class HalfNormal(AbstractDistribution):
    """The absolute value of a normal number of mean zero and standard deviation `scale`."""

    scale: Numbers = parameter()

    @property
    def support(self):
        """Positive numbers."""
        return _positive(self.scale)

    def log_density(self, x):
        """log 2 plus the normal density, where x is not negative."""
        density = stats.norm.logpdf(x, jnp.zeros_like(self.scale), self.scale) + jnp.log(jnp.asarray(2.0, x.dtype))
        return jnp.where(x >= 0, density, -jnp.inf)

    def draw(self, key, shape):
        """scale * |standard normal numbers|."""
        return self.scale * jnp.abs(jax.random.normal(key, shape, self.scale.dtype))


class Gamma(AbstractDistribution):
    """The gamma distribution of this shape and rate; mean shape / rate."""

    shape: Numbers = parameter()
    rate: Numbers = parameter()

    @property
    def support(self):
        """Positive numbers."""
        return _positive(self.shape)

    def log_density(self, x):
        """(shape - 1) log(x) - rate x + const."""
        constant = self.shape * jnp.log(self.rate) - gammaln(self.shape)
        return jnp.where(x >= 0, _log_power(x, self.shape - 1) - self.rate * x + constant, -jnp.inf)

    def draw(self, key, shape):
        """Standard gamma numbers / rate."""
        return jax.random.gamma(key, self.shape, shape, self.shape.dtype) / self.rate


class Beta(AbstractDistribution):
    """The beta distribution on (0, 1), with mean a / (a + b)."""

    a: Numbers = parameter()
    b: Numbers = parameter()

    @property
    def support(self):
        """From 0 to 1."""
        return jnp.zeros_like(self.a), jnp.ones_like(self.a)

    def log_density(self, x):
        """(a - 1) log(x) + (b - 1) log(1 - x) + const."""
        powers = _log_power(x, self.a - 1) + _log_power(1 - x, self.b - 1)
        return jnp.where((x >= 0) & (x <= 1), powers - betaln(self.a, self.b), -jnp.inf)

    def draw(self, key, shape):
        """Beta numbers."""
        return jax.random.beta(key, self.a, self.b, shape, self.a.dtype)


def _log_power(x: ArrayLike, power: Float[Array, "..."]) -> Float[Array, "..."]:
    """log(x^power) for x >= 0; constant for power zero, at zero too (JAX's `xlogy` has a NaN slope there)."""
    x, power = jnp.broadcast_arrays(x, power)
    counts = (power != 0) & (x >= 0)
    return jnp.where(counts, power * jnp.log(jnp.where(counts, x, 1)), 0)


def _positive(like: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    return jnp.zeros_like(like), jnp.full_like(like, jnp.inf)
