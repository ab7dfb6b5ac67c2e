"""How a search proceeds: a method advances a state of arrays, step by step, so that it can be stored and resumed."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from .._types import AnyArray, Scalar
from ._objective import AbstractObjective, Evaluation


class FailureLog(eqx.Module):
    """Which experiments' simulations failed at trial points: how often, when, why (the code of the last reason)."""

    count: Int[Array, " experiments"]
    first_step: Int[Array, " experiments"]
    last_step: Int[Array, " experiments"]
    reason: Int[Array, " experiments"]

    @staticmethod
    def empty(num_experiments: int) -> "FailureLog":
        """Nothing has failed yet."""
        zeros = jnp.zeros(num_experiments, jnp.int32)
        return FailureLog(count=zeros, first_step=zeros, last_step=zeros, reason=zeros)

    def record(self, evaluation: Evaluation, step: Int[Array, ""]) -> "FailureLog":
        """The log with the failures of one evaluation."""
        failed = evaluation.verdicts != 0
        step = jnp.broadcast_to(step.astype(jnp.int32), failed.shape)
        return FailureLog(
            count=self.count + failed.astype(jnp.int32),
            first_step=jnp.where(failed & (self.count == 0), step, self.first_step),
            last_step=jnp.where(failed, step, self.last_step),
            reason=jnp.where(failed, evaluation.verdicts.astype(jnp.int32), self.reason),
        )


class Standing(eqx.Module):
    """Where a search stands, whatever the method.

    - `z`, `cost`: the best point so far and its cost.
    - `gradient_norm`: the largest entry of the gradient there along which the box lets the point move, times the
      coordinate's scale where the method has one.
    - `num_steps`, `num_accepted`, `num_evaluations`, `num_jacobians`: what was done; a gradient counts as a Jacobian.
    - `done`, `verdict`: whether the search has ended, and how, as a code of `RESULTS`.
    """

    z: Float[Array, " p"]
    cost: Scalar
    gradient_norm: Scalar
    num_steps: Int[Array, ""]
    num_accepted: Int[Array, ""]
    num_evaluations: Int[Array, ""]
    num_jacobians: Int[Array, ""]
    failures: FailureLog
    done: Bool[Array, ""]
    verdict: Int[Array, ""]


class SearchState(eqx.Module):
    """A search between two steps: where it stands, and what its method remembers. Arrays only."""

    standing: Standing
    memory: PyTree[Array]


class AbstractMethod(eqx.Module):
    """A way to minimize an objective. To add one, implement `init` and `step`.

    Both run under `jit` and `vmap`. A trial point whose evaluation failed must never be accepted, and is recorded in
    `standing.failures`. If the start fails, `init` returns a state that is done, with the verdict of the first
    experiment that failed.
    """

    @abc.abstractmethod
    def init(self, objective: AbstractObjective, z: Float[Array, " p"]) -> SearchState:
        """The state at the start `z`, which lies in the box."""

    @abc.abstractmethod
    def step(self, objective: AbstractObjective, state: SearchState) -> SearchState:
        """One step further, or to `standing.done`."""


def advance(
    method: AbstractMethod,
    objective: AbstractObjective,
    state: SearchState,
    num_steps: Int[AnyArray, ""] | int,
    max_steps: Int[AnyArray, ""] | int = 2**31 - 1,
) -> SearchState:
    """At most `num_steps` further steps, up to `max_steps` in all; a search that is done stays as it is."""

    last = jnp.minimum(state.standing.num_steps + num_steps, max_steps)

    def unfinished(state: SearchState) -> Bool[Array, ""]:
        return (state.standing.num_steps < last) & ~state.standing.done

    return jax.lax.while_loop(unfinished, lambda state: method.step(objective, state), state)
