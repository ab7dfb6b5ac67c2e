"""Minimisers of optimistix that choose themselves where and how often to evaluate, as methods."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Bool, Float, Int, PyTree

from .._codes import code_of
from .._results import RESULTS
from .._types import Scalar
from ._boxed import Boxed
from ._method import AbstractMethod, SearchState, Standing
from ._objective import AbstractObjective, Evaluation
from ._trial import ended, gradient, improves, lenient, opening, pack, Trial, tried, unpack


class Seen(eqx.Module):
    """What an evaluation leaves behind; solvers that have evaluated nothing yet hand out zeros instead."""

    z: Float[Array, " p"]
    evaluation: Evaluation
    any: Bool[Array, ""]


class Memory(eqx.Module):
    """The solver's point and its state; the cost at which it last began anew."""

    u: Float[Array, " p"]
    solver: tuple[Array, ...]
    restarted: Scalar


class OpaqueMinimiser(AbstractMethod):
    """Any minimiser of optimistix, such as `NelderMead`, `OptaxMinimiser` or `GoldenSearch`.

    They know no bounds and search in the coordinates of `Unconstrained`; `GoldenSearch` needs a problem with a single
    coordinate and two finite bounds, and searches between these. Since simplices collapse, `NelderMead` begins anew at
    its best point until that no longer lowers the cost. A failure is recorded if the step reports it: those in a line
    search, in the first simplex and when a simplex shrinks only cost their penalty. The gradient is not looked at: the
    standing's is NaN.
    """

    solver: optx.AbstractMinimiser

    def init(self, objective: AbstractObjective, z: Float[Array, " p"]) -> SearchState:
        """The state at the start `z`."""
        start = Trial(z=z, evaluation=objective.evaluate(z), gradient=jnp.full_like(z, jnp.nan))
        standing = _without_gradient(opening(objective, start, num_jacobians=0))
        u = jnp.zeros_like(z) if self._is_golden else Boxed(objective.lower, objective.upper).to_u(z)
        memory = Memory(u=u, solver=pack(self._first(objective, u)), restarted=jnp.full_like(standing.cost, jnp.inf))
        return SearchState(standing=standing, memory=memory)

    def step(self, objective: AbstractObjective, state: SearchState) -> SearchState:
        """A step of the solver."""
        memory, rest = state.memory, (objective, self._options(objective))
        old = unpack(eqx.filter_eval_shape(self._first, objective, memory.u), memory.solver)
        with lenient():
            y, new, seen = self.solver.step(self._fn, self._to_y(memory.u), *rest, old, frozenset())
            over, result = self.solver.terminate(self._fn, y, *rest, new, frozenset())
        u = self._to_u(y)
        promoted = RESULTS.promote(optx.RESULTS.nonfinite)
        verdict = code_of(RESULTS.where(jnp.all(jnp.isfinite(u)), RESULTS.promote(result), promoted))

        cost = jnp.where(seen.any, seen.evaluation.cost, state.standing.cost)
        evaluation = Evaluation(cost=cost, verdicts=seen.evaluation.verdicts)
        trial = Trial(z=seen.z, evaluation=evaluation, gradient=jnp.full_like(seen.z, jnp.nan))
        better, counts = improves(state.standing, trial), self._counts(old, new, seen)
        standing = tried(objective, state.standing, trial, better, **counts)
        over = over | (verdict != 0)
        again = over & self._is_simplex & (standing.cost < memory.restarted)
        restart = Boxed(objective.lower, objective.upper).to_u(standing.z)
        fresh = Memory(u=restart, solver=pack(self._first(objective, restart)), restarted=standing.cost)
        moved = Memory(u=u, solver=pack(new), restarted=memory.restarted)
        choose = lambda a, b, old: jnp.where(again, a, b).astype(old.dtype)
        standing = ended(_without_gradient(standing), over & ~again, verdict)
        return SearchState(standing=standing, memory=jax.tree.map(choose, fresh, moved, memory))

    @property
    def _is_simplex(self) -> bool:
        return isinstance(self.solver, optx.NelderMead)

    @property
    def _is_golden(self) -> bool:
        return isinstance(self.solver, optx.GoldenSearch)

    def _options(self, objective: AbstractObjective) -> dict[str, Any]:
        if not self._is_golden:
            return {}
        if objective.lower.shape != (1,):
            raise ValueError(f"GoldenSearch minimizes over one coordinate, but there are {objective.lower.size}.")
        # From zero: optimistix 0.1.0 places its first point as if the lower end were there.
        return {"lower": jnp.zeros((), objective.lower.dtype), "upper": (objective.upper - objective.lower)[0]}

    def _to_y(self, u: Float[Array, " p"]) -> PyTree[Float[Array, "..."]]:
        """As the solver takes it: optimistix 0.1.0's first simplex is degenerate for vectors, but not for scalars."""
        return tuple(u) if self._is_simplex else u[0] if self._is_golden else u

    def _to_u(self, y: PyTree[Float[Array, "..."]]) -> Float[Array, " p"]:
        return jnp.concatenate([jnp.atleast_1d(x) for x in jax.tree.leaves(y)])

    def _fn(self, y: PyTree[Float[Array, "..."]], objective: AbstractObjective) -> tuple[Scalar, Seen]:
        return _cost(self._to_u(y), objective, self._is_golden)

    def _first(self, objective: AbstractObjective, u: Float[Array, " p"]) -> PyTree:
        y = self._to_y(u)
        f_struct, aux_struct = eqx.filter_eval_shape(self._fn, y, objective)
        return self.solver.init(self._fn, y, objective, self._options(objective), f_struct, aux_struct, frozenset())

    def _counts(self, old: PyTree, new: PyTree, seen: Seen) -> dict[str, Int[Array, ""] | int]:
        """How many evaluations and gradients a step took."""
        one = seen.any.astype(jnp.int32)
        if self._is_simplex:  # two vertices in each step, and all of a simplex that shrinks
            shrunk = (new.stats.n_shrink - old.stats.n_shrink).astype(jnp.int32)
            return {"num_evaluations": 2 * one + shrunk * new.f_simplex.size, "num_jacobians": 0}
        return {"num_evaluations": one, "num_jacobians": int(isinstance(self.solver, optx.OptaxMinimiser))}


def _without_gradient(standing: Standing) -> Standing:
    return eqx.tree_at(lambda s: s.gradient_norm, standing, jnp.full_like(standing.cost, jnp.nan))


def _place(u: Float[Array, " p"], objective: AbstractObjective, golden: bool):
    if golden:
        return jnp.clip(objective.lower + u, objective.lower, objective.upper), jnp.ones_like(objective.lower)
    return Boxed(objective.lower, objective.upper).place(u)


@eqx.filter_custom_jvp
def _cost(u: Float[Array, " p"], objective: AbstractObjective, golden: bool) -> tuple[Scalar, Seen]:
    z, _ = _place(u, objective, golden)
    evaluation = objective.evaluate(z)
    return evaluation.cost, Seen(z=z, evaluation=evaluation, any=jnp.asarray(True))


@_cost.def_jvp
def _cost_jvp(primals, tangents):
    u, objective, golden = primals
    cost, seen = _cost(u, objective, golden)
    z, slope = _place(u, objective, golden)
    change = jnp.sum(gradient(objective, z, seen.evaluation) * slope * tangents[0])
    still = jax.tree.map(lambda x: jnp.zeros_like(x) if eqx.is_inexact_array(x) else None, seen)
    return (cost, seen), (change, still)
