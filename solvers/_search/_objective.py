"""What a search minimizes, as every method sees it: a cost over a box of coordinates."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._types import AbstractVar, Scalar


class Evaluation(eqx.Module):
    """The cost at a point, finite even where a simulation failed.

    - `verdicts`: how each experiment's simulation ended, as a code of `RESULTS` (0: well).
    """

    cost: Scalar
    verdicts: Int[Array, " experiments"]

    @property
    def failed(self):
        """Whether any experiment failed: the cost is then a penalty, with zero gradient."""
        return jnp.any(self.verdicts != 0)


class Linearization(eqx.Module):
    r"""The cost's local model, $c(z + \delta) \approx c + g^\top\delta + \tfrac12 |J\delta|^2$ with $g = J^\top r + b$.

    For least squares $b = 0$; it holds what has a slope but is no square (parts of priors, logarithms of noise).
    All zero where a simulation failed.
    """

    residuals: Float[Array, " n"]
    jacobian: Float[Array, "n p"]
    slope: Float[Array, " p"]

    @property
    def gradient(self) -> Float[Array, " p"]:
        """The cost's gradient."""
        return self.residuals @ self.jacobian + self.slope


class AbstractObjective(eqx.Module):
    """A cost over the box `lower <= z <= upper`; a coordinate with `lower = upper` is held there."""

    lower: AbstractVar[Float[Array, " p"]]
    upper: AbstractVar[Float[Array, " p"]]

    @abc.abstractmethod
    def evaluate(self, z: Float[Array, " p"]) -> Evaluation:
        """The cost at `z`."""

    @abc.abstractmethod
    def linearize(self, z: Float[Array, " p"]) -> Linearization:
        """The Gauss-Newton (Fisher) model of the cost at `z`."""

    @abc.abstractmethod
    def gradient(self, z: Float[Array, " p"]) -> Float[Array, " p"]:
        """The gradient of the cost at `z`; zero where a simulation failed."""


class AbstractDivisible(AbstractObjective):
    """An objective that is a sum over rows of data, so that some of them can stand for all."""

    @property
    @abc.abstractmethod
    def num_rows(self) -> int:
        """How many rows there are."""

    @abc.abstractmethod
    def subset(self, rows: Int[Array, " n"]) -> AbstractObjective:
        """The objective on these rows alone, scaled so that its mean over random rows is this objective."""
