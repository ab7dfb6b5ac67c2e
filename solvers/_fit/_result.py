"""What `fit` returns: the fitted model, how well each parameter is known, and a table."""

import html
import os
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np
import scipy
from jaxtyping import Array, Bool, Float, PyTree

from .._problem import Problem, view
from .._report import Plots, save_fit, write_report
from .._results import RESULTS
from .._search import Linearization
from .._table import html_table, text_table
from .._types import Scalar
from ._covariance import Information, spectrum
from ._start_table import StartTable


class FitResult(eqx.Module):
    r"""A fit: the best point that was found, and what the data know of it.

    - `problem`: what was fitted. `z`: the best point in its coordinates, and `cost` there.
    - `covariance`: of the parameters' values, by the linearized model, $s^2 (J^\top J)^{-1}$. For plain residuals
      without priors their own scatter sets the scale, $s^2 = \sum \rho(r^2)/(N - p)$; where the noise or a prior is
      given as a distribution, $s^2 = 1$ and $J^\top J$ is the Fisher information. Infinite for parameters that the
      data do not determine, and for all where $N = p$ leaves no scatter; NaN for those that ended on a bound, where a
      linearization says nothing (`profile` does).
    - `result`, `stats`: how the search ended, and what it took. `starts`: what became of every start.
    - `recipe`: the method, starts and key that were asked for, as text.
    """

    problem: Problem
    z: Float[Array, " p"]
    cost: Scalar
    result: RESULTS
    stats: dict[str, Any]
    starts: StartTable
    linearization: Linearization
    at_bound: Bool[np.ndarray, " p"]
    information: Information
    recipe: dict[str, str]

    @property
    def model(self) -> PyTree:
        """The model with the fitted values; if some have one for each experiment, use `models`."""
        return self.problem.model(self.z)

    @property
    def models(self) -> dict[str, PyTree]:
        """The models with the fitted values, by experiment."""
        return {name: self.problem.model(self.z, name) for name in self.problem.experiments}

    @property
    def residuals(self) -> PyTree:
        """What `residuals(model, data)` returns at the fit; a dictionary by experiment, if there are several."""
        trees = _predictions(self.problem, self.z)
        return (
            {name: trees[name] for name in self.problem.experiments} if len(trees) > 1 else next(iter(trees.values()))
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names; entries of arrays are numbered, those of experiments named."""
        return self.problem.names

    @property
    def degrees_of_freedom(self) -> int:
        """Data minus parameters that the search could move."""
        return self.problem.num_data - int((~self.at_bound).sum())

    @property
    def values(self) -> dict[str, float]:
        """The fitted values by name."""
        return dict(zip(self.names, np.asarray(self.problem.values(self.z)).tolist(), strict=True))

    @property
    def derived(self) -> dict[str, float]:
        """The values of the tied and the fixed parameters by name."""
        return {row.label: row.value for row in self.problem.layout.derived(self.z)}

    @property
    def scatter(self) -> float:
        """The factor $s^2$ on the covariance."""
        if not self.problem.is_plain:
            return 1.0
        return 2 * float(self.cost) / max(self.degrees_of_freedom, 1)

    @property
    def covariance(self) -> Float[np.ndarray, "p p"]:
        """The covariance of the parameters' values."""
        slope = np.asarray(view(self.problem.layout, self.z).slope)
        covariance = np.asarray(self.scatter * slope[:, None] * self.information.inverse * slope[None, :], slope.dtype)
        lost = self.information.unseen(np.eye(self.z.size, dtype=self.z.dtype))
        covariance[lost[:, None] & lost[None, :]] = np.inf
        covariance[self.at_bound[:, None] | self.at_bound[None, :]] = np.nan
        return covariance

    @property
    def correlation(self) -> Float[np.ndarray, "p p"]:
        """The correlations of the parameters; NaN where an error is infinite or unknown."""
        covariance = self.covariance
        error = np.sqrt(np.diagonal(covariance))
        known = np.isfinite(error)
        with np.errstate(invalid="ignore", divide="ignore"):
            matrix = covariance / (error[:, None] * error[None, :])
        return np.where(known[:, None] & known[None, :], matrix, np.nan)

    @property
    def standard_errors(self) -> dict[str, float]:
        """The square roots of the covariance's diagonal, by name."""
        return dict(zip(self.names, np.sqrt(np.diag(np.asarray(self.covariance))).tolist(), strict=True))

    @property
    def coordinate_errors(self) -> Float[np.ndarray, " p"]:
        """The standard errors of the coordinates `z`; NaN for those at a bound."""
        spread = self._spread(np.eye(self.z.size, dtype=self.z.dtype))
        return np.where(self.at_bound, np.nan, spread)

    def intervals(self, level: float = 0.95) -> dict[str, tuple[float, float]]:
        """Confidence intervals by name, linearized in the coordinate searched in: those of a `Log` one are positive.

        They end at the bounds at the latest.
        """
        reach = self.student(level) * self.coordinate_errors
        z, lower, upper = (np.asarray(x) for x in (self.z, self.problem.lower, self.problem.upper))
        low = np.asarray(self.problem.values(jax.device_put(np.maximum(z - reach, lower))))
        high = np.asarray(self.problem.values(jax.device_put(np.minimum(z + reach, upper))))
        return dict(zip(self.names, zip(low.tolist(), high.tolist(), strict=True), strict=True))

    def predict(self, observe: Callable[[PyTree], PyTree], experiment: str | None = None) -> tuple[PyTree, PyTree]:
        r"""`observe(model)` and its standard error by the delta method, $\sqrt{\mathrm{diag}(G C G^\top)}$.

        What depends only on what the data see has a finite error, even if the parameters alone do not.
        For a confidence band: value plus or minus `student(level)` times the standard error.
        """
        value, sensitivity = self.problem.sensitivity(observe, self.z, experiment)
        return value, jax.tree.map(self._spread, sensitivity)

    def student(self, level: float = 0.95) -> float:
        """How many standard errors make a confidence interval of this level: Student's t, or the normal's."""
        if not 0 < level < 1:
            raise ValueError(f"level must lie between 0 and 1, not {level}.")
        if not self.problem.is_plain:
            return float(scipy.special.ndtri(0.5 + level / 2))
        return float(scipy.special.stdtrit(max(self.degrees_of_freedom, 1), 0.5 + level / 2))

    @property
    def plot(self) -> Plots:
        """Pictures: `result.plot.fit()`, `.residuals()`, `.waterfall()`, `.correlation()`, and others."""
        return Plots(self)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one file with everything that was found, the data, and what they were made with, for `load_fit`.

        JSON and arrays, in a zip archive; see `FitRecord`. The model and the formula are code: of these it holds
        digests, by which `load_fit` tells whether they are still the same.
        """
        save_fit(self, path)

    def report(self, path: str | os.PathLike[str], *, profiles: Any = None, posterior: Any = None) -> None:
        """Write an HTML file that needs nothing else: tables, pictures, failures, digests of the data, versions.

        With `profiles`, what `profile(result)` returned, and `posterior`, what `sample(result)` returned. Needs
        matplotlib: `pip install kinax[plot]`.
        """
        write_report(self, path, profiles, posterior)

    def summary(self, level: float = 0.95) -> str:
        """A table: parameter, unit, value, standard error, confidence interval."""
        return f"{text_table(_head(level), self._rows(level), _LEFT)}\n{self._verdict()}"

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return f"{html_table(_head(0.95), self._rows(0.95), _LEFT)}<p>{html.escape(self._verdict())}</p>"

    @property
    def _is_estimable(self) -> bool:
        return not self.problem.is_plain or self.degrees_of_freedom > 0

    def _spread(self, sensitivity):
        sensitivity = np.asarray(sensitivity)
        g = sensitivity.reshape(-1, self.z.size).astype(self.z.dtype)
        variance = self.scatter * np.einsum("ip,pq,iq->i", g, self.information.inverse, g)
        error = np.where(self.information.unseen(g), np.inf, np.sqrt(np.maximum(variance, 0))).astype(g.dtype)
        return error.reshape(sensitivity.shape[:-1])

    def _rows(self, level: float) -> list[tuple[str, ...]]:
        rows, intervals = [], self.intervals(level)
        everyone = zip(self.problem.layout.labels(), self.values.values(), self.standard_errors.values(), strict=True)
        for k, ((name, unit), value, error) in enumerate(everyone):
            low, high = intervals[name]
            unknown = "not determined" if self._is_estimable else "error unknown"
            remark = "at its bound" if self.at_bound[k] else unknown if np.isinf(error) else ""
            known = np.isfinite(error)
            cells = (f"{error:.2g}", f"[{low:.5g}, {high:.5g}]") if known else ("", "")
            rows.append((name, unit, f"{value:.6g}", *cells, remark))
        for name, unit, value, is_tied in self.problem.layout.derived(self.z):
            rows.append((name, unit, f"{value:.6g}", "", "", "tied" if is_tied else "fixed"))
        return rows

    def _verdict(self) -> str:
        n = self.problem.num_data
        quality = f"cost {float(self.cost):.6g}"
        if self.problem.is_plain and self.degrees_of_freedom > 0:
            quality = f"residual standard deviation {np.sqrt(self.scatter):.4g}"
        elif not self.problem.is_plain and self.problem.has_plain_terms:
            quality += ", residuals in units of their standard deviation (because of the priors)"
        ended = RESULTS[self.result] or "converged"
        text = (
            f"{n} data, {self.degrees_of_freedom} degrees of freedom, {quality}; "
            f"{ended} after {self.stats['num_steps']} steps"
        )
        if unseen := spectrum(np.asarray(self.linearization.jacobian)[:, ~self.at_bound])[-1].shape[0]:
            text += f"; {unseen} direction(s) that the data do not determine (`identifiability`)"
        if not self._is_estimable:
            text += "; no datum is left to tell the scatter, so errors are unknown"
        many = self.starts.cost.size
        if many > 1:
            optima = self.starts.optima()
            reached = len(optima[0].starts) if optima else 0
            text += f"; {reached} of {many} starts reached the best of {len(optima)} optima"
        if (missed := self.starts.missed) is not None:
            text += (
                f"; start {missed} did not converge, but ended lower, at cost {self.starts.cost[missed]:.6g}: "
                "it may need more `max_steps`"
            )
        failed = int(self.starts.failure_count.sum())
        return text + (f"; {failed} failed simulations (`starts.failures()`)" if failed else "") + "."


_LEFT = ("unit", "")


def _head(level: float) -> tuple[str, ...]:
    return "parameter", "unit", "value", "std. error", f"{100 * level:g} % interval", ""


@eqx.filter_jit
def _predictions(problem: Problem, z: Float[Array, " p"]) -> dict[str, PyTree]:
    return problem.predictions(z)
