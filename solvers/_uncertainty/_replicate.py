"""New data from a model, and the problem that they pose."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .._problem import is_outcome, Observed, Problem, stacked


class Replicate(eqx.Module):
    """Measurements as the model would predict them, with new noise."""

    problem: Problem

    def __call__(self, member: tuple[Float[Array, " p"], PRNGKeyArray]) -> dict[str, PyTree]:
        """By experiment: the trees that `residuals` returns, with arrays for `Observed` and None for the rest."""
        z, key = member
        trees = self.problem.predictions(z)
        keys = jax.random.split(key, len(trees))
        return {name: _drawn(tree, keys[k]) for k, (name, tree) in enumerate(trees.items())}


def _drawn(tree: PyTree, key: PRNGKeyArray) -> PyTree:
    leaves, structure = jax.tree.flatten(tree, is_leaf=is_outcome)
    return jax.tree.unflatten(structure, [_new(x, jax.random.fold_in(key, k)) for k, x in enumerate(leaves)])


def _new(leaf: Any, key: PRNGKeyArray) -> Float[Array, "..."] | None:
    if not isinstance(leaf, Observed):
        return None
    return jnp.where(leaf.present, leaf.filled().draw(key, leaf.values.shape), jnp.nan)


def remeasured(problem: Problem, measured: dict[str, PyTree]) -> Problem:
    """The problem, had these data been measured, given as `Replicate` returns them."""
    new = [stacked([measured[problem.experiments[k]] for k in group.members]) for group in problem.groups]
    return eqx.tree_at(lambda p: [g.measured for g in p.groups], problem, new, is_leaf=lambda x: x is None)
