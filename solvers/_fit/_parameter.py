"""`Parameter`: a name, a unit and a scale for any float leaf of any model."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._tree import is_concrete, is_float
from ._transform import AbstractTransform, Identity


class Parameter(eqx.Module):
    """A leaf of the model that `fit` may change; the model itself is not rewritten.

    - `where`: picks the leaf out of the model, e.g. `lambda model: model.spring.stiffness`; a scalar or an array.
    - `name`, `unit`: for tables and plots.
    - `transform`: the scale to search on: `Identity()`, or `Log()` for positive quantities.
    """

    where: Callable[[Any], Any] = eqx.field(static=True)
    name: str = eqx.field(static=True, kw_only=True)
    unit: str = eqx.field(static=True, kw_only=True, default="")
    transform: AbstractTransform = eqx.field(kw_only=True, default_factory=Identity)


class Coordinates(eqx.Module):
    """The parameters of one model as one flat vector, in JAX's default precision, and back."""

    model: PyTree
    parameters: tuple[Parameter, ...]

    def start(self) -> Float[Array, " p"]:
        """The coordinates of the model's own values."""
        pieces = [jnp.ravel(p.transform.coordinate(p.where(self.model))) for p in self.parameters]
        return jnp.concatenate([piece.astype(jnp.result_type(float)) for piece in pieces])

    def resolution(self) -> float:
        """The rounding unit of the coarsest of the leaves."""
        return max(float(jnp.finfo(p.where(self.model).dtype).eps) for p in self.parameters)

    def values(self, z: Float[Array, " p"]) -> Float[Array, " p"]:
        """The parameters' values at coordinates `z`, flat."""
        pieces = [p.transform.value(piece) for p, piece in zip(self.parameters, self._split(z), strict=True)]
        return jnp.concatenate(pieces)

    def at(self, z: Float[Array, " p"]) -> PyTree:
        """The model with the values that the coordinates `z` stand for."""
        leaves = [p.where(self.model) for p in self.parameters]
        new = [
            p.transform.value(piece).reshape(leaf.shape).astype(leaf.dtype)
            for p, leaf, piece in zip(self.parameters, leaves, self._split(z), strict=True)
        ]
        return eqx.tree_at(lambda m: [p.where(m) for p in self.parameters], self.model, new)

    def labels(self) -> tuple[tuple[str, str], ...]:
        """Name and unit of every entry of the flat vector; entries of arrays are numbered."""
        rows = []
        for p in self.parameters:
            shape = p.where(self.model).shape
            marks = [""] if shape == () else [str(list(index)) for index in np.ndindex(*shape)]
            rows += [(p.name + mark, p.unit) for mark in marks]
        return tuple(rows)

    def _split(self, z):
        sizes = [p.where(self.model).size for p in self.parameters]
        return jnp.split(z, np.cumsum(sizes)[:-1])


def coordinates(model: PyTree, parameters: Sequence[Parameter]) -> Coordinates:
    """Check that every parameter names a leaf of its own that can be fitted, and gather them."""
    if not parameters:
        raise ValueError("parameters is empty: name at least one, e.g. Parameter(lambda m: m.mass, name='mass').")
    names = [p.name for p in parameters]
    if len(set(names)) < len(names):
        raise ValueError(f"Parameter names must differ, but they are {names}.")
    leaves, structure = jax.tree.flatten(model)
    places = [_Place() for _ in leaves]
    marked = jax.tree.unflatten(structure, places)
    taken: dict[int, str] = {}
    for p in parameters:
        place = _place(p, marked)
        _check_leaf(p, leaves[places.index(place)])
        if id(place) in taken:
            raise ValueError(f"Parameters {taken[id(place)]!r} and {p.name!r} pick the same leaf.")
        taken[id(place)] = p.name
    return Coordinates(model=model, parameters=tuple(parameters))


class _Place:
    """Stands for one leaf of a model, to see which one a `where` picks."""


def _place(p: Parameter, marked: PyTree) -> _Place:
    try:
        place = p.where(marked)
    except (TypeError, AttributeError, KeyError, IndexError) as error:
        raise ValueError(
            f"Parameter {p.name!r}: `where` must pick a leaf of the model as it is, but: {error}"
        ) from error
    if not isinstance(place, _Place):
        raise ValueError(
            f"Parameter {p.name!r}: `where` must pick one leaf of the model, not a {type(place).__name__}."
        )
    return place


def _check_leaf(p: Parameter, leaf: Any) -> None:
    if not is_float(leaf):
        raise ValueError(
            f"Parameter {p.name!r} is {leaf!r}, which has no derivative. Make it a float array: declare the field with "
            "`parameter()`, or write jnp.asarray(1.0)."
        )
    if jnp.iscomplexobj(leaf):
        raise ValueError(f"Parameter {p.name!r} is complex: fit its real and imaginary parts as two float leaves.")
    if is_concrete(leaf) and not bool(jnp.all(p.transform.allows(leaf))):
        raise ValueError(
            f"Parameter {p.name!r} starts at {leaf}, which {type(p.transform).__name__}() does not allow. "
            "Start at another value or use another transform."
        )
