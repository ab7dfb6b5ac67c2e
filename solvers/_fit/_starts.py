"""Where searches start."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Float, PRNGKeyArray

from .._problem import Problem


class AbstractStarts(eqx.Module):
    """The points from which a fit starts. The values of the model itself are always the first of them."""

    @abc.abstractmethod
    def points(self, problem: Problem, key: PRNGKeyArray) -> Float[np.ndarray, "n p"]:
        """The coordinates of the starts."""


class LatinHypercube(AbstractStarts):
    """The model's values and `n` - 1 points that fall once into each of `n` - 1 slices of every coordinate.

    Between the bounds, on the scale searched on; a parameter with an infinite bound starts at draws from its prior.
    """

    n: int = eqx.field(static=True)

    def points(self, problem, key):
        """By SciPy's `LatinHypercube`."""
        draw = lambda p, seed: scipy.stats.qmc.LatinHypercube(p, rng=np.random.default_rng(seed)).random(self.n - 1)
        return _fill(problem, key, self.n, draw)


class Sobol(AbstractStarts):
    """The model's values and `n` - 1 points of a scrambled Sobol' sequence: evenest if `n` - 1 is a power of two."""

    n: int = eqx.field(static=True)

    def points(self, problem, key):
        """By SciPy's `Sobol`."""

        def draw(p, seed):
            power = max(1, int(np.ceil(np.log2(max(2, self.n - 1)))))
            return scipy.stats.qmc.Sobol(p, rng=np.random.default_rng(seed)).random_base2(power)[: self.n - 1]

        return _fill(problem, key, self.n, draw)


class UserStarts(AbstractStarts):
    """The model's values and these: a sequence of mappings from names to values; what is not named starts there too."""

    values: tuple[dict[str, Any], ...]

    def __init__(self, values: Sequence[Mapping[str, Any]]):
        self.values = tuple(dict(one) for one in values)

    def points(self, problem, key):
        """As given."""
        layout = problem.layout
        entries = {entry.name: entry for entry in layout.free}
        rows = [problem.start()]
        for number, one in enumerate(self.values):
            unknown = sorted(set(one) - set(entries))
            if unknown:
                raise ValueError(f"Start {number} names {unknown}, but the free parameters are {sorted(entries)}.")
            pieces = []
            for name, entry in entries.items():
                value = jnp.broadcast_to(jnp.asarray(one.get(name, entry.start), entry.start.dtype), entry.start.shape)
                pieces.append(jnp.ravel(entry.coordinate(value)))
            rows.append(jnp.concatenate(pieces))
        z = np.stack(rows)
        inside = (z >= np.asarray(problem.lower)) & (
            z <= np.asarray(problem.upper)
        )  # not so NaN: what a transform excludes
        outside = ~inside
        if outside.any():
            number, k = (int(i) for i in np.argwhere(outside)[0])
            raise ValueError(f"Start {number - 1}: {problem.names[k]!r} lies outside its bounds.")
        return z


def as_starts(starts: Any) -> AbstractStarts:
    """An integer is a Latin hypercube."""
    if isinstance(starts, AbstractStarts):
        return starts
    if isinstance(starts, int) and not isinstance(starts, bool) and starts >= 1:
        return LatinHypercube(starts)
    raise ValueError(f"starts must be a positive integer, LatinHypercube, Sobol or UserStarts, not {starts!r}.")


def _fill(problem: Problem, key: PRNGKeyArray, n: int, draw: Any) -> Float[np.ndarray, "n p"]:
    """The model's values, and a filling of the box."""
    if n < 1:
        raise ValueError(f"There must be at least one start, not {n}.")
    start = np.asarray(problem.start())
    if n == 1:
        return start[None]
    lower, upper = np.asarray(problem.lower), np.asarray(problem.upper)
    spread = np.isfinite(lower) & np.isfinite(upper)
    seeds, prior_key = jax.random.split(key)
    unit = draw(start.size, np.asarray(jax.random.key_data(seeds)).tolist())
    with np.errstate(invalid="ignore"):  # infinite bounds: not used
        points = np.where(spread, lower + unit * (upper - lower), prior_draws(problem, prior_key, n - 1))
    missing = [name for name, column in zip(problem.names, points.T, strict=True) if np.isnan(column).any()]
    if missing:
        raise ValueError(
            f"{n} starts need a finite range for every parameter, but {', '.join(missing)} has neither two finite "
            "bounds (on the scale searched on: Log() needs a positive lower one) nor a prior that reaches into its "
            "bounds. Give one, or UserStarts."
        )
    return np.concatenate([start[None], points.astype(start.dtype)])


_TRIES = 50


def prior_draws(problem: Problem, key: PRNGKeyArray, n: int) -> Float[np.ndarray, "n p"]:
    """Coordinates of draws from the priors, each number drawn again while it lies outside its bounds.

    NaN where there is no prior, or where 50 draws in succession lie outside.
    """
    columns = []
    for k, entry in zip(jax.random.split(key, len(problem.layout.free)), problem.layout.free, strict=True):
        shape = (_TRIES, n, *entry.start.shape)
        draws = jnp.full(shape, jnp.nan) if entry.prior is None else entry.prior.draw(k, shape)
        columns.append(jax.vmap(jax.vmap(lambda x, entry=entry: jnp.ravel(entry.coordinate(x))))(draws))
    z = np.concatenate(columns, axis=-1)
    inside = (z >= np.asarray(problem.lower)) & (z <= np.asarray(problem.upper))
    first = np.take_along_axis(z, np.argmax(inside, axis=0)[None], axis=0)[0]
    return np.where(inside.any(axis=0), first, np.nan)
