"""The base of pair potentials, and how they add."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array

from ...solvers import parameter
from .._gathered import AbstractGathered
from .._potential import AbstractPotential, Sum
from ._cutoff import AbstractCutoff
from ._engine import pair_energy, pair_force, pair_virial


class AbstractPair(AbstractGathered):
    r"""A potential that is a sum over pairs, $\sum_{i<j} u(r_{ij}^2, a_i, a_j)$: write `energy` and `reach`, no more.

    Forces, stress and all derivatives follow. Two atoms on one point give whatever u gives there, usually infinity or
    NaN, which runs report.
    """

    @abc.abstractmethod
    def energy(self, r2: Any, a: Any, b: Any) -> Any:
        """Energy of one pair at the squared distance `r2`, of species `a` and `b`; 0 from `reach` on."""

    def sum_energy(self, space: Any, position: Any, species: Any, neighbors: Any) -> Array:
        """Sum over the pairs."""
        return pair_energy(self, space, position, species, neighbors)

    def sum_force(self, space: Any, position: Any, species: Any, neighbors: Any, strain: Any = None) -> Array:
        """Force on each atom, gathered from its neighbors."""
        return pair_force(self, space, position, species, neighbors, strain)

    def sum_virial(self, space: Any, position: Any, species: Any, neighbors: Any) -> Array:
        """Sum over the pairs."""
        return pair_virial(self, space, position, species, neighbors)

    def __add__(self, other: AbstractPotential) -> AbstractPotential:
        """The sum; of two pair potentials a pair potential."""
        if isinstance(other, AbstractPair):
            return PairSum(terms=(self, other))
        return Sum.of(self, other) if isinstance(other, AbstractPotential) else NotImplemented

    def __mul__(self, factor: Any) -> AbstractPotential:
        """The multiple, again a pair potential."""
        return PairScaled(factor=factor, pair=self)

    __rmul__ = __mul__


class PairSum(AbstractPair):
    """The sum of pair potentials, evaluated in one loop over the neighbors."""

    terms: tuple[AbstractPair, ...]

    @property
    def reach(self) -> Any:
        """The largest of the terms' reaches."""
        return jnp.max(jnp.stack([term.reach for term in self.terms]))

    def energy(self, r2: Any, a: Any, b: Any) -> Any:
        """The sum of the terms."""
        return sum((term.energy(r2, a, b) for term in self.terms[1:]), self.terms[0].energy(r2, a, b))


class PairScaled(AbstractPair):
    """A pair potential times a number."""

    pair: AbstractPair
    factor: Any = parameter()

    @property
    def reach(self) -> Any:
        """That of the pair potential."""
        return self.pair.reach

    def energy(self, r2: Any, a: Any, b: Any) -> Any:
        """The factor times the energy."""
        return self.factor * self.pair.energy(r2, a, b)


class AbstractCurve(AbstractPair):
    """A pair potential given by a curve without an end, and a cutoff that ends it.

    `tables` names the fields that are one number, one number per species (mixed by `mixing`), or one per pair of
    species: a symmetric (s, s) matrix.
    """

    tables: ClassVar[tuple[str, ...]]
    cutoff: eqx.AbstractVar[AbstractCutoff]

    @abc.abstractmethod
    def curve(self, r2: Any, a: Any, b: Any) -> Any:
        """The energy before it is cut off."""

    @property
    def reach(self) -> Any:
        """The radius of the cutoff."""
        return self.cutoff.radius

    def energy(self, r2: Any, a: Any, b: Any) -> Any:
        """The curve, ended by the cutoff."""
        return self.cutoff(lambda r2: self.curve(r2, a, b), r2)


def count_species(potential: Any) -> int | None:
    """For how many species the potential has parameters; None if they are the same for all."""
    sizes = []
    for node in jax.tree.leaves(potential, is_leaf=lambda x: hasattr(x, "tables")):
        for name in getattr(node, "tables", ()):
            sizes += jnp.shape(getattr(node, name))[:1]
    return min(sizes, default=None)


def check_tables(pair: Any, *, positive: tuple[str, ...] = (), triples: tuple[str, ...] = ()) -> None:
    """Tables have the shape (), (s,) or (s, s) with one s, the last symmetric; `triples` () or (s, s, s).

    Those named in `positive` are, if known. Raises ValueError.
    """
    name = type(pair).__name__
    if isinstance(pair, AbstractCurve) and not isinstance(pair.cutoff, AbstractCutoff):
        raise ValueError(f"{name}.cutoff must say how the curve ends, such as Truncated({pair.cutoff!r}).")
    sizes = set()
    for field in pair.tables:
        value = getattr(pair, field)
        shape = jnp.shape(value)
        if len(shape) not in ((0, 3) if field in triples else (0, 1, 2)) or len(set(shape)) > 1 or 0 in shape:
            allowed = "(species, species, species)" if field in triples else "(species,) or (species, species)"
            raise ValueError(f"{name}.{field} has shape {shape}; it must be one number, or {allowed}.")
        sizes.update(shape)
        if isinstance(value, Tracer) or not eqx.is_array_like(value):
            continue
        value = np.asarray(value)
        if len(shape) > 1 and not np.array_equal(value, value.swapaxes(-1, -2)):
            raise ValueError(f"{name}.{field} must be a symmetric matrix: the pair (a, b) is the pair (b, a).")
        if not np.isfinite(value).all() or (field in positive and not (value > 0).all()):
            raise ValueError(f"{name}.{field} must be finite{' and positive' * (field in positive)}, got {value}.")
    if len(sizes) > 1:
        raise ValueError(f"{name} has tables for {sorted(sizes)} species: give each as many rows as there are species.")
