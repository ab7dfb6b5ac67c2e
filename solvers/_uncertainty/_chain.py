"""One NUTS chain: a state that records its own draws, and what moves it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from .._types import Scalar
from ._density import Density, Gaussian

_TRIES = 20


class StepSize(eqx.Module):
    r"""Dual averaging of the logarithm of the step size (M. D. Hoffman and A. Gelman, JMLR 15, 1593 (2014), §3.2).

    - `log_step`, `log_average`: the one in use during warm-up, and the one for afterwards. `anchor`: what it is
      drawn to. `error`: the running mean of the target minus the acceptance. `count`: of updates.
    """

    log_step: Scalar
    log_average: Scalar
    anchor: Scalar
    error: Scalar
    count: Scalar

    def updated(self, acceptance: Scalar, target: Scalar) -> "StepSize":
        """After one more trajectory; with the paper's gamma = 0.05, t0 = 10, kappa = 0.75."""
        count = self.count + 1
        share = 1 / (count + 10)
        error = (1 - share) * self.error + share * (target - acceptance)
        log_step = self.anchor - 20 * jnp.sqrt(count) * error
        weight = count**-0.75
        return StepSize(
            log_step=log_step,
            log_average=weight * log_step + (1 - weight) * self.log_average,
            anchor=self.anchor,
            error=error,
            count=count,
        )


def step_size(step: Scalar) -> StepSize:
    """The beginning of an adaptation: it tries twice this step first."""
    log, zero = jnp.log(step), jnp.zeros_like(step)
    return StepSize(log_step=log, log_average=log, anchor=log + jnp.log(jnp.full_like(step, 2)), error=zero, count=zero)


class Record(eqx.Module):
    """What is kept of every draw, warm-up included; zero for those to come."""

    u: Float[Array, "*n d"]
    log_density: Float[Array, "*n"]
    energy: Float[Array, "*n"]
    acceptance: Float[Array, "*n"]
    leapfrogs: Int[Array, "*n"]
    diverged: Bool[Array, "*n"]
    failed: Bool[Array, "*n"]


class Chain(eqx.Module):
    """The state of one chain: where it is, its step size, and its draws so far."""

    number: Int[Array, ""]
    u: Float[Array, " d"]
    log_density: Scalar
    gradient: Float[Array, " d"]
    step: StepSize
    record: Record


class Begin(eqx.Module):
    """A chain's first state: a draw from the Gaussian, drawn nearer to its mean as long as the simulation fails."""

    density: Density
    near: Gaussian
    key: PRNGKeyArray
    length: int = eqx.field(static=True)

    def __call__(self, number: Int[Array, ""]) -> Chain:
        mean = self.near.mean
        # the stream of numbers that no draw takes
        key = jax.random.fold_in(jax.random.fold_in(self.key, number), self.length)
        direction = jnp.linalg.cholesky(self.near.covariance) @ jax.random.normal(key, mean.shape, mean.dtype)
        look = jax.jit(jax.value_and_grad(self.density))

        def nearer(tried: tuple[Any, ...]) -> tuple[Any, ...]:
            times, *_ = tried
            far = jnp.where(times < _TRIES, 0.7**times, 0).astype(mean.dtype)
            u = mean + far * direction
            return times + 1, u, *look(u)

        begun = (jnp.asarray(0), mean, jnp.asarray(-jnp.inf, mean.dtype), jnp.zeros_like(mean))
        _, u, value, gradient = jax.lax.while_loop(
            lambda tried: ~jnp.isfinite(tried[2]) & (tried[0] <= _TRIES), nearer, begun
        )
        n, d = self.length, mean.size
        numbers = jnp.zeros(n, mean.dtype)
        flags = jnp.zeros(n, bool)
        record = Record(jnp.zeros((n, d), mean.dtype), numbers, numbers, numbers, jnp.zeros(n, jnp.int32), flags, flags)
        return Chain(number, u, value, gradient, first_step(mean), record)


def first_step(u: Float[Array, " d"]) -> StepSize:
    """Half of where a Gaussian with the metric's covariance becomes unstable, shortened with the dimension."""
    return step_size(jnp.asarray(u.size**-0.25, u.dtype))


class Advance(eqx.Module):
    """Some draws of a chain by NUTS. Which ones is data, so that segments of any length run the same program.

    A draw depends on the key, the number of the chain and its own number only, never on where segments end.
    """

    density: Density
    metric: Float[Array, "d d"]
    key: PRNGKeyArray
    first: Int[Array, ""]
    last: Int[Array, ""]
    num_warmup: Int[Array, ""]
    target: Scalar
    max_doublings: int = eqx.field(static=True)

    def __call__(self, chain: Chain) -> Chain:
        library = blackjax()
        kernel = library.nuts.build_kernel()
        key = jax.random.fold_in(self.key, chain.number)
        density = jax.jit(lambda u: self.density(u))  # traced once, where the kernel asks several times

        def draw(index: Int[Array, ""], chain: Chain) -> Chain:
            warm = index < self.num_warmup
            step = jnp.exp(jnp.where(warm, chain.step.log_step, chain.step.log_average))
            state = library.mcmc.hmc.HMCState(chain.u, chain.log_density, chain.gradient)
            state, info = kernel(jax.random.fold_in(key, index), state, density, step, self.metric, self.max_doublings)
            adapted = chain.step.updated(info.acceptance_rate.astype(step.dtype), self.target)
            ends = (info.trajectory_leftmost_state.logdensity, info.trajectory_rightmost_state.logdensity)
            row = Record(
                u=state.position,
                log_density=state.logdensity,
                energy=info.energy,
                acceptance=info.acceptance_rate,
                leapfrogs=info.num_integration_steps,
                diverged=info.is_divergent,
                failed=~jnp.isfinite(ends[0]) | ~jnp.isfinite(ends[1]),
            )
            return Chain(
                number=chain.number,
                u=state.position,
                log_density=state.logdensity,
                gradient=state.logdensity_grad,
                step=jax.tree.map(lambda new, old: jnp.where(warm, new, old), adapted, chain.step),
                record=jax.tree.map(lambda all, one: all.at[index].set(one.astype(all.dtype)), chain.record, row),
            )

        return jax.lax.fori_loop(self.first, self.last, draw, chain)


def blackjax() -> Any:
    """The module that has NUTS."""
    try:
        import blackjax
    except ImportError as error:
        raise ImportError("Sampling needs blackjax and arviz-stats: pip install 'kinax[posterior]'.") from error
    return blackjax
