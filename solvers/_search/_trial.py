"""A trial point of a first-order method, and what it does to where the search stands."""

import contextlib

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PyTree

from .._types import Scalar
from ._method import FailureLog, Standing
from ._objective import AbstractObjective, Evaluation


class Trial(eqx.Module):
    """A point, its evaluation, and the gradient there; zero where the evaluation failed, NaN if not asked for."""

    z: Float[Array, " p"]
    evaluation: Evaluation
    gradient: Float[Array, " p"]

    @staticmethod
    def of(objective: AbstractObjective, z: Float[Array, " p"]) -> "Trial":
        """The point `z`; a failure too where the gradient is not finite: zero would look like an optimum."""
        evaluation = objective.evaluate(z)
        found = _slope(objective, z, evaluation)
        sane = jnp.all(jnp.isfinite(found))
        evaluation = Evaluation(jnp.where(sane, evaluation.cost, jnp.inf), evaluation.verdicts)
        return Trial(z, evaluation, jnp.where(sane, found, 0))


def gradient(objective: AbstractObjective, z: Float[Array, " p"], evaluation: Evaluation) -> Float[Array, " p"]:
    """The gradient, zero where the evaluation failed or the gradient is not finite."""
    found = _slope(objective, z, evaluation)
    return jnp.where(jnp.all(jnp.isfinite(found)), found, 0)


def _slope(objective: AbstractObjective, z: Float[Array, " p"], evaluation: Evaluation) -> Float[Array, " p"]:
    return jax.lax.cond(evaluation.failed, lambda: jnp.zeros_like(z), lambda: objective.gradient(z))


def slope_left(objective: AbstractObjective, trial: Trial) -> Scalar:
    """The largest entry of the gradient along which the box lets the point move."""
    free = objective.free(trial.z, trial.gradient)
    return jnp.max(jnp.where(free, jnp.abs(trial.gradient), 0), initial=0)


def opening(objective: AbstractObjective, trial: Trial, num_jacobians: int) -> Standing:
    """Where a search stands at its start."""
    zero, evaluation = jnp.asarray(0, jnp.int32), trial.evaluation
    return Standing(
        z=trial.z,
        cost=evaluation.cost,
        gradient_norm=slope_left(objective, trial),
        num_steps=zero,
        num_accepted=zero,
        num_evaluations=jnp.asarray(1, jnp.int32),
        num_jacobians=jnp.asarray(num_jacobians, jnp.int32),
        failures=FailureLog.empty(evaluation.verdicts.size).record(evaluation, zero),
        done=evaluation.failed,
        verdict=evaluation.first_failure,
    )


def improves(standing: Standing, trial: Trial) -> Bool[Array, ""]:
    """Whether it is the best point so far."""
    return ~trial.evaluation.failed & (trial.evaluation.cost < standing.cost)


def tried(
    objective: AbstractObjective,
    standing: Standing,
    trial: Trial,
    accepted: Bool[Array, ""],
    *,
    num_evaluations: Int[Array, ""] | int,
    num_jacobians: Int[Array, ""] | int,
) -> Standing:
    """Where the search stands after a step that tried this point."""
    choose = lambda new, old: jnp.where(accepted, new, old)
    num_steps = standing.num_steps + 1
    return Standing(
        z=choose(trial.z, standing.z),
        cost=choose(trial.evaluation.cost, standing.cost),
        gradient_norm=choose(slope_left(objective, trial), standing.gradient_norm),
        num_steps=num_steps,
        num_accepted=standing.num_accepted + accepted.astype(jnp.int32),
        num_evaluations=standing.num_evaluations + jnp.asarray(num_evaluations, jnp.int32),
        num_jacobians=standing.num_jacobians + jnp.asarray(num_jacobians, jnp.int32),
        failures=standing.failures.record(trial.evaluation, num_steps),
        done=standing.done,
        verdict=standing.verdict,
    )


def ended(standing: Standing, done: Bool[Array, ""], verdict: Int[Array, ""]) -> Standing:
    """The same, with how the search ended if it is done."""
    verdict = jnp.where(done, verdict, 0).astype(jnp.int32)
    return eqx.tree_at(lambda s: (s.done, s.verdict), standing, (done, verdict))


@contextlib.contextmanager
def lenient():
    """Optax's formulas mix integers with floats, which strict promotion refuses."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def pack(tree: PyTree) -> tuple[Array, ...]:
    """The arrays of a PyTree, random keys as numbers."""
    is_key = lambda x: jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return tuple(
        jax.random.key_data(x) if is_key(x) else jnp.asarray(x) for x in jax.tree.leaves(eqx.filter(tree, eqx.is_array))
    )


def unpack(template: PyTree, arrays: tuple[Array, ...]) -> PyTree:
    """A PyTree like `template` (which may hold shapes for arrays) with these arrays."""
    is_array = lambda x: eqx.is_array(x) or isinstance(x, jax.ShapeDtypeStruct)
    shapes, rest = eqx.partition(template, is_array)
    leaves, structure = jax.tree.flatten(shapes)

    def restored(shape, array):
        if jnp.issubdtype(shape.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(array, impl=jax.random.key_impl(shape))
        return array

    return eqx.combine(
        jax.tree.unflatten(structure, [restored(s, x) for s, x in zip(leaves, arrays, strict=True)]), rest
    )
