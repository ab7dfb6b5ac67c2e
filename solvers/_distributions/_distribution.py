"""Distributions of real numbers: priors of parameters, and noise of measurements."""

import abc

import equinox as eqx
from jaxtyping import Array, Float, PRNGKeyArray


class AbstractDistribution(eqx.Module):
    """Independent real numbers; the fields broadcast against each other and against `x`."""

    @property
    @abc.abstractmethod
    def support(self) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
        """The ends of the interval outside of which the density is zero."""

    @abc.abstractmethod
    def log_density(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The logarithm of the density at `x`, each number by itself."""

    @abc.abstractmethod
    def draw(self, key: PRNGKeyArray, shape: tuple[int, ...]) -> Float[Array, "..."]:
        """Independent numbers from the distribution."""


class AbstractNoise(AbstractDistribution):
    """What a measurement may scatter like: the fields are predictions, which a fit differentiates."""

    @abc.abstractmethod
    def log_cdf(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The logarithm of the probability to be at most `x`."""

    @abc.abstractmethod
    def log_survival(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        """The logarithm of the probability to exceed `x`."""

    @abc.abstractmethod
    def information(self) -> "AbstractNoise":
        """The Fisher information that one number has on each field, in that field's place; zero where unknown."""
