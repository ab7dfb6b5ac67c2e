"""What a search minimizes, as every method sees it: a cost over a box of coordinates."""

import abc

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._codes import code_of
from .._results import RESULTS
from .._types import AbstractVar, Scalar


class Evaluation(eqx.Module):
    """The cost at a point, finite even where a simulation failed.

    - `cost`: as given, or a penalty (the square root of the largest number) where an experiment failed.
    - `verdicts`: how each experiment's simulation ended, as a code of `RESULTS` (0: well). A cost that is not finite
      although all ended well, because of a prior say, is a failure of all: `nonfinite_residuals`.
    """

    cost: Scalar
    verdicts: Int[Array, " experiments"]

    def __init__(self, cost: Scalar, verdicts: Int[Array, " experiments"]):
        unexplained = ~jnp.any(verdicts != 0) & ~jnp.isfinite(cost)
        self.verdicts = jnp.where(unexplained, code_of(RESULTS.nonfinite_residuals), verdicts.astype(jnp.int32))
        self.cost = jnp.where(self.failed, jnp.sqrt(jnp.finfo(cost.dtype).max), cost)

    @property
    def failed(self) -> Bool[Array, ""]:
        """Whether any experiment failed: the cost is then a penalty, with zero gradient."""
        return jnp.any(self.verdicts != 0)

    @property
    def first_failure(self) -> Int[Array, ""]:
        """The verdict of the first experiment that failed; 0 if none did."""
        return self.verdicts[jnp.argmax(self.verdicts != 0)]


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
    def examine(self, z: Float[Array, " p"]) -> tuple[Evaluation, Linearization]:
        """The cost at `z` and its Gauss-Newton (Fisher) model there: a derivative brings the value along."""

    @abc.abstractmethod
    def gradient(self, z: Float[Array, " p"]) -> Float[Array, " p"]:
        """The gradient of the cost at `z`; zero where a simulation failed."""

    def linearize(self, z: Float[Array, " p"]) -> Linearization:
        """The model alone."""
        return self.examine(z)[1]

    def free(self, z: Float[Array, " p"], gradient: Float[Array, " p"]) -> Bool[Array, " p"]:
        """The coordinates that a step downhill does not push out of the box."""
        held_below = (z <= self.lower) & (gradient > 0)
        held_above = (z >= self.upper) & (gradient < 0)
        return ~held_below & ~held_above & (self.lower < self.upper)


class AbstractDivisible(AbstractObjective):
    """An objective that is a sum over rows of data, so that some of them can stand for all."""

    @property
    @abc.abstractmethod
    def num_rows(self) -> int:
        """How many rows there are."""

    @abc.abstractmethod
    def subset(self, rows: Int[Array, " n"]) -> AbstractObjective:
        """The objective on these rows alone, scaled so that its mean over random rows is this objective."""
