"""What draws tell about a parameter, and about themselves."""

import functools as ft
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float

_RHAT, _ESS = 1.01, 400  # A. Vehtari et al., Bayesian Analysis 16, 667 (2021), doi:10.1214/20-BA1221


class Diagnostics(eqx.Module):
    """One number for each parameter; NaN in the last four where it is held.

    - `low`, `high`: the quantiles of 5 % and 95 %. `mcse`: the Monte Carlo standard error of the mean.
    - `ess_bulk`, `ess_tail`: how many independent draws would know the middle and the tails as well.
    - `rhat`: how much wider all chains together are than each: 1 if they agree (rank-normalized, split).
    """

    mean: Float[np.ndarray, " p"]
    sd: Float[np.ndarray, " p"]
    low: Float[np.ndarray, " p"]
    median: Float[np.ndarray, " p"]
    high: Float[np.ndarray, " p"]
    mcse: Float[np.ndarray, " p"]
    ess_bulk: Float[np.ndarray, " p"]
    ess_tail: Float[np.ndarray, " p"]
    rhat: Float[np.ndarray, " p"]

    def complaints(self, names: Sequence[str], draws: int) -> list[str]:
        """What is wrong, in words, with a cure; empty if nothing is."""
        lines = []
        worst = self.rhat > _RHAT
        if worst.any():
            lines.append(
                f"The chains disagree on {_named(names, worst)} (R-hat up to {np.nanmax(self.rhat):.3f}, should be "
                f"below {_RHAT}): draw more (num_samples), or look for several optima (fit with starts=)."
            )
        ess = np.minimum(self.ess_bulk, self.ess_tail)
        if (few := ess < _ESS).any():
            enough = 100 * int(np.ceil(draws / max(np.nanmin(ess), 1) * _ESS / 100))
            lines.append(
                f"Only {np.nanmin(ess):.0f} effective draws for {_named(names, few)} (should be {_ESS}): draw {enough} "
                "in all (num_samples times chains)."
            )
        return lines


def diagnostics_of(values: Float[np.ndarray, "chains draws p"]) -> Diagnostics:
    """By ArviZ."""
    statistics = _arviz()
    moves = (values != values[:1, :1]).any(axis=(0, 1))
    low, median, high = np.quantile(values, [0.05, 0.5, 0.95], axis=(0, 1))

    def each(measure: Callable[..., Any]) -> Float[np.ndarray, " p"]:
        column = lambda k: measure(values[..., k], chain_axis=0, draw_axis=1) if moves[k] else np.nan
        return np.array([float(column(k)) for k in range(values.shape[-1])])

    return Diagnostics(
        mean=values.mean(axis=(0, 1)),
        sd=values.std(axis=(0, 1), ddof=1),
        low=low,
        median=median,
        high=high,
        mcse=each(ft.partial(statistics.mcse, method="mean")),
        ess_bulk=each(ft.partial(statistics.ess, method="bulk")),
        ess_tail=each(ft.partial(statistics.ess, method="tail", prob=(0.05, 0.95))),
        rhat=each(statistics.rhat),
    )


def _named(names: Sequence[str], chosen: np.ndarray) -> str:
    return ", ".join(name for name, yes in zip(names, chosen, strict=True) if yes)


def _arviz() -> Any:
    try:
        from arviz_stats.base import array_stats  # pyright: ignore[reportPrivateImportUsage]
    except ImportError as error:
        raise ImportError("Judging draws needs arviz-stats: pip install 'kinax[posterior]'.") from error
    return array_stats
