"""`sample`: draws from the posterior around a fit, by NUTS."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray
from tqdm.auto import tqdm

from .._checkpoint import as_checkpoint, in_segments, Keeper, Pace
from .._fit import FitResult
from .._fit._machine import Machine
from .._problem import fingerprint
from .._programs import digest, seldom_collecting
from ._chain import Advance, Begin, blackjax, Chain, first_step
from ._density import Density, density_of, Gaussian, gaussian_near
from ._posterior import Posterior, posterior_of


@seldom_collecting()
def sample(
    result: FitResult,
    *,
    num_samples: int = 1000,
    num_warmup: int = 300,
    chains: int = 4,
    key: PRNGKeyArray | None = None,
    target_acceptance: float = 0.85,
    max_doublings: int = 10,
    batch_size: int | None = None,
    devices: Sequence[Any] | None = None,
    checkpoint: Any = None,
    progress: bool = True,
) -> Posterior:
    r"""Draws from the posterior of the parameters' values, by the no-U-turn sampler of blackjax, from a fit on.

    The density is exp(-cost) of the problem, whose residuals must be a likelihood (`Observed`) or have priors. Chains
    move in coordinates without bounds, with the Jacobian that this takes; parameters without a prior have a flat one
    (of the value, not of its logarithm), between their bounds. Chains start at draws from the Gaussian of the fit's
    Fisher information, whose covariance is also their first metric; halfway through the warm-up the draws so far
    replace it.

    - `num_samples`, `num_warmup`: draws of each of the `chains` that are kept, and that adapt step size and metric.
    - `target_acceptance`: of the Metropolis test; larger means shorter steps, the cure for divergences.
    - `max_doublings`: a trajectory has at most 2^this steps.
    - `batch_size`: chains that run in lockstep in one program; such programs run side by side on the cores and
      `devices`. It changes the rounding of numbers, and so, after a while, the draws (not their distribution); the
      number of devices changes nothing.
    - `checkpoint`: a path, or `Checkpoint(path, every=seconds)`: saved now and then, at the end and at SIGTERM; the
      same call goes on from there, to the same bits.

    Where the simulation fails the density is zero: a trajectory that gets there ends as divergent and is counted.

    Sources: M. D. Hoffman and A. Gelman, JMLR 15, 1593 (2014); M. Betancourt, arXiv:1701.02434.

    Raises ValueError for a problem that has no posterior (plain residuals with noise of unknown size), wrong numbers,
    a simulation that fails all around the fit, or a checkpoint of something else; RuntimeError if `residuals` raised
    at some point; ImportError without blackjax.
    """
    plan = Plan(num_samples=num_samples, num_warmup=num_warmup, chains=chains)
    _check(target_acceptance)
    density = density_of(result.problem)
    key = jax.random.key(0) if key is None else key
    near = _near(density, result.z)
    settings = (result.z, key, str((plan, target_acceptance, max_doublings, batch_size)))
    belongs = {"kind": "sample", **fingerprint(result.problem), "settings": digest(settings)} if checkpoint else {}
    run = _Run(
        plan=plan,
        begin=Begin(density, near, key, length=plan.length),
        target=jnp.asarray(target_acceptance, near.mean.dtype),
        max_doublings=max_doublings,
        machine=Machine(batch_size, devices),
    )
    with tqdm(total=plan.length, unit="draw", desc="sample", disable=not progress, delay=1.0, leave=False) as bar:
        now = run.go(Keeper(as_checkpoint(checkpoint), belongs), bar)
    return posterior_of(density, now.chains, num_warmup, max_doublings)


def _check(target_acceptance: float) -> None:
    if not 0 < target_acceptance < 1:
        raise ValueError(f"sample: target_acceptance must lie between 0 and 1, not {target_acceptance}.")
    blackjax()


@dataclasses.dataclass(frozen=True)
class Plan:
    """How many draws, in which stages."""

    num_samples: int
    num_warmup: int
    chains: int

    def __post_init__(self):
        for name, least in (("num_samples", 4), ("num_warmup", 0), ("chains", 1)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise ValueError(f"sample: {name} must be an integer of at least {least}, not {value!r}.")

    @property
    def length(self) -> int:
        """Draws of a chain in all."""
        return self.num_warmup + self.num_samples

    @property
    def switch(self) -> int:
        """After how many draws the metric is estimated anew."""
        return self.num_warmup // 2

    def stop(self, done: int) -> int:
        """The draw at which the stage ends that is under way."""
        return next(end for end in (self.switch, self.num_warmup, self.length) if end > done)


@dataclasses.dataclass(frozen=True)
class _Run:
    """One call of `sample`."""

    plan: Plan
    begin: Begin
    target: Float[Array, ""]
    max_doublings: int
    machine: Machine

    def go(self, keeper: Keeper, bar: Any) -> "Now":
        """From the beginning, or from what was saved, to the last draw."""
        stored = keeper.restore()
        first = self._begun() if stored is None else jax.tree.unflatten(jax.tree.structure(self._shape()), stored)

        def move(now: Now, amount: int) -> tuple[Now, int]:
            last = min(int(now.done) + amount, self.plan.stop(int(now.done)))
            moved = self._moved(now, last)
            _show(bar, moved)
            return moved, last - int(now.done)

        return in_segments(keeper, first, move, lambda now: int(now.done) == self.plan.length, Pace())

    def _shape(self) -> "Now":
        """What there is between segments, without numbers."""
        return jax.eval_shape(lambda: Now(self.begin(jnp.asarray(0)), self.begin.near.covariance, jnp.asarray(0)))

    def _begun(self) -> "Now":
        chains = self.machine.run(self.begin, jnp.arange(self.plan.chains), _place)
        lost = np.flatnonzero(~np.isfinite(chains.log_density))
        if lost.size:
            raise ValueError(
                f"sample: the simulation fails, or the prior's density is zero, all the way from the starting point of "
                f"chain {lost[0]} to the fit. Sample the result of a fit that converged, inside the priors' supports."
            )
        return Now(chains, np.asarray(self.begin.near.covariance), np.asarray(0))

    def _moved(self, now: "Now", last: int) -> "Now":
        """After draw number `last`; at the switch with a new metric."""
        count = lambda x: jnp.asarray(x, jnp.int32)
        advance = Advance(
            density=self.begin.density,
            metric=jnp.asarray(now.metric),
            key=self.begin.key,
            first=count(now.done),
            last=count(last),
            num_warmup=count(self.plan.num_warmup),
            target=self.target,
            max_doublings=self.max_doublings,
        )
        moved = Now(self.machine.run(advance, now.chains, _place), now.metric, np.asarray(last))
        return self._retuned(moved) if last == self.plan.switch else moved

    def _retuned(self, now: "Now") -> "Now":
        """With the covariance of the last two thirds of all chains' draws, drawn a little to the metric so far."""
        draws = now.chains.record.u[:, self.plan.switch // 3 : self.plan.switch]
        draws = draws.reshape(-1, draws.shape[-1])
        n, faith = draws.shape[0], 5 * draws.shape[1]
        apart = draws - draws.mean(axis=0)
        metric = (apart.T @ apart + faith * now.metric) / (n + faith)
        anew = jax.tree.map(np.asarray, jax.vmap(first_step)(jnp.asarray(now.chains.u)))
        return Now(eqx.tree_at(lambda chains: chains.step, now.chains, anew), metric, now.done)


class Now(eqx.Module):
    """Everything that the next draws depend on, on the host: the chains, their metric, how many draws are done."""

    chains: Chain
    metric: Float[Any, "d d"]
    done: Int[Any, ""]


def _place(chains: Chain) -> np.ndarray:
    return np.asarray(chains.u)


def _show(bar: Any, now: Now) -> None:
    done, record = int(now.done), now.chains.record
    bar.set_postfix(
        divergent=int(record.diverged[:, :done].sum()),
        failed=int(record.failed[:, :done].sum()),
        leapfrogs=f"{record.leapfrogs[:, max(0, done - 50) : done].mean():.1f}",
        step=f"{np.exp(now.chains.step.log_average).mean():.2g}",
        refresh=False,
    )
    bar.update(done - bar.n)


@eqx.filter_jit
def _near(density: Density, z: Float[Array, " p"]) -> Gaussian:
    return gaussian_near(density, z)
