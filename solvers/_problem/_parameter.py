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

    `Problem` raises ValueError for a tie that asks for a name that is not there or, over others, for its own, and for
    one that returns another shape than the leaf has. TypeError if `value` is not a function.
    """

    value: Callable[[Mapping[str, Array]], Any] = eqx.field(static=True)

    def __check_init__(self):
        if not callable(self.value):
            raise TypeError(f"Tied takes a function of the other parameters, lambda p: 2 * p['a'], not {self.value!r}.")


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
    - `scale`: a typical size, positive, in units of which the search takes place; on the `Identity()` scale only.
    - `fixed`: held at the model's value; listed in tables, and ties may use it.
    - `tied`: computed from other parameters instead of searched for.
    - `per_experiment`: one value for each experiment instead of one for all.

    Raises ValueError for declarations that would have no effect: of a tied parameter all but its name and unit, of a
    fixed one a prior, a `scale` on another scale than `Identity()`; TypeError for what is not of the kind named here.
    What must agree with the model (leaf, start, bounds) is checked by `Problem`.
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
        _check_kinds(self)
        if self.fixed and self.tied is not None:
            raise ValueError(f"Parameter {self.name!r} is both fixed and tied: choose one.")
        declared = {
            "bounds": not isinstance(self.bounds, tuple) or any(end is not None for end in self.bounds),
            "transform": not isinstance(self.transform, Identity),
            "prior": self.prior is not None,
            "scale": not (isinstance(self.scale, float | int) and self.scale == 1),
            "per_experiment": self.per_experiment is not None,
        }
        idle = [word for word, is_given in declared.items() if is_given]
        if self.tied is not None and idle:
            raise ValueError(
                f"Parameter {self.name!r} is tied, so it follows from others: leave out its {', '.join(idle)}, or "
                "give theirs instead."
            )
        if self.fixed and declared["prior"]:
            raise ValueError(f"Parameter {self.name!r} is fixed, so its prior has no effect: leave it out.")
        if declared["scale"] and declared["transform"]:
            raise ValueError(
                f"Parameter {self.name!r}: scale counts on the Identity() scale only, not on that of "
                f"{type(self.transform).__name__}(): leave one of them out."
            )


def _check_kinds(p: Parameter) -> None:
    """Classes for objects, functions for ties: what is easily written so, and would fail far from here."""
    kinds: dict[str, tuple[Any, str]] = {
        "name": (str, "a text"),
        "transform": (AbstractTransform, "an object such as Log()"),
        "prior": (AbstractDistribution | None, "a distribution such as Normal(0.0, 1.0)"),
        "tied": (Tied | None, "Tied(lambda p: 2 * p['a'])"),
        "per_experiment": (PerExperiment | None, "PerExperiment(), or PerExperiment({experiment: start})"),
    }
    for field, (kind, cure) in kinds.items():
        if not isinstance(getattr(p, field), kind):
            raise TypeError(f"Parameter {p.name!r}: {field} must be {cure}, not {getattr(p, field)!r}.")


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
