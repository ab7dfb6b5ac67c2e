"""What `fit` returns: the fitted model, how well each parameter is known, and a table."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
from jaxtyping import Array, Bool, Float, PyTree

from .._results import RESULTS
from ._parameter import Coordinates


class FitResult(eqx.Module):
    r"""A least-squares fit.

    - `model`: the model with the fitted values.
    - `residuals`: the residuals there, as `residuals(model, data)` returns them; `cost` is half their sum of squares.
    - `covariance`: of the parameters' values, $s^2 (J^\top J)^{-1}$ with $s^2 = \sum r^2 / (N - p)$: the residuals'
      own scatter sets the scale. It linearizes the model at the fit. Infinite for parameters that the residuals do not
      determine, and for all where $N = p$ leaves no scatter.
    - `result`, `stats`: how the search ended, and its number of steps.
    """

    model: PyTree
    residuals: PyTree
    cost: Float[Array, ""]
    covariance: Float[Array, "p p"]
    result: RESULTS
    stats: dict[str, Any]
    _coordinates: Coordinates
    _z: Float[Array, " p"]
    _jacobian: Float[Array, "n p"]
    _covariance_z: Float[Array, "p p"]  # in the space that the residuals see
    _blind: Float[Array, "k p"]  # orthonormal basis of the space that they do not see

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names; entries of an array are numbered."""
        return tuple(name for name, _ in self._coordinates.labels())

    @property
    def degrees_of_freedom(self) -> int:
        """Residuals minus parameters."""
        n, p = self._jacobian.shape
        return n - p

    @property
    def values(self) -> dict[str, float]:
        """The fitted values by name."""
        return dict(zip(self.names, np.asarray(self._coordinates.values(self._z)).tolist(), strict=True))

    @property
    def standard_errors(self) -> dict[str, float]:
        """The square roots of the covariance's diagonal, by name; infinite where the data do not tell."""
        return dict(zip(self.names, np.sqrt(np.diag(np.asarray(self.covariance))).tolist(), strict=True))

    def intervals(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Confidence intervals by name: Student's t in the coordinate searched in, so that a `Log` one is positive."""
        reach = self._student(level) * np.asarray(self._spread(jnp.eye(self._z.size, dtype=self._z.dtype)))
        low = np.asarray(self._coordinates.values(self._z - reach))
        high = np.asarray(self._coordinates.values(self._z + reach))
        return dict(zip(self.names, zip(low.tolist(), high.tolist(), strict=True), strict=True))

    def predict(self, observe: Callable[[PyTree], PyTree]) -> tuple[PyTree, PyTree]:
        r"""`observe(model)` and its standard error by the delta method, $\sqrt{\mathrm{diag}(G C G^\top)}$.

        What depends only on what the residuals see has a finite error, even if the parameters alone do not.
        For a confidence band: value plus or minus `student(level)` times the standard error.
        """
        predict = eqx.filter_jit(lambda z: observe(self._coordinates.at(z)))
        value = predict(self._z)
        sensitivity = jacobian(predict, self._z)
        return value, jax.tree.map(self._spread, sensitivity)

    def _spread(self, sensitivity):
        g = sensitivity.reshape(-1, self._z.size).astype(self._z.dtype)
        variance = jnp.einsum("ip,pq,iq->i", g, self._covariance_z, g)
        error = jnp.where(unseen(self._blind, g), jnp.inf, jnp.sqrt(jnp.maximum(variance, 0)))
        return error.reshape(sensitivity.shape[:-1])

    def student(self, level: float = 0.95) -> float:
        """How many standard errors make a confidence interval of this level."""
        return self._student(level)

    def _student(self, level):
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, not {level}.")
        return float(scipy.stats.t.ppf(0.5 + level / 2, max(self.degrees_of_freedom, 1)))

    def summary(self, level: float = 0.95) -> str:
        """A table: parameter, unit, value, standard error, confidence interval."""
        percent = f"{100 * level:g} % interval"
        head = ("parameter", "unit", "value", "std. error", percent)
        rows: list[tuple[str, ...]] = [head]
        labels, intervals = self._coordinates.labels(), self.intervals(level)
        for (name, unit), value, error in zip(labels, self.values.values(), self.standard_errors.values(), strict=True):
            low, high = intervals[name]
            rows.append((name, unit, f"{value:.6g}", f"{error:.2g}", f"[{low:.5g}, {high:.5g}]"))
        widths = [max(len(row[k]) for row in rows) for k in range(len(head))]
        align = (str.ljust, str.ljust, str.rjust, str.rjust, str.ljust)
        lines = ["  ".join(f(c, w) for f, c, w in zip(align, row, widths, strict=True)).rstrip() for row in rows]
        lines.insert(1, "  ".join("-" * w for w in widths))
        n = self._jacobian.shape[0]
        scatter = float(np.sqrt(2 * float(self.cost) / self.degrees_of_freedom)) if self.degrees_of_freedom else np.nan
        verdict = RESULTS[self.result] or "converged"
        lines.append(
            f"{n} residuals, {self.degrees_of_freedom} degrees of freedom, residual standard deviation {scatter:.4g}; "
            f"{verdict} after {int(self.stats['num_steps'])} steps"
        )
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.summary()


def unseen(blind: Float[Array, "k p"], g: Float[Array, "m p"]) -> Bool[Array, " m"]:
    """Which of the sensitivities `g` reach into the space that the residuals do not see."""
    return jnp.sum((g @ blind.T) ** 2, axis=1) > jnp.finfo(g.dtype).eps ** 0.5 * jnp.sum(g**2, axis=1)


def jacobian(fn: Callable[[Array], PyTree], z: Float[Array, " p"]) -> PyTree:
    """The Jacobian of `fn` at `z`, in the mode that `fn` supports (forward, if it may)."""
    mode = jax.jacfwd if supports_forward(fn, z) else jax.jacrev
    return eqx.filter_jit(mode(fn))(z)


def supports_forward(fn: Callable[[Array], PyTree], z: Float[Array, " p"]) -> bool:
    """Whether `fn` can be differentiated in forward mode (a `Checkpointed` solve cannot)."""
    try:
        jax.jit(lambda z: jax.jvp(fn, (z,), (z,))).lower(z)  # tracing alone does not tell
    except TypeError as error:
        if "custom_vjp" not in str(error):
            raise
        return False
    return True
