"""What `residuals` returns, as terms of the cost: channels that the model drives, with slope and curvature."""

import abc
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
from jax.extend.core import Jaxpr
from jax.interpreters.partial_eval import dce_jaxpr
from jaxtyping import Array, Bool, Float, Int, PyTree

from .._codes import code_of, promoted
from .._results import RESULTS
from .._tree import is_float, leaf_name
from .._types import AbstractVar, Scalar
from ._loss import AbstractLoss
from ._measurement import Observed


class AbstractTerm(eqx.Module):
    """A part of the cost, as a function of a few arrays (the channels) that depend on the parameters."""

    channels: AbstractVar[PyTree[Float[Array, "..."]]]

    @abc.abstractmethod
    def cost(self, channels: PyTree[Float[Array, "..."]]) -> Scalar:
        """The cost, if the channels had these values."""

    @abc.abstractmethod
    def curvature(self) -> PyTree[Float[Array, "..."]]:
        """A non-negative curvature of the cost for every number in the channels: the Fisher information, say."""

    @property
    @abc.abstractmethod
    def num_data(self) -> Int[Array, ""]:
        """How many data it has."""


class PlainTerm(AbstractTerm):
    """Residuals that count by a loss."""

    channels: Float[Array, "..."]
    loss: AbstractLoss

    def cost(self, channels):
        """Half the sum of rho(r^2)."""
        return 0.5 * jnp.sum(self.loss.rho(channels**2))

    def curvature(self):
        """The second derivative in r, but at least a tenth of the slope over r where an outlier bends it down."""
        s = self.channels**2
        slope = lambda s: jax.grad(lambda s: jnp.sum(self.loss.rho(s)))(s)
        first, second = jax.jvp(slope, (s,), (jnp.ones_like(s),))
        return jnp.maximum(first + 2 * second * s, 0.1 * first)

    @property
    def num_data(self):
        """All of them."""
        return jnp.asarray(self.channels.size)


class ObservedTerm(AbstractTerm):
    """Measurements: the channels are the predicted distribution's fields."""

    channels: PyTree[Float[Array, "..."]]
    observed: Observed

    def cost(self, channels):
        """Minus the logarithm of the likelihood."""
        return -jnp.sum(eqx.tree_at(lambda o: o.distribution, self.observed, channels).log_likelihood())

    def curvature(self):
        """The Fisher information; of censored data the observed curvature, where positive."""
        o = self.observed
        noise = o.filled()
        per_datum = jax.tree.map(lambda x: jnp.broadcast_to(x, o.values.shape), noise.information())
        if o.below is not None or o.above is not None:
            censored = jnp.zeros(o.values.shape, bool)
            for flags in (o.below, o.above):
                censored = censored if flags is None else censored | flags
            full = eqx.tree_at(lambda o: o.distribution, o, noise)
            per_datum = jax.tree.map(lambda a, b: jnp.where(censored, a, b), _diagonal(full), per_datum)
        return jax.tree.map(lambda info, field: _sum_to(jnp.where(o.present, info, 0), field), per_datum, self.channels)

    @property
    def num_data(self):
        """Those that were measured."""
        return jnp.sum(self.observed.present)


def _diagonal(observed: Observed) -> PyTree[Float[Array, "..."]]:
    """The second derivative of each datum's cost in each field by itself, where positive."""
    fields, structure = jax.tree.flatten(observed.distribution)

    def slope(number: int, field: Array) -> Array:
        def cost(field: Array) -> Scalar:
            new = jax.tree.unflatten(structure, [*fields[:number], field, *fields[number + 1 :]])
            return -jnp.sum(eqx.tree_at(lambda o: o.distribution, observed, new).log_likelihood())

        return jax.grad(cost)(field)

    curved = [jax.jvp(lambda x, k=k: slope(k, x), (f,), (jnp.ones_like(f),))[1] for k, f in enumerate(fields)]
    return jax.tree.unflatten(structure, [jnp.maximum(x, 0) for x in curved])


def _sum_to(x: Float[Array, "..."], like: Float[Array, "..."]) -> Float[Array, "..."]:
    """The sum over the axes along which `like` would be broadcast to `x`."""
    spread = lambda small: jnp.broadcast_to(small, x.shape)
    return jax.linear_transpose(spread, jax.ShapeDtypeStruct(like.shape, x.dtype))(x)[0]


_Item = type(diffrax.RESULTS.successful)


def _is_item(x: Any) -> bool:
    return isinstance(x, _Item)


def is_outcome(x: Any) -> bool:
    """Whether a part of what `residuals` returned is one thing, though made of several arrays."""
    return isinstance(x, Observed) or _is_item(x)


def terms_of(tree: PyTree, loss: AbstractLoss, dtype: Any) -> tuple[AbstractTerm, ...]:
    """The terms of what `residuals` returned, in the precision of the coordinates."""
    terms: list[AbstractTerm] = []
    leaves = jtu.tree_leaves_with_path(tree, is_leaf=is_outcome)
    for path, leaf in leaves:
        if isinstance(leaf, Observed):
            leaf = jax.tree.map(lambda x: x.astype(dtype) if is_float(x) else x, leaf)
            # a prediction at a padded time may be NaN, and so may its derivative: neither is a channel
            hide = lambda f, o=leaf: jnp.where(o.present, f, 1) if f.shape == o.values.shape else f
            terms.append(ObservedTerm(channels=jax.tree.map(hide, leaf.distribution), observed=leaf))
        elif not _is_item(leaf):
            _check_residuals(leaf, leaf_name(path, "residuals"))
            terms.append(PlainTerm(channels=leaf.astype(dtype), loss=loss))
    if not sum(jnp.size(x) for term in terms for x in jax.tree.leaves(term.channels)):
        raise ValueError(f"residuals(model, data) returned {tree!r}, which holds no number: return an array.")
    return tuple(terms)


def refuse_driven_values(jaxpr: Jaxpr, shapes: PyTree) -> None:
    """Refuse a program, of coordinates only, in which the values of an `Observed` among its results depend on them.

    Only the fields of the distribution are channels: the cost's derivative would miss the rest.
    """
    is_observed = lambda x: isinstance(x, Observed)
    nothing = jax.tree.map(lambda _: False, shapes)
    mark = lambda x: eqx.tree_at(lambda o: o.values, x, True) if is_observed(x) else x
    wanted = jax.tree.leaves(jax.tree.map(mark, nothing, is_leaf=is_observed))
    uses = lambda wanted: dce_jaxpr(jaxpr, wanted)[1][0]
    if uses(wanted) and not uses([False] * len(wanted)):  # what has a side effect counts as used
        raise ValueError(
            "residuals(model, data) returns an Observed whose `values` depend on the parameters. They are the data; "
            "put the prediction into the distribution: Observed(data, Normal(predicted, sd)), not "
            "Observed(data - predicted, Normal(0, sd))."
        )


def _check_residuals(leaf: Any, name: str) -> None:
    if not is_float(leaf) or jnp.iscomplexobj(leaf):
        kind = getattr(leaf, "dtype", type(leaf).__name__)
        raise ValueError(
            f"{name} is of type {kind}, but must be an array of real floats (or `Observed(values, distribution)`): "
            "split complex ones into real and imaginary parts, convert integers."
        )


def verdict_of(tree: PyTree, finite: Bool[Array, ""]) -> Int[Array, ""]:
    """How the simulation ended: the first `RESULTS` item in the tree that reports a failure, or numbers not finite."""
    code = jnp.where(finite, 0, code_of(RESULTS.nonfinite_residuals))
    for item in reversed(jax.tree.leaves(tree, is_leaf=_is_item)):
        if _is_item(item):
            item = item if isinstance(item, RESULTS) else promoted(item)
            fine = (item == RESULTS.successful) | (item == RESULTS.event_occurred)
            code = jnp.where(fine, code, code_of(item))
    return code
