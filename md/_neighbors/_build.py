"""How a neighbor list is made: images of atoms near the cell, sorted into fine cells, then compacted row by row.

Columns of cells run along z. What is near an atom lies, in each column around it, in one contiguous window of the
sorted order; the windows are visited slot by slot for all atoms at once, and who is near enough is written to the next
free place of each atom's row. See docs/md-notes.md for what else was tried.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._space import inverse, times

COLUMNS = 2  # columns per cutoff, each way
BINS = 8  # cells per cutoff along a column


class Images(NamedTuple):
    """Atoms and their images near the cell: what `position[owner] + shift @ cell` is. Unused places have owner -1."""

    owner: Array
    shift: Array
    needed: Array


def images_near(space: Any, position: Any, cutoff: Any, room: tuple[int, int, int], layers: tuple[int, int, int]):
    """All atoms, put into the cell, and every image of them within `cutoff` of it; axis after axis, `room` for each."""
    n = position.shape[0]
    _, image = space.wrap(position)
    margin = cutoff / space.widths
    along = times(position, inverse(space.cell)) - image.astype(position.dtype)
    owner, shift = jnp.arange(n, dtype=jnp.int32), -image
    needed = []
    for axis in range(3):
        if room[axis] == 0:
            needed.append(jnp.zeros((), jnp.int32))
            continue
        steps = [s for s in range(-layers[axis], layers[axis] + 1) if s]
        moved = jnp.concatenate([along[:, axis] + s for s in steps])
        near = (moved >= -margin[axis]) & (moved <= 1 + margin[axis]) & jnp.tile(owner >= 0, len(steps))
        chosen = places_of(near, room[axis])
        needed.append(jnp.sum(near, dtype=jnp.int32))
        source, valid = chosen % owner.size, chosen < near.size
        step = jnp.asarray(np.repeat(steps, owner.size), jnp.int32).at[chosen].get(mode="fill", fill_value=0)
        added = jnp.zeros((room[axis], 3), jnp.int32).at[:, axis].set(step)
        along = jnp.concatenate([along, along[source] + added.astype(along.dtype)])
        shift = jnp.concatenate([shift, shift[source] + added])
        owner = jnp.concatenate([owner, jnp.where(valid, owner[source], -1)])
    return Images(owner, shift, jnp.stack(needed))


def places_of(chosen: Any, room: int) -> Array:
    """The places (room,) of what is true in `chosen` (m,), padded with m."""
    size = chosen.size
    target = jnp.where(chosen, counts_before(chosen), room)
    index = jnp.arange(size, dtype=jnp.int32)
    return jnp.full(room, size, jnp.int32).at[target].set(index, mode="drop", unique_indices=False)


def counts_before(counts: Any) -> Array:
    """The sum of all counts (m,) before each.

    Sums along the rows of a square, then over its rows, by products with triangles of ones: `cumsum` does the same
    with a tree of slices, which takes XLA many times longer to compile on a CPU, and to run.
    """
    size = counts.size
    side = int(np.ceil(np.sqrt(size)))
    square = jnp.pad(counts, (0, side * side - size)).reshape(side, side).astype(jnp.float32)
    triangle = jnp.asarray(np.tri(side, k=-1), jnp.float32)
    rows = times(triangle, jnp.sum(square, axis=1))  # exact: whole numbers below 2**24
    return (times(square, triangle.T) + rows[:, None]).reshape(-1)[:size].astype(jnp.int32)


class Grid(NamedTuple):
    """The sorted order and its places, where each fine cell starts in it, and the geometry of the cells."""

    order: Array
    first: Array
    place: Array
    origin: Array
    size: Array


def sort_into_cells(place: Any, valid: Any, cutoff: Any, counts: tuple[int, int, int]) -> Grid:
    """Places (e, 3) sorted by cell, columns along z; those not valid come last.

    Columns are never narrower than those that are visited around an atom need to be, wherever the atoms have gone.
    """
    low = jnp.min(jnp.where(valid[:, None], place, jnp.inf), axis=0)
    high = jnp.max(jnp.where(valid[:, None], place, -jnp.inf), axis=0)
    low, high = low - 1e-3 * (high - low + 1), high + 1e-3 * (high - low + 1)
    least = 1.001 * cutoff / COLUMNS * jnp.asarray([1, 1, 0], place.dtype)
    size = jnp.maximum((high - low) / jnp.asarray(counts, place.dtype), least)
    cell = cell_of(place, low, size, counts)
    cells = counts[0] * counts[1] * counts[2]
    number = jnp.where(valid, (cell[:, 0] * counts[1] + cell[:, 1]) * counts[2] + cell[:, 2], cells)
    number, order = jax.lax.sort((number, jnp.arange(number.size, dtype=jnp.int32)), num_keys=1, is_stable=False)
    first = counts_before(jnp.zeros(cells + 1, jnp.int32).at[number].add(1))
    return Grid(order, first, place[order], low, size)


def cell_of(place: Any, origin: Any, size: Any, counts: tuple[int, int, int]) -> Array:
    """The cell (..., 3) of a place, those outside put into the outermost cells."""
    cell = jnp.floor((place - origin[None, :]) / size[None, :]).astype(jnp.int32)
    return jnp.clip(cell, 0, jnp.asarray(counts, jnp.int32)[None, :] - 1)


def windows(grid: Grid, center: Any, cutoff: Any, counts: tuple[int, int, int]) -> tuple[Array, Array]:
    """Where, in each column near each center (n, 3), what may be within `cutoff` starts and stops: two (w, n)."""
    slack = 1e-5 * jnp.max(grid.size * jnp.asarray(counts, center.dtype))
    cutoff = cutoff + slack
    column = cell_of(center, grid.origin, grid.size, counts)[:, :2]
    ring = range(-COLUMNS, COLUMNS + 1)
    offsets = jnp.asarray([(i, j) for i in ring for j in ring], jnp.int32)

    def window(offset):
        near = column + offset[None, :]
        edge = grid.origin[None, :2] + near.astype(center.dtype) * grid.size[None, :2]
        gap = jnp.maximum(0, jnp.maximum(edge - center[:, :2], center[:, :2] - edge - grid.size[None, :2]))
        rest = cutoff**2 - jnp.sum(gap**2, axis=1)
        inside = (near >= 0) & (near < jnp.asarray(counts[:2], jnp.int32)[None, :])
        valid = (rest > 0) & inside[:, 0] & inside[:, 1]
        half = jnp.sqrt(jnp.maximum(rest, 0))
        level = lambda z: jnp.clip(jnp.floor((z - grid.origin[2]) / grid.size[2]).astype(jnp.int32), 0, counts[2] - 1)
        base = jnp.where(valid, (near[:, 0] * counts[1] + near[:, 1]) * counts[2], 0)
        start = grid.first[base + level(center[:, 2] - half)]
        stop = grid.first[base + level(center[:, 2] + half) + 1]
        return start, jnp.where(valid, stop, start)

    return jax.vmap(window)(offsets)


def compact(grid: Grid, start: Any, stop: Any, home: Any, cutoff: Any, slots: int) -> tuple[Array, Array]:
    """Rows (slots, n) of the places within `cutoff` of each `home` (n,), and how many there are (n,)."""
    n, pad = home.size, grid.order.size
    lane = jnp.arange(n, dtype=jnp.int32)
    x, y, z = grid.place[:, 0], grid.place[:, 1], grid.place[:, 2]
    pick = lambda v, index: v.at[index].get(mode="promise_in_bounds")
    here = pick(x, home), pick(y, home), pick(z, home)

    def visit(carry, window):
        start, stop = window

        def test(k, carry):
            rows, found = carry
            candidate = jnp.minimum(start + k, pad - 1)
            d = [a - pick(v, candidate) for a, v in zip(here, (x, y, z), strict=True)]
            near = (
                (d[0] * d[0] + d[1] * d[1] + d[2] * d[2] < cutoff * cutoff) & (start + k < stop) & (candidate != home)
            )
            # written in any case, and overwritten by the next if it was not near
            where = jnp.minimum(found, slots) * n + lane
            rows = rows.at[where].set(candidate, mode="promise_in_bounds", unique_indices=True)
            return rows, found + near.astype(jnp.int32)

        return jax.lax.fori_loop(jnp.zeros((), jnp.int32), jnp.max(stop - start), test, carry), None

    empty = jnp.full((slots + 1) * n, pad, jnp.int32), jnp.zeros(n, jnp.int32)
    (rows, found), _ = jax.lax.scan(visit, empty, (start, stop))
    rows = rows.reshape(slots + 1, n)[:slots]
    return jnp.where(jnp.arange(slots, dtype=jnp.int32)[:, None] < found[None, :], rows, pad), found
