"""Optimizers of optax as methods, on all data or on a random part of them in each step."""

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from .._types import Scalar
from ._method import AbstractMethod, SearchState, Standing
from ._objective import AbstractDivisible, AbstractObjective, Evaluation
from ._trial import ended, gradient, improves, lenient, opening, pack, Trial, tried, unpack


class Minibatch(eqx.Module):
    """Each step sees `size` rows of the data, or as many whole experiments, if there are several.

    The rows are divided into `size` stretches of one length, from a random row on; of each, one row is drawn. All rows
    are equally likely, none comes twice, and the draw takes no longer for more data.

    - `num_steps`: the search ends after so many steps, successfully: a noisy gradient tells no convergence.
    - `key`: for the draws; every start makes the same ones.
    """

    size: int = eqx.field(static=True)
    num_steps: int = eqx.field(static=True, kw_only=True)
    key: PRNGKeyArray = eqx.field(kw_only=True)

    def __check_init__(self):
        if self.size < 1 or self.num_steps < 1:
            raise ValueError(f"Minibatch needs positive size and num_steps, not {self.size} and {self.num_steps}.")

    def draw(self, num_rows: int, step: Int[Array, ""]) -> Int[Array, " size"]:
        """The rows of a step, in ascending order; a function of the key and the number of the step alone."""
        if self.size > num_rows:
            raise ValueError(f"A minibatch of {self.size} is larger than the data, which have {num_rows} rows.")
        begin, within = jax.random.split(jax.random.fold_in(self.key, step))
        length = num_rows // self.size
        rows = jnp.arange(self.size) * length + jax.random.randint(within, (self.size,), 0, length)
        return jnp.sort((rows + jax.random.randint(begin, (), 0, num_rows)) % num_rows)


class Memory(eqx.Module):
    """The point that is tried next, the last one that did not fail, and the optimizer's state."""

    z: Float[Array, " p"]
    good: Float[Array, " p"]
    optimizer: tuple[Array, ...]


class Optax(AbstractMethod):
    r"""An optimizer of optax, projected: $z \leftarrow \Pi(z + \mathrm{update}(\Pi_T \nabla c))$.

    $\Pi$ is the projection onto the box, and $\Pi_T$ drops the entries of the gradient that push out of it, so a bound
    is met exactly, and left again when the gradient turns. Learning rates are in units of the coordinates. Where the
    simulation fails, the point moves half-way back to the last one that did not fail, and the optimizer waits.

    - `optimizer`: any, also those that need the cost itself (`optax.lbfgs()`).
    - `gtol`: the search ends where no free entry of the gradient is larger.
    - `minibatch`: draws a part of the data for each step. The cost and gradient of the part are scaled to stand for all
        of the data, and the last point counts instead of the best one; on the way its cost is that estimate, at the
        last step that on all data. Then `gtol` is not used.
    """

    optimizer: optax.GradientTransformation
    gtol: float = eqx.field(static=True, default=1e-6)
    minibatch: Minibatch | None = None

    def init(self, objective: AbstractObjective, z: Float[Array, " p"]) -> SearchState:
        """The state at the start `z`."""
        start = Trial.of(objective, z)
        memory = Memory(z=z, good=z, optimizer=pack(self.optimizer.init(z)))
        return SearchState(standing=opening(objective, start, num_jacobians=1), memory=memory)

    def step(self, objective: AbstractObjective, state: SearchState) -> SearchState:
        """One evaluation and update."""
        memory, standing = state.memory, state.standing
        part = self._part(objective, standing.num_steps)
        trial = Trial.of(part, memory.z)
        failed = trial.evaluation.failed
        following, optimizer, searched = self._update(part, trial, memory)
        accepted = improves(standing, trial) if self.minibatch is None else ~failed
        counts = {"num_evaluations": 1 + searched, "num_jacobians": searched + jnp.where(failed, 0, 1)}
        standing = tried(objective, standing, trial, accepted, **counts)
        choose = lambda new, old: jax.tree.map(lambda a, b: jnp.where(failed, b, a).astype(b.dtype), new, old)
        memory = Memory(
            z=choose(following, (memory.z + memory.good) / 2),
            good=choose(memory.z, memory.good),
            optimizer=choose(optimizer, memory.optimizer),
        )
        return SearchState(standing=self._judged(objective, standing, trial), memory=memory)

    def _part(self, objective: AbstractObjective, step: Int[Array, ""]) -> AbstractObjective:
        """The objective of this step."""
        if self.minibatch is None:
            return objective
        if not isinstance(objective, AbstractDivisible):
            raise ValueError(f"{type(objective).__name__} cannot be divided into minibatches.")
        return objective.subset(self.minibatch.draw(objective.num_rows, step))

    def _update(
        self, part: AbstractObjective, trial: Trial, memory: Memory
    ) -> tuple[Float[Array, " p"], tuple[Array, ...], Int[Array, ""]]:
        """The next point, the optimizer's state, and how often its line search evaluated."""
        slope = jnp.where(part.free(trial.z, trial.gradient), trial.gradient, 0)
        optimizer = optax.with_extra_args_support(self.optimizer)
        old = unpack(eqx.filter_eval_shape(self.optimizer.init, trial.z), memory.optimizer)
        value_fn = lambda z: _cost(z, part)
        with lenient():
            cost = trial.evaluation.cost
            update, new = optimizer.update(slope, old, trial.z, value=cost, grad=slope, value_fn=value_fn)
        z = jnp.clip(trial.z + jnp.asarray(update, trial.z.dtype), part.lower, part.upper)
        searched = optax.tree_utils.tree_get(new, "num_linesearch_steps", 0)
        return z, pack(new), jnp.asarray(searched, jnp.int32)

    def _judged(self, objective: AbstractObjective, standing: Standing, trial: Trial) -> Standing:
        """With whether the search is over."""
        failed = trial.evaluation.failed
        if self.minibatch is None:
            flat = ~failed & (standing.gradient_norm <= self.gtol)  # at the best point, wherever the optimizer is
            return ended(standing, flat, jnp.zeros((), jnp.int32))
        over = standing.num_steps >= self.minibatch.num_steps
        unknown = Evaluation(cost=standing.cost, verdicts=jnp.zeros_like(trial.evaluation.verdicts))
        whole = jax.lax.cond(over, lambda: objective.evaluate(standing.z), lambda: unknown)
        standing = eqx.tree_at(
            lambda s: (s.cost, s.num_evaluations),
            standing,
            (whole.cost, standing.num_evaluations + over.astype(jnp.int32)),
        )
        return ended(standing, over, whole.first_failure)


@eqx.filter_custom_jvp
def _cost(z: Float[Array, " p"], objective: AbstractObjective) -> Scalar:
    """The cost of the point in the box that is nearest to `z`."""
    return objective.evaluate(jnp.clip(z, objective.lower, objective.upper)).cost


@_cost.def_jvp
def _cost_jvp(primals, tangents):
    z, objective = primals
    nearest = jnp.clip(z, objective.lower, objective.upper)
    evaluation = objective.evaluate(nearest)
    slope = jnp.where(z == nearest, gradient(objective, nearest, evaluation), 0)
    return evaluation.cost, slope @ tangents[0]
