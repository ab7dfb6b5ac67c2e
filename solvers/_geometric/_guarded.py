"""Steps whose equations may have no solution: what failed takes no part in derivatives."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import optimistix as optx
from jaxtyping import Array, Bool

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
    zero = lambda x, _: jnp.where(good, fn(x), x)
    found = optx.root_find(
        zero,
        _Found(),
        jnp.where(good, jax.lax.stop_gradient(x), 0),
        adjoint=optx.ImplicitAdjoint(linear_solver=lx.AutoLinearSolver(well_posed=True)),
        throw=False,
    )
    return jnp.where(good, found.value, 0)  # no derivative that is not finite comes back here


def frozen(fn: Callable[[Array], Any], x: Array) -> Callable[[Array], Any]:
    """The function, with nothing to differentiate in it but its argument."""
    constant = lambda leaf: jax.lax.stop_gradient(leaf) if eqx.is_inexact_array(leaf) else leaf
    return jax.tree.map(constant, eqx.filter_closure_convert(fn, x))


class _Found(optx.AbstractRootFinder):
    """Nothing is left to do."""

    rtol: Any = 0.0
    atol: Any = 0.0
    norm: Callable[[Any], Any] = optx.max_norm

    def init(self, fn, y, args, options, f_struct, aux_struct, tags):
        return jnp.asarray(0)

    def step(self, fn, y, args, options, state, tags):
        # Never taken. But JAX drops custom rules from a scan that is differentiated twice in reverse mode; a loop that
        # holds the equation is refused there, one without it would have the derivative zero.
        residual, aux = fn(y, args)
        return y - residual, state, aux

    def terminate(self, fn, y, args, options, state, tags):
        return jnp.asarray(True), optx.RESULTS.successful

    def postprocess(self, fn, y, aux, args, options, state, tags, result):
        return y, aux, {}
