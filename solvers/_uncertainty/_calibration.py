"""`calibrate`: whether posteriors contain the truth as often as they say, by simulation."""

import html
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from .._ensemble import ensemble
from .._fit import prior_draws
from .._problem import Observed, Problem
from .._programs import seldom_collecting
from .._search import AbstractMethod, advance, LevenbergMarquardt
from .._table import html_table, text_table
from ._chain import Advance, Begin, blackjax
from ._density import Density, density_of, gaussian_near
from ._replicate import remeasured, Replicate

_LEVEL = 0.01  # of a false alarm anywhere in the table


class Calibration(eqx.Module):
    r"""Ranks of the true values among posterior draws: uniform from 0 to `num_draws`, if all is right.

    - `ranks`: how many of the `num_draws` draws lie below the truth, by replicate and parameter.
    - `failed`: replicates that were left out, because the simulation failed at the truth or for a whole chain.
    """

    ranks: Int[np.ndarray, "n p"]
    failed: Bool[np.ndarray, " n"]
    names: tuple[str, ...] = eqx.field(static=True)
    num_draws: int = eqx.field(static=True)

    @property
    def fractions(self) -> Float[np.ndarray, "n p"]:
        """The ranks as numbers between 0 and 1, of the replicates that did not fail."""
        return (self.ranks[~self.failed] + 0.5) / (self.num_draws + 1)

    @property
    def p_values(self) -> Float[np.ndarray, "p 3"]:
        """How probable a departure at least as large is by chance: of the histogram, the mean and the spread."""
        x = self.fractions
        n, total = x.shape[0], self.num_draws + 1
        mean = (x.mean(axis=0) - 0.5) * np.sqrt(12 * n)
        spread = (12 * ((x - 0.5) ** 2).mean(axis=0) - 1 + 1 / total**2) * np.sqrt(5 * n / 4)
        bins = max(2, min(total, n // 10))
        edges = np.ceil(np.arange(bins + 1) * total / bins).astype(int)  # whole ranks in every bin
        share = np.diff(edges) / total
        histogram = [
            scipy.stats.chisquare(np.histogram(ranks, edges - 0.5)[0], n * share).pvalue
            for ranks in self.ranks[~self.failed].T
        ]
        return np.stack([histogram, 2 * scipy.stats.norm.sf(abs(mean)), 2 * scipy.stats.norm.sf(abs(spread))], axis=1)

    @property
    def is_calibrated(self) -> bool:
        """Whether there is no departure that chance would produce in less than 1 % of such tables."""
        return bool((self.p_values * self.p_values.size > _LEVEL).all())

    def summary(self) -> str:
        """A table: for each parameter how probable its ranks are, and what they say."""
        return f"{text_table(_HEAD, self._rows(), ('remark',))}\n{self._verdict()}"

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return f"{html_table(_HEAD, self._rows(), ('remark',))}<p>{html.escape(self._verdict())}</p>"

    def _rows(self) -> list[tuple[str, ...]]:
        p = self.p_values
        return [(name, *(f"{x:.2g}" for x in p[k]), self._remark(k, p)) for k, name in enumerate(self.names)]

    def _remark(self, k: int, p: Float[np.ndarray, "p 3"]) -> str:
        unlikely = p[k] * p.size <= _LEVEL
        x = self.fractions[:, k]
        remarks = []
        if unlikely[1]:
            remarks.append("posterior lies too low" if x.mean() > 0.5 else "posterior lies too high")
        if unlikely[2]:
            remarks.append("posterior is too narrow" if x.var() > 1 / 12 else "posterior is too wide")
        return ", ".join(remarks) or ("ranks are not uniform" if unlikely[0] else "")

    def _verdict(self) -> str:
        n, lost = self.failed.size, int(self.failed.sum())
        text = f"{n - lost} replicates, {self.num_draws} draws each: "
        text += "no sign of miscalibration" if self.is_calibrated else "the posterior is not calibrated"
        return text + (f"; {lost} more failed and were left out." if lost else ".")


_HEAD = ("parameter", "p histogram", "p mean", "p spread", "remark")


@seldom_collecting()
def calibrate(
    problem: Problem,
    *,
    replicates: int = 200,
    num_draws: int = 63,
    thin: int = 4,
    num_warmup: int = 150,
    truth: Problem | None = None,
    method: AbstractMethod | None = None,
    key: PRNGKeyArray | None = None,
    target_acceptance: float = 0.85,
    max_doublings: int = 8,
    batch_size: int | None = None,
    devices: Sequence[Any] | None = None,
    progress: bool = True,
) -> Calibration:
    """Simulation-based calibration: fit and sample data that the model itself makes, from parameters that are known.

    Parameters are drawn from their priors (inside their bounds), data from the distributions in `Observed`; the
    posterior is found as `fit` and `sample` would, by one chain; and the truth is ranked among its draws. If model,
    priors and sampler agree, every rank is equally probable.

    - `replicates`: how many times. `num_draws`: to rank among, one of every `thin` of the chain after `num_warmup`.
    - `truth`: another problem with the same parameters that makes the data, to learn what a wrong model does.
    - `method`: of the fit, by default `LevenbergMarquardt()`. Others as in `sample`; all replicates are an `ensemble`,
      one compiled program.

    Source: S. Talts et al., arXiv:1804.06788.

    Raises ValueError for parameters without a prior, and for data that are not all `Observed`, or censored.
    """
    blackjax()
    for name, value in (("replicates", replicates), ("num_draws", num_draws), ("thin", thin)):
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"calibrate: {name} must be a positive integer, not {value!r}.")
    source = problem if truth is None else truth
    _check(problem, source)
    prior_key, chain_key = jax.random.split(jax.random.key(0) if key is None else key)
    z = _truths(source, prior_key, replicates)
    density = density_of(problem)
    one = _Replicate(
        problem=problem,
        truth=source,
        method=LevenbergMarquardt() if method is None else method,
        target=jnp.asarray(target_acceptance, z.dtype),
        free=density.free,
        plan=(num_draws, thin, num_warmup, max_doublings),
    )
    keys = jax.random.split(chain_key, replicates)
    found = ensemble(one, (z, keys), batch_size=batch_size, devices=devices, progress=progress)
    ranks, fine = (np.asarray(x) for x in found.values)
    free = list(density.free)
    return Calibration(
        ranks=ranks[:, free],
        failed=~fine | found.failed,
        names=tuple(problem.names[k] for k in free),
        num_draws=num_draws,
    )


class _Replicate(eqx.Module):
    """One truth, its data, and the rank of the truth in their posterior; and whether all went well."""

    problem: Problem
    truth: Problem
    method: AbstractMethod
    target: Float[Array, ""]
    free: tuple[int, ...] = eqx.field(static=True)
    plan: tuple[int, int, int, int] = eqx.field(static=True)

    def __call__(self, member: tuple[Float[Array, " p"], PRNGKeyArray]) -> tuple[Int[Array, " p"], Bool[Array, ""]]:
        num_draws, thin, num_warmup, max_doublings = self.plan
        z, key = member
        data_key, chain_key = jax.random.split(key)
        simulated = self.truth.evaluate(z)
        problem = remeasured(self.problem, Replicate(self.truth)((z, data_key)))
        best = advance(self.method, problem, self.method.init(problem, z), 200, 200).standing.z
        density = Density(problem, self.free)
        near = gaussian_near(density, best)
        length = num_warmup + num_draws * thin
        chain = Begin(density, near, chain_key, length)(jnp.asarray(0))
        chain = Advance(
            density=density,
            metric=near.covariance,
            key=chain_key,
            first=jnp.asarray(0),
            last=jnp.asarray(length),
            num_warmup=jnp.asarray(num_warmup),
            target=self.target,
            max_doublings=max_doublings,
        )(chain)
        draws = jax.vmap(density.to_z)(chain.record.u[num_warmup + thin - 1 :: thin])
        # below is below for values, too: transforms increase
        return jnp.sum(draws < z[None, :], axis=0), ~simulated.failed & jnp.isfinite(chain.log_density)


def _check(problem: Problem, truth: Problem) -> None:
    if problem.names != truth.names:
        raise ValueError(f"calibrate: the parameters are {problem.names}, but those of truth {truth.names}.")
    missing = [entry.name for entry in truth.layout.free if entry.prior is None]
    if missing:
        raise ValueError(f"calibrate draws parameters from their priors, but {', '.join(missing)} has none: give one.")
    for name, tree in jax.eval_shape(truth.predictions, truth.start()).items():
        leaves = jax.tree.leaves(tree, is_leaf=lambda x: isinstance(x, Observed))
        measured = [leaf for leaf in leaves if isinstance(leaf, Observed)]
        plain = [leaf for leaf in leaves if not isinstance(leaf, Observed) and jnp.issubdtype(leaf.dtype, jnp.floating)]
        if not measured or plain:
            raise ValueError(
                f"calibrate draws new data, but what residuals(model, data) returns for experiment {name!r} holds "
                "plain residuals: return Observed(values, distribution)."
            )
        if any(leaf.below is not None or leaf.above is not None for leaf in measured):
            raise ValueError(f"calibrate cannot draw censored data, but those of experiment {name!r} are.")


def _truths(problem: Problem, key: PRNGKeyArray, n: int) -> Float[Array, "n p"]:
    z = prior_draws(problem, key, n)
    never = [name for name, column in zip(problem.names, z.T, strict=True) if np.isnan(column).any()]
    if never:
        raise ValueError(f"calibrate: nearly all draws from the prior of {', '.join(never)} lie outside its bounds.")
    return jnp.asarray(z)
