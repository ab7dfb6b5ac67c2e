"""New data from a model, and the problem that they pose."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .._problem import Experiments, groups_of, Observed, Problem


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
    leaves, structure = jax.tree.flatten(tree, is_leaf=_is_whole)
    return jax.tree.unflatten(structure, [_new(x, jax.random.fold_in(key, k)) for k, x in enumerate(leaves)])


def _new(leaf: Any, key: PRNGKeyArray) -> Float[Array, "..."] | None:
    if not isinstance(leaf, Observed):
        return None
    return jnp.where(leaf.present, leaf.filled().draw(key, leaf.values.shape), jnp.nan)


def _is_whole(x: Any) -> bool:
    return isinstance(x, Observed | type(diffrax.RESULTS.successful))


@dataclasses.dataclass(frozen=True)
class _Remeasured:
    """`residuals` with other measured values."""

    residuals: Callable[[Any, Any], PyTree]

    def __call__(self, model: Any, data: tuple[PyTree, PyTree]) -> PyTree:
        given, measured = data
        put = lambda leaf, new: leaf if new is None else eqx.tree_at(lambda o: o.values, leaf, new)
        return jax.tree.map(put, self.residuals(model, given), measured, is_leaf=_is_whole)


def remeasured(problem: Problem, measured: dict[str, PyTree]) -> Problem:
    """The problem, had these data been measured, given as `Replicate` returns them."""
    data = Experiments({name: (problem.data[name], measured[name]) for name in problem.experiments})
    new = copy.copy(problem)
    for name, value in {"data": data, "groups": groups_of(data), "residuals": _Remeasured(problem.residuals)}.items():
        object.__setattr__(new, name, value)  # everything else stays as it was checked
    return new
