"""`Parameter`: what a search may change, declared beside the model instead of in it."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, ArrayLike, PyTree

from .._distributions import AbstractDistribution
from ._transform import AbstractTransform, Identity


class Tied(eqx.Module):
    """A value that is computed from other parameters: `Tied(lambda p: 2 * p["a"])`.

    - `value`: a function of a mapping from names to values. Ties may use tied and fixed parameters, in any order.
    """

    value: Callable[[Mapping[str, Array]], Any] = eqx.field(static=True)


class PerExperiment(eqx.Module):
    """The parameter has one value for each experiment.

    - `start`: where the search starts, by experiment; those that are missing start at the model's value.
    """

    start: dict[str, ArrayLike] = eqx.field(default_factory=dict)


class Parameter(eqx.Module):
    """A float leaf of the model, or an entry of one, that a search may change; the model itself is not rewritten.

    - `where`: picks it out of the model: `lambda m: m.spring.stiffness`, or one entry: `lambda m: m.rates[2]`.
      A leaf may be an array; then it is a parameter with several entries.
    - `name`, `unit`: for tables and plots.
    - `bounds`: lower and upper end; numbers or arrays, infinite or `None` where there is none. The best value may lie
      exactly on a bound.
    - `transform`: the scale to search on: `Identity()`, or `Log()` for positive quantities.
    - `prior`: a distribution; minus the logarithm of its density (of the value, whatever the transform) adds to the
      cost, and its support bounds the value.
    - `scale`: a typical size: on the `Identity()` scale the search takes place in units of it.
    - `fixed`: held at the model's value; listed in tables, and ties may use it.
    - `tied`: computed from other parameters instead of searched for.
    - `per_experiment`: one value for each experiment instead of one for all.
    """

    where: Callable[[Any], Any] = eqx.field(static=True)
    name: str = eqx.field(static=True, kw_only=True)
    bounds: tuple[ArrayLike | None, ArrayLike | None] = eqx.field(kw_only=True, default=(None, None))
    transform: AbstractTransform = eqx.field(kw_only=True, default_factory=Identity)
    prior: AbstractDistribution | None = eqx.field(kw_only=True, default=None)
    unit: str = eqx.field(static=True, kw_only=True, default="")
    scale: ArrayLike = eqx.field(kw_only=True, default=1.0)
    fixed: bool = eqx.field(static=True, kw_only=True, default=False)
    tied: Tied | None = eqx.field(kw_only=True, default=None)
    per_experiment: PerExperiment | None = eqx.field(kw_only=True, default=None)

    def __check_init__(self):
        if self.fixed and self.tied is not None:
            raise ValueError(f"Parameter {self.name!r} is both fixed and tied: choose one.")
        if self.tied is not None and (self.prior is not None or self.per_experiment is not None):
            raise ValueError(f"Parameter {self.name!r} is tied, so it follows from others: give theirs instead.")


class Place(eqx.Module):
    """Stands for a leaf of the model, or an entry of one, to see what a `where` picks."""

    leaf: int = eqx.field(static=True)
    index: Any = eqx.field(static=True, default=None)

    def __getitem__(self, index: Any) -> "Place":
        if self.index is not None:
            raise TypeError("index an array once, with all indices: m.matrix[1, 2]")
        return Place(self.leaf, index)


def place_of(parameter: Parameter, places: PyTree) -> Place:
    """What `where` picks in a model whose leaves are places."""
    advice = f"Parameter {parameter.name!r}: `where` must pick a float leaf of the model, or an entry of one"
    try:
        place = parameter.where(places)
    except (TypeError, AttributeError, KeyError, IndexError) as error:
        raise ValueError(f"{advice}, but: {error}") from error
    if not isinstance(place, Place):
        raise ValueError(f"{advice}, not {_kind(place)}: static fields and whole modules cannot be fitted.")
    return place


def _kind(x: Any) -> str:
    return f"a {type(x).__name__}" if isinstance(x, eqx.Module | np.ndarray) else repr(x)
