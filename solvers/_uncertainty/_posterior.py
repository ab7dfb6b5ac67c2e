"""What `sample` returns: draws of the parameters, and whether they can be trusted."""

import html
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from .._ensemble import ensemble
from .._problem import Problem
from .._table import html_table, text_table
from ._chain import Chain
from ._density import Density, improper
from ._diagnostics import Diagnostics, diagnostics_of
from ._replicate import Replicate


class Posterior(eqx.Module):
    """Draws from a posterior; the first axis numbers the chains, the second their draws.

    - `z`: in the problem's coordinates. `values`: of the parameters, in the order of `names`.
    - `log_density`: of the values, up to a constant: minus the cost.
    - `diverged`: whether the trajectory to a draw left the level of its energy; `failed`: because a simulation failed.
    - `leapfrogs`: gradients that a draw took. `acceptance`: of the Metropolis test, on average over the trajectory.
    - `energy`: of the Hamiltonian system. `step_size`: of each chain, in units of its metric. `max_leapfrogs`: to which
      a trajectory was limited.
    """

    problem: Problem
    z: Float[np.ndarray, "chains draws p"]
    values: Float[np.ndarray, "chains draws p"]
    log_density: Float[np.ndarray, "chains draws"]
    diverged: Bool[np.ndarray, "chains draws"]
    failed: Bool[np.ndarray, "chains draws"]
    leapfrogs: Int[np.ndarray, "chains draws"]
    acceptance: Float[np.ndarray, "chains draws"]
    energy: Float[np.ndarray, "chains draws"]
    step_size: Float[np.ndarray, " chains"]
    max_leapfrogs: int = eqx.field(static=True)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names; entries of arrays are numbered, those of experiments named."""
        return self.problem.names

    @property
    def draws(self) -> dict[str, Float[np.ndarray, "chains draws"]]:
        """The draws of each parameter's value by name."""
        return dict(zip(self.names, np.moveaxis(self.values, -1, 0), strict=True))

    def diagnostics(self) -> Diagnostics:
        """Means, quantiles, Monte Carlo errors, effective numbers of draws and R-hat, by ArviZ."""
        return diagnostics_of(self.values)

    def predict(self, observe: Callable[[PyTree], PyTree], experiment: str | None = None) -> PyTree:
        """`observe(model)` for every draw: the posterior of anything that the model computes.

        Arrays of shape `(chains, draws, ...)`. NaN marks draws for which the computation failed; take quantiles with
        `np.nanquantile(predicted, [0.05, 0.95], axis=(0, 1))`.
        """
        return self._for_all(_Predict(self.problem, observe, experiment), self.z)

    def replicate(self, *, key: PRNGKeyArray | None = None) -> PyTree:
        """New data for every draw: what would be measured, if the experiments were done again.

        As `residuals` returns them, with an array of shape `(chains, draws, ...)` in the place of each `Observed` and
        None for everything else; a dictionary by experiment, if there are several. NaN where nothing was measured.
        Data that were censored are drawn as if they were not.
        """
        keys = jax.random.split(jax.random.key(0) if key is None else key, self.z.shape[:2])
        trees = self._for_all(Replicate(self.problem), (self.z, keys))
        return trees if len(trees) > 1 else next(iter(trees.values()))

    def to_arviz(self) -> Any:
        """The draws and the sampler's statistics as an xarray DataTree, the form that ArviZ reads."""
        try:
            import arviz_base
        except ImportError as error:
            raise ImportError("This needs arviz-base: pip install 'kinax[posterior]'.") from error
        statistics = {
            "lp": self.log_density,
            "diverging": self.diverged,
            "failed": self.failed,
            "n_steps": self.leapfrogs,
            "acceptance_rate": self.acceptance,
            "energy": self.energy,
            "step_size": np.broadcast_to(self.step_size[:, None], self.energy.shape),
        }
        return arviz_base.from_dict({"posterior": self.draws, "sample_stats": statistics})

    def summary(self) -> str:
        """A table: parameter, unit, mean, standard deviation, quantiles, Monte Carlo error; and what is wrong."""
        found = self.diagnostics()
        return "\n".join([text_table(_HEAD, self._rows(found), ("unit",)), *self._verdict(found)])

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        found = self.diagnostics()
        lines = "".join(f"<p>{html.escape(line)}</p>" for line in self._verdict(found))
        return html_table(_HEAD, self._rows(found), ("unit",)) + lines

    def _for_all(self, fn: Any, members: PyTree) -> PyTree:
        """`fn` for every draw, in batches on all cores."""
        shape = self.z.shape[:2]
        flat = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), members)
        found = ensemble(fn, flat).values
        return jax.tree.map(lambda x: np.asarray(x).reshape(*shape, *x.shape[1:]), found)

    def _rows(self, d: Diagnostics) -> list[tuple[str, ...]]:
        rows = []
        for k, (name, unit) in enumerate(self.problem.layout.labels()):
            numbers = [f"{x[k]:.5g}" for x in (d.mean, d.sd, d.low, d.median, d.high)]
            checks = (f"{d.mcse[k]:.2g}", f"{d.ess_bulk[k]:.0f}", f"{d.ess_tail[k]:.0f}", f"{d.rhat[k]:.4f}")
            rows.append((name, unit, *numbers, *(("held",) * 4 if np.isnan(d.ess_bulk[k]) else checks)))
        return rows

    def _verdict(self, found: Diagnostics) -> list[str]:
        chains, draws = self.diverged.shape
        lines = [
            f"{chains} chains of {draws} draws, {self.leapfrogs.mean():.1f} gradients a draw, "
            f"acceptance {self.acceptance.mean():.2f}."
        ]
        lines += found.complaints(self.names, chains * draws)
        diverged, failed = int(self.diverged.sum()), int((self.diverged & self.failed).sum())
        if diverged:
            why = f", {failed} of them where a simulation failed: the posterior is cut off there" if failed else ""
            lines.append(
                f"{diverged} trajectories diverged{why}. Regions of strong curvature may be missing: raise "
                "target_acceptance (to 0.95, say), or search for the parameters on another scale (transform=Log())."
            )
        if (limited := int((self.leapfrogs >= self.max_leapfrogs).sum())) > 0:
            lines.append(f"{limited} trajectories were cut at {self.max_leapfrogs} steps: raise max_doublings.")
        if names := improper(self.problem):
            lines.append(
                f"{', '.join(names)}: a flat prior without bounds, which has no integral; the posterior has one only "
                "if the data see to it."
            )
        return lines if len(lines) > 1 else [*lines, "No sign of trouble."]


_HEAD = ("parameter", "unit", "mean", "sd", "5 %", "median", "95 %", "MC error", "ESS bulk", "ESS tail", "R-hat")


def posterior_of(density: Density, chains: Chain, num_warmup: int, max_doublings: int) -> Posterior:
    """The draws after the warm-up."""
    record = jax.tree.map(lambda x: x[:, num_warmup:], chains.record)
    z, values, volume = _look(density, jnp.asarray(record.u))
    return Posterior(
        problem=density.problem,
        z=np.asarray(z),
        values=np.asarray(values),
        log_density=record.log_density - np.asarray(volume),
        diverged=record.diverged,
        failed=record.failed,
        leapfrogs=record.leapfrogs,
        acceptance=record.acceptance,
        energy=record.energy,
        step_size=np.exp(chains.step.log_average),
        max_leapfrogs=2**max_doublings - 1,
    )


class _Predict(eqx.Module):
    """What a draw of the coordinates predicts."""

    problem: Problem
    observe: Callable[[PyTree], PyTree] = eqx.field(static=True)
    experiment: str | None = eqx.field(static=True)

    def __call__(self, z: Float[Array, " p"]) -> PyTree:
        return self.observe(self.problem.model(z, self.experiment))


@eqx.filter_jit
def _look(density: Density, u: Float[Array, "chains draws d"]) -> tuple[Array, Array, Array]:
    """Coordinates, values, and the logarithm of the volume that `u` counts with."""

    def one(u: Float[Array, " d"]) -> tuple[Array, Array, Array]:
        z = density.to_z(u)
        return z, density.problem.values(z), density.log_volume(u)

    return jax.vmap(jax.vmap(one))(u)
