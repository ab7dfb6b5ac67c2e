"""Steps whose equations may have no solution: what failed takes no part in derivatives."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
from jaxtyping import Array, Bool

from .._derived import with_derivative
from .._tree import all_finite


def guarded(step: Callable[[Any], Any], state: Any) -> Any:
    """`step(state)`, with zeros for the derivative where its value is not finite.

    The derivatives of what failed are not finite either, and a linear solve that meets them raises, for a whole batch.
    """
    return _guarded(eqx.filter_closure_convert(step, state), state)


@eqx.filter_custom_jvp
def _guarded(step, state):
    return step(state)


@_guarded.def_jvp
def _guarded_jvp(primals, tangents):
    moves = jax.tree.map(lambda t: t is not None, tangents, is_leaf=lambda t: t is None)
    moving, still = eqx.partition(primals, moves)

    def outcome(moving):
        step, state = eqx.combine(moving, still)
        return step(state)

    end, push = jax.linearize(outcome, moving)
    good = all_finite(end)
    return end, push(jax.tree.map(lambda t: jnp.where(good, t, 0), tangents))


def solution(fn: Callable[[Array], Array], x: Array, good: Bool[Array, ""]) -> Array:
    """`x`, which was found to solve fn(x) = 0 where `good`, with the derivative of a solution there."""
    # elsewhere x = 0, so that the derivative is one of an equation that has it
    zero = eqx.filter_closure_convert(lambda x, good: jnp.where(good, fn(x), x), x, good)
    found = with_derivative(jnp.where(good, x, 0), _implicit_function, (zero, good))
    return jnp.where(good, found, 0)  # no derivative that is not finite comes back here


def _implicit_function(x, problem, change):
    zero, good = problem
    _, moved = eqx.filter_jvp(lambda problem: problem[0](x, problem[1]), (problem,), (change,))
    operator = lx.JacobianLinearOperator(lambda x, _: zero(x, good), x)
    return -lx.linear_solve(operator, moved, lx.AutoLinearSolver(well_posed=True), throw=False).value


def frozen(fn: Callable[[Array], Any], x: Array) -> Callable[[Array], Any]:
    """The function, with nothing to differentiate in it but its argument."""
    constant = lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_inexact_array(leaf) else leaf
    return jax.tree.map(constant, eqx.filter_closure_convert(fn, x))
