"""Maps between a parameter's value and the coordinate in which it is searched for."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._host import namespace_of
from .._types import AnyArray, Numbers, parameter


class AbstractTransform(eqx.Module):
    """A smooth, increasing map from the whole real line to the values that a parameter may take, elementwise.

    Written with `jax.numpy`; it is given NumPy arrays where a problem is set up.
    """

    @abc.abstractmethod
    def value(self, coordinate: Float[Array, "..."]) -> Float[Array, "..."]:
        """The parameter's value."""

    @abc.abstractmethod
    def coordinate(self, value: Float[AnyArray, "..."]) -> Float[AnyArray, "..."]:
        """The inverse of `value`."""

    @abc.abstractmethod
    def allows(self, value: Float[AnyArray, "..."]) -> Bool[AnyArray, "..."]:
        """Whether the value has a coordinate."""


class Identity(AbstractTransform):
    """Any real value, searched for as it is."""

    def value(self, coordinate):
        """The coordinate."""
        return coordinate

    def coordinate(self, value):
        """The value."""
        return value

    def allows(self, value):
        """All finite values."""
        return namespace_of(value).isfinite(value)


class Log(AbstractTransform):
    """Positive values, searched for on a logarithmic scale: the right choice for rates, masses and lengths."""

    def value(self, coordinate):
        """exp(coordinate)."""
        return jnp.exp(coordinate)

    def coordinate(self, value):
        """log(value)."""
        return namespace_of(value).log(value)

    def allows(self, value):
        """Positive finite values."""
        return namespace_of(value).isfinite(value) & (value > 0)


class Logit(AbstractTransform):
    """Values between two ends, searched for as the logarithm of the odds: the ends are never reached."""

    lower: Numbers = parameter(default=0.0)
    upper: Numbers = parameter(default=1.0)

    def value(self, coordinate):
        """lower + (upper - lower) / (1 + exp(-coordinate))."""
        return self.lower + (self.upper - self.lower) * jax.nn.sigmoid(coordinate)

    def coordinate(self, value):
        """log((value - lower) / (upper - value))."""
        xp = namespace_of(value)
        return xp.log(value - self.lower) - xp.log(self.upper - value)

    def allows(self, value):
        """Between the ends."""
        return (value > self.lower) & (value < self.upper)
