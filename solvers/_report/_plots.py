"""`result.plot`: the pictures of a fit."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, TYPE_CHECKING

from jaxtyping import PyTree

from ._plot_fit import plot_fit, plot_residuals
from ._plot_starts import plot_correlation, plot_waterfall
from ._plot_uncertainty import plot_profiles, plot_trace

if TYPE_CHECKING:
    from .._fit import FitResult


@dataclasses.dataclass(frozen=True)
class Plots:
    """Pictures of a fit, by matplotlib (`pip install kinax[plot]`).

    Each draws into the axes given as `ax` or into a new figure, and returns the axes: one, or an array of several.
    `experiment` is the name of one experiment, or several names; all by default.
    """

    result: "FitResult"

    def fit(
        self,
        observe: Callable[[Any], PyTree] | None = None,
        ts: Any = None,
        *,
        experiment: str | Sequence[str] | None = None,
        level: float = 0.95,
        ax: Any = None,
    ) -> Any:
        """The data and what is predicted for them; a panel for each experiment.

        Where `residuals` returns `Observed`, the line is the median of the predicted distribution and the band
        encloses `level` of the data that it predicts. They are drawn over the times of the `TimeSeries` with the same
        values, if the data hold it. Censored data are hollow triangles, missing ones ticks at the lower edge.

        With `observe(model)`, which returns values at the times `ts` (one row for each), the line is their fit and the
        band its confidence band (see `FitResult.predict`).
        Plain residuals alone do not tell what was measured: without `observe` they are shown by `residuals`.
        """
        return plot_fit(self.result, observe, ts, self._experiments(experiment), level, ax)

    def residuals(self, *, experiment: str | Sequence[str] | None = None, ax: Any = None) -> Any:
        """Residuals over their standard deviation, in the order of the data, and against the normal's quantiles.

        Of `Observed` data they are normal scores: the standard normal number that is as improbable as the datum under
        its predicted distribution; censored data have none.
        """
        return plot_residuals(self.result, self._experiments(experiment), ax)

    def waterfall(self, *, ax: Any = None) -> Any:
        """The final costs of all starts in order; starts that reached one of the four best optima share its color."""
        return plot_waterfall(self.result, ax)

    def correlation(self, *, ax: Any = None) -> Any:
        """The correlations of the fitted parameters."""
        return plot_correlation(self.result, ax)

    def profiles(self, profiles: Any, *, ax: Any = None) -> Any:
        """What `profile(result)` returned: cost against value, with the parabola of the linearized problem.

        Where the two part, standard errors mislead. The shaded interval is where the profile is below its threshold.
        """
        return plot_profiles(self.result, profiles, ax)

    def trace(self, posterior: Any, *, ax: Any = None) -> Any:
        """What `sample(result)` returned: marginal densities and draws, a color for each chain; the fit is dashed."""
        return plot_trace(self.result, posterior, ax)

    def _experiments(self, chosen: str | Sequence[str] | None) -> list[str]:
        known = self.result.problem.experiments
        names = list(known) if chosen is None else [chosen] if isinstance(chosen, str) else list(chosen)
        unknown = [name for name in names if name not in known]
        if unknown or not names:
            raise ValueError(f"No experiment {', '.join(map(repr, unknown))}; there are {', '.join(known)}.")
        return names
