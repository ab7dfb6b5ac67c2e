"""What a least-squares search knows of the cost around a point."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from .._types import Scalar
from ._objective import Linearization


class Quadratic(eqx.Module):
    r"""A model without curvature, $m(\delta) = \tfrac12 |F\delta + t|^2 - \tfrac12 |t|^2 + b \cdot \delta$."""

    factor: Float[Array, "k p"]
    target: Float[Array, " k"]
    slope: Float[Array, " p"]


class LocalModel(eqx.Module):
    r"""The residuals along a step, $q + R\delta + \tfrac12 c (w \cdot \delta)^2$, in an orthonormal basis.

    The basis, of $k = p + 2$ vectors, spans the Jacobian's columns, the residuals and $c$: the number of residuals no
    longer matters, and $J^\top J$, whose condition number is the square of that of $J$, is never formed.

    The curvature $c$ makes the model agree with the residuals of the point before, which costs no evaluation: the
    tensor model of Schnabel and Frank, SIAM J. Numer. Anal. 21, 815 (1984), doi:10.1137/0721054. It is what makes the
    steps along a curved valley long.

    - `triangle`: the columns of $R$, then $q$ and $c$; one array, as every array in a loop is a kernel to compile.
    - `along`: $w$, scaled so that $w \cdot \delta = 1$ for the last step.
    - `residuals`: as they are, for the next model's curvature.
    """

    triangle: Float[Array, "k k"]
    along: Float[Array, " p"]
    slope: Float[Array, " p"]
    residuals: Float[Array, " n"]

    @property
    def factor(self) -> Float[Array, "k p"]:
        """The Jacobian."""
        return self.triangle[:, :-2]

    @property
    def target(self) -> Float[Array, " k"]:
        """The residuals."""
        return self.triangle[:, -2]

    @property
    def curvature(self) -> Float[Array, " k"]:
        """By which the residuals curve along the last step."""
        return self.triangle[:, -1]

    @staticmethod
    def nothing(linearization: PyTree[jax.ShapeDtypeStruct]) -> "LocalModel":
        """What is known before the first linearization, of which this is the shape."""
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), linearization)
        k = zeros.slope.size + 2
        return LocalModel(jnp.zeros((k, k), zeros.slope.dtype), zeros.slope, zeros.slope, zeros.residuals)

    def following(
        self, linearization: Linearization, step: Float[Array, " p"], scale: Float[Array, " p"], known: Bool[Array, ""]
    ) -> "LocalModel":
        """The model at the end of a step; without curvature, if this one was not `known`."""
        curvature = jnp.where(known, 2 * (self.residuals - linearization.residuals + linearization.jacobian @ step), 0)
        along = scale**2 * step
        columns = [linearization.jacobian, linearization.residuals[:, None], curvature[:, None]]
        triangle = jnp.linalg.qr(jnp.concatenate(columns, axis=1), mode="r")
        return LocalModel(
            triangle=jnp.pad(triangle, ((0, step.size + 2 - triangle.shape[0]), (0, 0))),
            along=along / jnp.maximum(along @ step, jnp.finfo(step.dtype).tiny),
            slope=linearization.slope,
            residuals=linearization.residuals,
        )

    @property
    def gradient(self) -> Float[Array, " p"]:
        """The cost's gradient."""
        return self.target @ self.factor + self.slope

    @property
    def column_norms(self) -> Float[Array, " p"]:
        """Those of the Jacobian."""
        return jnp.sqrt(jnp.sum(self.factor**2, axis=0))

    @property
    def half_square(self) -> Scalar:
        """Half the sum of the squared residuals."""
        return jnp.sum(self.residuals**2) / 2

    @property
    def finite(self) -> Bool[Array, ""]:
        """Whether the linearization was finite."""
        parts = (self.triangle, self.slope)
        return jnp.all(jnp.stack([jnp.all(jnp.isfinite(x)) for x in parts]))

    def straightened(self, curved: Bool[Array, ""]) -> "LocalModel":
        """The model, without its curvature unless `curved`."""
        kept = curved | (np.arange(self.triangle.shape[1]) < self.triangle.shape[1] - 1)
        return eqx.tree_at(lambda m: m.triangle, self, jnp.where(kept[None], self.triangle, 0))

    def tangent(self, step: Float[Array, " p"]) -> Quadratic:
        """The model with its curvature made linear around a step."""
        travel = self.along @ step
        return Quadratic(
            factor=self.factor + travel * self.curvature[:, None] * self.along[None],
            target=self.target - self.curvature * travel**2 / 2,
            slope=self.slope,
        )

    def straight_reduction(self, step: Float[Array, " p"]) -> Scalar:
        """The same without the curvature."""
        change = self.factor @ step
        return -(self.target @ change) - change @ change / 2 - self.slope @ step

    def reduction(self, step: Float[Array, " p"]) -> Scalar:
        """By how much the step lowers the cost according to the model."""
        change = self.factor @ step + self.curvature * (self.along @ step) ** 2 / 2
        return -(self.target @ change) - change @ change / 2 - self.slope @ step
