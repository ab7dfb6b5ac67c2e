"""From declared parameters to a layout: find what each `where` picks, and refuse what cannot be right."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from .._distributions import AbstractDistribution
from .._programs import compiled, interned
from .._tree import is_concrete, is_float
from ._layout import begin, Beginning, Entry, labels_of, Layout
from ._parameter import Parameter, Place, place_of
from ._transform import Identity, Log


def gather(model: PyTree, parameters: Sequence[Parameter], experiments: tuple[str, ...]) -> tuple[Layout, Beginning]:
    """The layout of these parameters in this model, and where a search begins."""
    if not isinstance(parameters, Sequence) or not all(isinstance(p, Parameter) for p in parameters):
        raise TypeError(f"parameters must be a list of Parameter(where, name=...), not {parameters!r}.")
    if not parameters:
        raise ValueError("parameters is empty: name at least one, e.g. Parameter(lambda m: m.mass, name='mass').")
    names = [p.name for p in parameters]
    if len(set(names)) < len(names):
        raise ValueError(f"Parameter names must differ, but they are {names}.")
    leaves, structure = jax.tree.flatten(model)
    places = jax.tree.unflatten(structure, [Place(number) for number in range(len(leaves))])
    taken: dict[int, np.ndarray] = {}
    entries = []
    for p in parameters:
        place = place_of(p, places)
        leaf = leaves[place.leaf]
        _check_leaf(p, leaf)
        _take(p, place, leaf, taken, names)
        entries.append(_entry(p, place, leaf, experiments))
    searched = [not p.fixed and p.tied is None for p in parameters]
    if not any(searched):
        raise ValueError("Every parameter is fixed or tied: nothing is left to search for.")
    beginning = begin(tuple(itertools.compress(entries, searched)))
    layout = Layout(
        model=model,
        free=tuple(itertools.compress(entries, searched)),
        fixed=tuple(e for e, p in zip(entries, parameters, strict=True) if p.fixed),
        tied=tuple(e for e in entries if e.tied is not None),
        experiments=experiments,
    )
    if layout.tied:
        jax.eval_shape(layout.derived_values, beginning.z)  # circles, unknown names, shapes
    _check_labels(layout)
    declared = {p.name: p for p in parameters}
    for entry, allowed in zip(layout.free, beginning.allowed, strict=True):
        if is_concrete((entry.start, allowed)):
            _check_start(declared[entry.name], entry, np.asarray(allowed))
    return layout, beginning


def _check_labels(layout: Layout) -> None:
    labels = [label for entry in (*layout.free, *layout.fixed) for label in labels_of(entry, entry.experiments)]
    labels += [label for entry in layout.tied for label in labels_of(entry, layout.tied_in)]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise ValueError(
            f"Two numbers are called {', '.join(twice)}: entries of arrays are numbered and those of experiments named "
            "so. Rename a parameter."
        )


def _entry(p: Parameter, place: Place, leaf: Any, experiments: tuple[str, ...]) -> Entry:
    float_ = jnp.result_type(float)
    index = _index(place.index)
    xp = np if is_concrete((leaf, p.bounds, p.per_experiment)) else jnp  # on the host nothing has to be compiled
    leaf = xp.asarray(leaf)
    value = (leaf if index is None else leaf[index]).astype(float_)
    own = p.per_experiment is not None
    start = xp.stack([value] * len(experiments)) if own else value[None]
    if p.per_experiment is not None:
        unknown = sorted(set(p.per_experiment.start) - set(experiments))
        if unknown:
            raise ValueError(f"Parameter {p.name!r} starts in experiments {unknown}, but there are {experiments}.")
        for name, given in p.per_experiment.start.items():
            this = xp.arange(len(experiments)) == experiments.index(name)
            new = xp.broadcast_to(xp.asarray(given, float_), value.shape)
            start = xp.where(this.reshape(-1, *[1] * value.ndim), new, start)
    scale = xp.broadcast_to(xp.asarray(p.scale, float_), value.shape)
    scale, lower, upper, start = jax.device_put((scale, *_bounds(p, value), start))
    entry = Entry(
        name=p.name,
        unit=p.unit,
        leaf=place.leaf,
        index=index,
        shape=value.shape,
        experiments=experiments if own else None,
        tied=None if p.tied is None else interned(p.tied.value, ()),
        transform=p.transform,
        prior=p.prior,
        scale=scale,
        lower=lower,
        upper=upper,
        start=start,
    )
    if p.tied is None and is_concrete((entry.scale, entry.lower, entry.upper, entry.start)):
        _check_bounds(p, entry)
    return entry


def _index(index: Any) -> tuple[int, ...] | None:
    if index is None:
        return None
    index = index if isinstance(index, tuple) else (index,)
    if not all(isinstance(i, int | np.integer) for i in index):
        raise ValueError(f"`where` may pick a whole leaf or an entry by integers, not by {index}: name entries singly.")
    return tuple(int(i) for i in index)


def _bounds(p: Parameter, value: Any) -> tuple[Any, Any]:
    if not isinstance(p.bounds, tuple) or len(p.bounds) != 2:
        raise ValueError(f"Parameter {p.name!r}: bounds must be a pair (lower, upper), not {p.bounds!r}.")
    xp = np if is_concrete((value, p.bounds)) else jnp
    ends = []
    for given, none in zip(p.bounds, (-np.inf, np.inf), strict=True):
        end = xp.asarray(none if given is None else given, value.dtype)
        if end.shape not in ((), value.shape):
            raise ValueError(f"Parameter {p.name!r} has shape {value.shape}, its bounds {end.shape}: they must agree.")
        ends.append(xp.broadcast_to(end, value.shape))
    lower, upper = ends
    if is_concrete((lower, upper)):
        if (np.isnan(lower) | np.isnan(upper)).any():
            raise ValueError(f"Parameter {p.name!r}: its bounds {p.bounds} hold NaN; use None where there is none.")
        if (lower > upper).any():
            raise ValueError(f"Parameter {p.name!r}: its lower bound exceeds its upper one, {p.bounds}: exchange them.")
        if (lower == upper).any():
            raise ValueError(f"Parameter {p.name!r}: its bounds {p.bounds} leave no room: write fixed=True instead.")
    if p.prior is None:
        return lower, upper
    low, high = _support(p.prior)
    xp = np if is_concrete((lower, low, high)) else jnp
    spread = lambda end: xp.broadcast_to(xp.asarray(end, value.dtype), value.shape)
    # of scalars NumPy makes no arrays
    return xp.asarray(xp.maximum(lower, spread(low))), xp.asarray(xp.minimum(upper, spread(high)))


@compiled
def _support(prior: AbstractDistribution) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    return prior.support


def _check_leaf(p: Parameter, leaf: Any) -> None:
    if not is_float(leaf):
        raise ValueError(
            f"Parameter {p.name!r} is {leaf!r}, which has no derivative. Make it a float array: declare the field with "
            "`parameter()`, or write jnp.asarray(1.0)."
        )
    if jnp.iscomplexobj(leaf):
        raise ValueError(f"Parameter {p.name!r} is complex: fit its real and imaginary parts as two float leaves.")


def _check_bounds(p: Parameter, entry: Entry) -> None:
    start = np.asarray(entry.start)
    outside = (start < np.asarray(entry.lower)) | (start > np.asarray(entry.upper))
    if outside.any():
        at = start[outside].flat[0]
        raise ValueError(
            f"Parameter {p.name!r} starts at {at:g}, outside its bounds (or its prior's support) "
            f"[{np.min(entry.lower):g}, {np.max(entry.upper):g}]: start inside, or widen them."
        )
    if not bool(np.all(np.asarray(entry.scale) > 0)):
        raise ValueError(f"Parameter {p.name!r}: scale must be positive, a typical size, not {p.scale}.")


def _check_start(p: Parameter, entry: Entry, allowed: Bool[np.ndarray, "copies ..."]) -> None:
    start = np.asarray(entry.start)
    if not allowed.all():
        hint = "" if isinstance(p.transform, Identity | Log) else f" ({p.transform})"
        raise ValueError(
            f"Parameter {p.name!r} starts at {start.ravel()[0]:g}, which {type(p.transform).__name__}(){hint} does not "
            "allow. Start at another value or use another transform."
        )


def _take(p: Parameter, place: Place, leaf: Any, taken: dict[int, np.ndarray], names: list[str]) -> None:
    """Note which entries of which leaf a parameter has, and refuse a second one."""
    owner = taken.setdefault(place.leaf, np.full(leaf.shape, -1))
    index = () if place.index is None else _index(place.index)
    try:
        old = np.atleast_1d(owner[index])
    except IndexError as error:
        raise ValueError(f"Parameter {p.name!r}: {error} (the leaf has shape {leaf.shape}).") from error
    if old.size and old.max() >= 0:
        raise ValueError(
            f"Parameters {names[int(old.max())]!r} and {p.name!r} pick the same leaf: keep one, or tie it."
        )
    owner[index] = names.index(p.name)
