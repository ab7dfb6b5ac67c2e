"""Noise of measurements: the densities are `jax.scipy.stats`'s; NaN where a scale is not positive."""

import jax
import jax.numpy as jnp
import jax.scipy.stats as stats
from jaxtyping import Array, ArrayLike, Float

from .._types import Numbers, parameter
from ._distribution import AbstractNoise


class Normal(AbstractNoise):
    """The normal distribution of this mean and standard deviation."""

    mean: Numbers = parameter()
    sd: Numbers = parameter()

    @property
    def support(self):
        """All numbers."""
        return _real_line(self.mean)

    def log_density(self, x):
        """-((x - mean) / sd)^2 / 2 - log(sd sqrt(2 pi))."""
        return stats.norm.logpdf(x, self.mean, _positive(self.sd))

    def log_cdf(self, x):
        """log Phi((x - mean) / sd), accurate in the tail."""
        return stats.norm.logcdf(x, self.mean, _positive(self.sd))

    def log_survival(self, x):
        """log Phi((mean - x) / sd)."""
        return stats.norm.logcdf((self.mean - x) / _positive(self.sd))

    def draw(self, key, shape):
        """mean + sd * standard normal numbers."""
        return self.mean + self.sd * jax.random.normal(key, shape, self.mean.dtype)

    def information(self):
        """1 / sd^2 on the mean, 2 / sd^2 on the standard deviation."""
        return Normal(mean=self.sd**-2, sd=2 * self.sd**-2)


class LogNormal(AbstractNoise):
    """A positive number whose logarithm is normal with mean `mu` and standard deviation `sigma`; median exp(mu)."""

    mu: Numbers = parameter()
    sigma: Numbers = parameter()

    @property
    def support(self):
        """Positive numbers."""
        return jnp.zeros_like(self.mu), jnp.full_like(self.mu, jnp.inf)

    def log_density(self, x):
        """The normal density of log(x), over x; none where x is not positive."""
        log_x = _log_positive(x)
        return _where_positive(x, stats.norm.logpdf(log_x, self.mu, _positive(self.sigma)) - log_x, -jnp.inf)

    def log_cdf(self, x):
        """log Phi((log(x) - mu) / sigma)."""
        return _where_positive(x, stats.norm.logcdf(_log_positive(x), self.mu, _positive(self.sigma)), -jnp.inf)

    def log_survival(self, x):
        """log Phi((mu - log(x)) / sigma)."""
        return _where_positive(x, stats.norm.logcdf((self.mu - _log_positive(x)) / _positive(self.sigma)), 0.0)

    def draw(self, key, shape):
        """exp(mu + sigma * standard normal numbers)."""
        return jnp.exp(self.mu + self.sigma * jax.random.normal(key, shape, self.mu.dtype))

    def information(self):
        """1 / sigma^2 on mu, 2 / sigma^2 on sigma."""
        return LogNormal(mu=self.sigma**-2, sigma=2 * self.sigma**-2)


class Laplace(AbstractNoise):
    """The double exponential distribution: its best fit is the one of least absolute deviations."""

    loc: Numbers = parameter()
    scale: Numbers = parameter()

    @property
    def support(self):
        """All numbers."""
        return _real_line(self.loc)

    def log_density(self, x):
        """-|x - loc| / scale - log(2 scale)."""
        return stats.laplace.logpdf(x, self.loc, _positive(self.scale))

    def log_cdf(self, x):
        """log(exp(u) / 2) for u = (x - loc) / scale < 0, else log(1 - exp(-u) / 2)."""
        u = (x - self.loc) / _positive(self.scale)
        half = jnp.asarray(0.5, u.dtype)
        return jnp.where(u < 0, jnp.log(half) + jnp.minimum(u, 0), jnp.log1p(-half * jnp.exp(-jnp.maximum(u, 0))))

    def log_survival(self, x):
        """The mirror image of `log_cdf`."""
        return self.log_cdf(2 * self.loc - x)

    def draw(self, key, shape):
        """loc + scale * standard Laplace numbers."""
        return self.loc + self.scale * jax.random.laplace(key, shape, self.loc.dtype)

    def information(self):
        """1 / scale^2 on both."""
        return Laplace(loc=self.scale**-2, scale=self.scale**-2)


class StudentT(AbstractNoise):
    """Student's t distribution with `df` degrees of freedom: noise with outliers."""

    df: Numbers = parameter()
    loc: Numbers = parameter()
    scale: Numbers = parameter()

    @property
    def support(self):
        """All numbers."""
        return _real_line(self.loc)

    def log_density(self, x):
        """-(df + 1) / 2 log(1 + u^2 / df) + const. for u = (x - loc) / scale."""
        return stats.t.logpdf(x, _positive(self.df), self.loc, _positive(self.scale))

    def log_cdf(self, x):
        """By quadrature: JAX's incomplete beta function has no derivative with respect to `df`."""
        u, df = jnp.broadcast_arrays((x - self.loc) / _positive(self.scale), _positive(self.df))
        below = u < 0
        tail = _log_tail(jnp.where(below, -u, u), df)
        return jnp.where(below, tail, jnp.log1p(-jnp.exp(jnp.where(below, -1, tail))))

    def log_survival(self, x):
        """The mirror image of `log_cdf`."""
        return self.log_cdf(2 * self.loc - x)

    def draw(self, key, shape):
        """loc + scale * standard t numbers."""
        return self.loc + self.scale * jax.random.t(key, self.df, shape, self.loc.dtype)

    def information(self):
        """(df + 1) / ((df + 3) scale^2) on the location, 2 df / ((df + 3) scale^2) on the scale; trigammas on df."""
        df, spread = self.df, 1 / ((self.df + 3) * self.scale**2)
        trigamma = lambda x: jax.scipy.special.zeta(jnp.full_like(x, 2), x)
        shape = (trigamma(df / 2) - trigamma((df + 1) / 2)) / 4 - (df + 5) / (2 * df * (df + 1) * (df + 3))
        return StudentT(df=shape, loc=(df + 1) * spread, scale=2 * df * spread)


def _log_tail(u: Float[Array, "..."], df: Float[Array, "..."]) -> Float[Array, "..."]:
    """log P(T > u) of Student's t, u >= 0, to 1e-12 for df >= 1: the trapezoidal rule, t = u + w exp(pi/2 sinh(s)).

    Source: H. Takahasi and M. Mori, Publ. RIMS 9, 721 (1974), doi:10.2977/prims/1195192451.
    """
    s = jnp.linspace(-4, 4, 129, dtype=u.dtype).reshape(-1, *[1] * u.ndim)
    log_step = jnp.pi / 2 * jnp.sinh(s)
    log_weight = jnp.log(jnp.pi / 2 * jnp.cosh(s) * (8 / 128))
    u, df = u[None], df[None]
    width = jax.lax.stop_gradient((df + u**2) / ((df + 1) * (u + 1)))  # over which the density falls
    step = width * jnp.exp(log_step)
    return jax.nn.logsumexp(stats.t.logpdf(u + step, df) + jnp.log(step) + log_weight, axis=0)


def _log_positive(x: ArrayLike) -> Float[Array, "..."]:
    x = jnp.asarray(x)
    return jnp.log(jnp.where(x > 0, x, 1))


def _where_positive(x: ArrayLike, there: Float[Array, "..."], elsewhere: float) -> Float[Array, "..."]:
    return jnp.where(jnp.asarray(x) > 0, there, elsewhere)


def _real_line(like: Float[Array, "..."]) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    return jnp.full_like(like, -jnp.inf), jnp.full_like(like, jnp.inf)


def _positive(scale: Float[Array, "..."]) -> Float[Array, "..."]:
    """The scale, or NaN: a density of a negative one looks sane, but means nothing."""
    return jnp.where(scale > 0, scale, jnp.nan)
