"""How plain residuals count: squares, or something that lets outliers weigh less."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._types import Numbers, parameter


class AbstractLoss(eqx.Module):
    r"""A residual $r$ costs $\tfrac12 \rho(r^2)$, with $\rho(s) \approx s$ for small $s$, as in SciPy."""

    @abc.abstractmethod
    def rho(self, s: Float[Array, "..."]) -> Float[Array, "..."]:
        """The function of the squared residual; increasing, smooth."""


class Squares(AbstractLoss):
    """rho(s) = s: least squares."""

    def rho(self, s):
        """s."""
        return s


class SoftL1(AbstractLoss):
    """rho(s) = 2 c^2 (sqrt(1 + s / c^2) - 1): a smooth absolute value; residuals beyond `scale` = c count linearly."""

    scale: Numbers = parameter(default=1.0)

    def rho(self, s):
        """2 c^2 (sqrt(1 + s / c^2) - 1)."""
        c2 = self.scale**2
        return 2 * s / (jnp.sqrt(1 + s / c2) + 1)


class Huber(AbstractLoss):
    """rho(s) = s for s <= c^2, then 2 c sqrt(s) - c^2: squares up to `scale` = c, linear beyond."""

    scale: Numbers = parameter(default=1.0)

    def rho(self, s):
        """s, or 2 c sqrt(s) - c^2."""
        c2 = self.scale**2
        far = s > c2
        return jnp.where(far, 2 * self.scale * jnp.sqrt(jnp.where(far, s, c2)) - c2, s)


class Cauchy(AbstractLoss):
    """rho(s) = c^2 log(1 + s / c^2): residuals far beyond `scale` = c hardly count."""

    scale: Numbers = parameter(default=1.0)

    def rho(self, s):
        """c^2 log(1 + s / c^2)."""
        c2 = self.scale**2
        return c2 * jnp.log1p(s / c2)


class StudentTLoss(AbstractLoss):
    """rho(s) = c^2 df log(1 + s / (c^2 df)): that of Student's t density with `scale` = c, but for a factor.

    The likelihood itself, with a scale that may be fitted, is `Observed(values, StudentT(...))`.
    """

    df: Numbers = parameter(default=4.0)
    scale: Numbers = parameter(default=1.0)

    def rho(self, s):
        """c^2 df log(1 + s / (c^2 df))."""
        c2 = self.scale**2 * self.df
        return c2 * jnp.log1p(s / c2)
