"""The parameters of a problem as one flat vector of coordinates, and back."""

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from .._distributions import AbstractDistribution
from .._host import namespace_of
from .._programs import compiled
from .._tree import is_concrete
from .._types import AnyArray, Scalar
from ._transform import AbstractTransform


class Entry(eqx.Module):
    """One parameter, resolved: which leaf of the model (or entry of it), and what its coordinates stand for.

    Values have the shape `(copies, *shape)`: a copy for each experiment, or one for all.
    """

    name: str = eqx.field(static=True)
    unit: str = eqx.field(static=True)
    leaf: int = eqx.field(static=True)
    index: tuple[int, ...] | None = eqx.field(static=True)
    shape: tuple[int, ...] = eqx.field(static=True)
    experiments: tuple[str, ...] | None = eqx.field(static=True)
    tied: Callable[[Mapping[str, Array]], Any] | None = eqx.field(static=True)
    transform: AbstractTransform
    prior: AbstractDistribution | None
    scale: Float[Array, "..."]
    lower: Float[Array, "..."]
    upper: Float[Array, "..."]
    start: Float[Array, "copies ..."]

    @property
    def size(self) -> int:
        """How many numbers it stands for."""
        return int(np.prod(self.start.shape))

    def value(self, z: Float[Array, " size"]) -> Float[Array, "copies ..."]:
        """The values at coordinates."""
        return self.transform.value(z.reshape(self.start.shape) * jnp.broadcast_to(self.scale, self.start.shape))

    def coordinate(self, value: Float[AnyArray, "..."]) -> Float[AnyArray, "..."]:
        """The coordinates of values; infinite for a bound that the transform excludes."""
        z = self.transform.coordinate(value)
        return z / namespace_of(z).broadcast_to(self.scale, z.shape)

    def ends(self) -> tuple[Float[AnyArray, "3 ..."], Bool[AnyArray, "copies ..."]]:
        """The coordinates of the start and of both bounds, and whether the transform allows the start.

        A bound that it excludes, and so what lies beyond, is infinitely far.
        """
        xp = namespace_of(self.start, self.lower, self.upper)
        shape = self.start.shape
        value = xp.stack([self.start, xp.broadcast_to(self.lower, shape), xp.broadcast_to(self.upper, shape)])
        allowed = self.transform.allows(value)
        # log(0) would make derivatives NaN
        z = self.coordinate(xp.where(allowed, value, xp.broadcast_to(self.start, value.shape)))
        lowest, highest = xp.full(shape, -np.inf, z.dtype), xp.full(shape, np.inf, z.dtype)
        found = xp.stack([z[0], xp.where(allowed[1], z[1], lowest), xp.where(allowed[2], z[2], highest)])
        return found, allowed[0]


def labels_of(entry: Entry, experiments: tuple[str, ...] | None) -> Iterator[str]:
    """The names of a parameter's numbers, in the order of the flat vector, with a copy for each of these experiments.

    A function: each method that is asked of a module costs as much as all of this.
    """
    marks = [""] if experiments is None else [f"[{name}]" for name in experiments]
    for mark in marks:
        for index in itertools.product(*map(range, entry.shape)):
            yield entry.name + mark + (str(list(index)) if index else "")


class Derived(NamedTuple):
    """A number that is not searched for: fixed, or tied to others."""

    label: str
    unit: str
    value: float
    is_tied: bool


class Layout(eqx.Module):
    """The model, and its parameters by kind."""

    model: PyTree
    free: tuple[Entry, ...]
    fixed: tuple[Entry, ...]
    tied: tuple[Entry, ...]
    experiments: tuple[str, ...] = eqx.field(static=True)

    def labels(self) -> tuple[tuple[str, str], ...]:
        """Name and unit of every coordinate."""
        return tuple((name, entry.unit) for entry in self.free for name in labels_of(entry, entry.experiments))

    def values(self, z: Float[Array, " p"]) -> Float[Array, " p"]:
        """The values at coordinates, flat."""
        return jnp.concatenate([jnp.ravel(value) for value in self.by_name(z).values()])

    def by_name(self, z: Float[Array, " p"]) -> dict[str, Float[Array, "copies ..."]]:
        """The values of the free parameters by name."""
        return {entry.name: entry.value(piece) for entry, piece in zip(self.free, self._pieces(z), strict=True)}

    def derived(self, z: Float[Array, " p"]) -> list[Derived]:
        """What is fixed, and then what is tied, with a row for each experiment where they differ."""
        rows = [(label, entry.unit, False) for entry in self.fixed for label in labels_of(entry, entry.experiments)]
        rows += [(label, entry.unit, True) for entry in self.tied for label in labels_of(entry, self.tied_in)]
        values = np.asarray(view(self, z).derived).tolist()
        return [Derived(label, unit, x, is_tied) for (label, unit, is_tied), x in zip(rows, values, strict=True)]

    def derived_values(self, z: Float[Array, " p"]) -> Float[Array, " d"]:
        """Their values, in this order."""
        each = [self.resolved(self.of_experiment(self.by_name(z), k)) for k in range(len(self.tied_in or [None]))]
        tied = [values[entry.name] for entry in self.tied for values in each]
        return self._join([jnp.zeros(0, z.dtype), *(entry.start for entry in self.fixed), *tied])

    def of_experiment(self, values: dict[str, Array], k: Any) -> dict[str, Array]:
        """One copy of each free and fixed value: the one that belongs to experiment number `k`."""
        values = values | {entry.name: entry.start for entry in self.fixed}
        own = {entry.name for entry in (*self.free, *self.fixed) if entry.experiments is not None}
        return {name: value[k] if name in own else value[0] for name, value in values.items()}

    def resolved(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """The values of all parameters, with those that are tied, for one experiment."""
        resolver = _Resolver(values, {entry.name: entry for entry in self.tied})
        return {name: resolver[name] for name in resolver}

    def model_with(self, values: Mapping[str, Array]) -> PyTree:
        """The model with the values of one experiment."""
        values = self.resolved(values)
        leaves, structure = jax.tree.flatten(self.model)
        for entry in (*self.free, *self.fixed, *self.tied):
            old, new = leaves[entry.leaf], values[entry.name]
            new = new.astype(old.dtype)
            leaves[entry.leaf] = new if entry.index is None else jnp.asarray(old).at[entry.index].set(new)
        return jax.tree.unflatten(structure, leaves)

    def log_prior(self, z: Float[Array, " p"]) -> Scalar:
        """The logarithm of the priors' density of the values."""
        return self._log_prior(self.values(z))

    def _log_prior(self, values: Float[Array, " p"]) -> Scalar:
        total = jnp.zeros((), values.dtype)
        for entry, piece in zip(self.free, self._pieces(values), strict=True):
            if entry.prior is not None:
                value = piece.reshape(entry.start.shape)
                low, high = (jnp.broadcast_to(end, value.shape) for end in entry.prior.support)
                # a transform may round a value past the end of the support, where the density is zero
                inside = value + jax.lax.stop_gradient(jnp.clip(value, low, high) - value)
                total = total + jnp.sum(entry.prior.log_density(inside))
        return total

    def prior_curvature(self, z: Float[Array, " p"]) -> Float[Array, " p"]:
        """Minus the second derivative of `log_prior` in each coordinate: a diagonal, as the priors are independent."""
        return -jax.jvp(jax.grad(self.log_prior), (z,), (jnp.ones_like(z),))[1]

    def prior_curvature_in_values(self, z: Float[Array, " p"]) -> Float[Array, " p"]:
        """The same without what the transforms' own curvature adds, which is in proportion to the priors' slope."""
        values, slope = jax.jvp(self.values, (z,), (jnp.ones_like(z),))
        return -slope * jax.jvp(jax.grad(self._log_prior), (values,), (slope,))[1]

    @property
    def tied_in(self) -> tuple[str, ...] | None:
        """The experiments, if some parameter has a value for each, and so what is tied may."""
        own = any(entry.experiments is not None for entry in (*self.free, *self.fixed))
        return self.experiments if own else None

    @property
    def has_priors(self) -> bool:
        """Whether any free parameter has a prior."""
        return any(entry.prior is not None for entry in self.free)

    def _pieces(self, flat: Float[Array, " p"]) -> list[Array]:
        """What belongs to each free parameter."""
        return jnp.split(flat, np.cumsum([entry.size for entry in self.free])[:-1])

    def _join(self, pieces) -> Float[Array, " p"]:
        return jnp.concatenate([jnp.ravel(piece) for piece in pieces])


class Beginning(NamedTuple):
    """Where the coordinates of a search begin, their bounds, and which values of each parameter have a coordinate."""

    z: Float[Array, " p"]
    lower: Float[Array, " p"]
    upper: Float[Array, " p"]
    allowed: tuple[Bool[AnyArray, "copies ..."], ...]


def begin(free: tuple[Entry, ...]) -> Beginning:
    """On the host, unless numbers are traced."""
    if is_concrete(free) and is_concrete(jax.device_put(0.0)):
        with np.errstate(all="ignore"):
            places, allowed = _begin(jax.tree.map(np.asarray, free))
        places = jax.device_put(places)
    else:
        places, allowed = _begin(free)
    z, lower, upper = places
    return Beginning(z, lower, upper, allowed)


def _begin(free: tuple[Entry, ...]) -> tuple[tuple[Any, Any, Any], tuple[Any, ...]]:
    """Start and bounds, each flat, and what is allowed; arrays as those of the entries, of NumPy or JAX."""
    each, allowed = zip(*(entry.ends() for entry in free), strict=True)
    xp = namespace_of(*each)
    flat = lambda k: xp.concatenate([xp.ravel(z[k]) for z in each])
    return (flat(0), flat(1), flat(2)), allowed


class View(NamedTuple):
    """The values at coordinates, their derivative by these, and the values of the fixed and tied parameters."""

    values: Float[Array, " p"]
    slope: Float[Array, " p"]
    derived: Float[Array, " d"]


@compiled
def view(layout: Layout, z: Float[Array, " p"]) -> View:
    """In one program."""
    values, slope = jax.jvp(layout.values, (z,), (jnp.ones_like(z),))
    return View(values, slope, layout.derived_values(z))


class _Resolver(Mapping[str, Array]):
    """Values by name; those of tied parameters are computed when they are asked for."""

    def __init__(self, values: Mapping[str, Array], tied: dict[str, Entry]):
        self._values, self._tied = dict(values), tied
        self._open: list[str] = []

    def __getitem__(self, name: str) -> Array:
        if name not in self._values:
            self._values[name] = self._compute(name)
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*self._values, *(name for name in self._tied if name not in self._values)])

    def __len__(self) -> int:
        return len(set(self._values) | set(self._tied))

    def _compute(self, name: str) -> Array:
        if name in self._open:
            raise ValueError(f"Tied parameters go round in a circle: {' -> '.join([*self._open, name])}.")
        if name not in self._tied:
            asking = f"The tie of {self._open[-1]!r} asks for {name!r}" if self._open else f"No parameter {name!r}"
            raise ValueError(f"{asking}; there are {sorted({*self._values, *self._tied})}.")
        self._open.append(name)
        entry = self._tied[name]
        assert entry.tied is not None
        value = jnp.asarray(entry.tied(self)).astype(jnp.result_type(float))
        self._open.pop()
        if value.shape != entry.shape:
            raise ValueError(
                f"The tie of {name!r} returns shape {value.shape}, but the leaf has {entry.shape}: use jnp.full, say."
            )
        return value
