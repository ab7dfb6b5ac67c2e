"""What a problem computes: the numbers that its cost depends on, as a function of coordinates, traced once."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from ._experiments import Group
from ._layout import Layout
from ._loss import AbstractLoss
from ._terms import AbstractTerm, is_outcome, terms_of, verdict_of
from ._tracing import explained


class Part(eqx.Module):
    """What became of a group of experiments (or of a single one): terms, cost and verdict of each."""

    terms: tuple[AbstractTerm, ...]
    cost: Float[Array, "..."]
    verdict: Int[Array, "..."]


class Formula(eqx.Module):
    """The residuals of a model with parameters, on data; `drawn` are the numbers of a minibatch's experiments.

    The function of the user's is traced once for each structure: whatever differentiates or batches the formula, in
    whichever program, transforms what was traced then.
    """

    layout: Layout
    groups: tuple[Group, ...]
    loss: AbstractLoss
    drawn: Int[Array, " n"] | None
    residuals: Callable[[Any, Any], PyTree] = eqx.field(static=True)

    def __call__(self, z: Float[Array, " p"]) -> tuple[Float[Array, " n"], tuple[Part, ...]]:
        """Everything that the cost depends on through the model, flat; and what became of it, group by group."""
        return _traced_once(self, z)

    def predictions(self, z: Float[Array, " p"]) -> dict[str, PyTree]:
        """What `residuals` returns at `z`, by experiment."""
        values, names = self.layout.by_name(z), self.layout.experiments
        trees = {}
        for group in self.groups:
            for position, number in enumerate(group.members):
                model = self.layout.model_with(self.layout.of_experiment(values, number))
                one = group if group.is_single else _member(group, position)
                trees[names[number]] = self._tree(model, one.data, one.measured)
        return {name: trees[name] for name in names}

    def _group(self, group: Group, values: dict[str, Array]) -> tuple[Float[Array, "..."], Part]:
        def one(number: Any, data: PyTree, measured: PyTree):
            model = self.layout.model_with(self.layout.of_experiment(values, number))
            tree = self._tree(model, data, measured)
            terms = terms_of(tree, self.loss, jnp.result_type(float))
            flat = jnp.concatenate([jnp.ravel(x) for term in terms for x in jax.tree.leaves(term.channels)])
            cost = jnp.asarray(sum(term.cost(term.channels) for term in terms))
            verdict = verdict_of(tree, jnp.isfinite(flat).all() & jnp.isfinite(cost))
            return flat, Part(terms=terms, cost=cost, verdict=verdict)

        if group.is_single:
            return one(group.members[0], group.data, group.measured)
        numbers = jnp.asarray(group.members) if self.drawn is None else self.drawn
        return eqx.filter_vmap(one, in_axes=(0, eqx.if_array(0), 0))(numbers, group.data, group.measured)

    def _tree(self, model: PyTree, data: PyTree, measured: PyTree) -> PyTree:
        """What `residuals` returns, with other measured values if there are any."""
        with explained():
            tree = self.residuals(model, data)
        if measured is None:
            return tree
        put = lambda leaf, new: leaf if new is None else eqx.tree_at(lambda o: o.values, leaf, new)
        return jax.tree.map(put, tree, measured, is_leaf=is_outcome)


@eqx.filter_jit
def _traced_once(formula: Formula, z: Float[Array, " p"]) -> tuple[Float[Array, " n"], tuple[Part, ...]]:
    values = formula.layout.by_name(z)
    flat, parts = zip(*(formula._group(group, values) for group in formula.groups), strict=True)
    return jnp.concatenate([jnp.ravel(x) for x in flat]), parts


def _member(group: Group, position: int) -> Group:
    return jax.tree.map(lambda x: x[position] if eqx.is_array(x) else x, group)
