"""Parameters of unlike pairs, from tables by species."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp


class AbstractMixing(eqx.Module):
    """How the parameters of an unlike pair follow from those of its species."""

    @abc.abstractmethod
    def length(self, first: Any, second: Any) -> Any:
        """The length of the pair from the two species' lengths."""

    @abc.abstractmethod
    def strength(self, first: Any, second: Any) -> Any:
        """The energy (or any other amplitude) of the pair from the two species' ones."""


class LorentzBerthelot(AbstractMixing):
    r"""Lengths by the arithmetic mean, energies by the geometric mean."""

    def length(self, first: Any, second: Any) -> Any:
        """(a + b) / 2."""
        return (first + second) / 2

    def strength(self, first: Any, second: Any) -> Any:
        """sqrt(a b)."""
        return geometric_mean(first, second)


class Geometric(AbstractMixing):
    """Lengths and energies by the geometric mean."""

    def length(self, first: Any, second: Any) -> Any:
        """sqrt(a b)."""
        return geometric_mean(first, second)

    def strength(self, first: Any, second: Any) -> Any:
        """sqrt(a b)."""
        return geometric_mean(first, second)


def geometric_mean(first: Any, second: Any) -> Any:
    """sqrt(a b), with a finite derivative also where both are 0."""
    nothing = (first == 0) & (second == 0)
    return jnp.where(nothing, (first + second) / 2, jnp.sqrt(jnp.where(nothing, 1, first * second)))


def lookup(table: Any, rule: Any, a: Any, b: Any) -> Any:
    """The parameter of a pair of species: a number for all, one per species (mixed by `rule`), or one per pair."""
    if jnp.ndim(table) == 0:
        return table
    if jnp.ndim(table) == 1:
        return rule(_row(table, a), _row(table, b))
    return _row(table.reshape(-1), a * table.shape[1] + b)


def _row(table: Any, index: Any) -> Any:
    return table.at[index].get(mode="promise_in_bounds")
