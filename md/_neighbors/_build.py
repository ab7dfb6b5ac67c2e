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
        short = jnp.floor(margin[axis]) + 1 > layers[axis]  # images from farther away than is looked for
        needed.append(jnp.where(short, jnp.iinfo(jnp.int32).max, jnp.sum(near, dtype=jnp.int32)))
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
    i, j, k = (cell_along(place[:, axis], low[axis], size[axis], counts[axis]) for axis in range(3))
    cells = counts[0] * counts[1] * counts[2]
    number = jnp.where(valid, (i * counts[1] + j) * counts[2] + k, cells)
    order = sorted_order(number, cells + 1)
    first = counts_before(jnp.zeros(cells + 1, jnp.int32).at[number].add(1))
    return Grid(order, first, place[order], low, size)


def sorted_order(number: Any, count: int) -> Array:
    """The stable order (m,) that sorts whole numbers (m,) below `count`.

    A digit and a place are packed into one unsigned number, and digits sorted one after the other, the last first; one
    does up to some hundred thousand atoms. XLA sorts single numbers six times faster than pairs on a CPU.
    """
    size = number.size
    low = max(1, (size - 1).bit_length())
    place, mask = jnp.arange(size, dtype=jnp.uint32), jnp.asarray((1 << low) - 1, jnp.uint32)
    order = jnp.arange(size, dtype=jnp.int32)
    for shift in range(0, max(1, (count - 1).bit_length()), 32 - low):
        digit = jax.lax.shift_right_logical(number[order], jnp.asarray(shift, jnp.int32)).astype(jnp.uint32)
        packed = jnp.sort(jax.lax.shift_left(digit, jnp.asarray(low, jnp.uint32)) | place)
        order = order[(packed & mask).astype(jnp.int32)]
    return order


def cell_along(x: Any, origin: Any, size: Any, count: int) -> Array:
    """The cells along one axis that coordinates are in, those outside put into the outermost."""
    return jnp.clip(jnp.floor((x - origin) / size).astype(jnp.int32), 0, count - 1)


def windows(grid: Grid, center: Any, cutoff: Any, counts: tuple[int, int, int]) -> Array:
    """Where, in each column near each center (n, 3), what may be within `cutoff` starts and stops: (2, w, n).

    One expression with one result: of two, XLA would compute the root and the cells several times.
    """
    cutoff = cutoff + 1e-5 * jnp.max(grid.size * jnp.asarray(counts, center.dtype))
    ring = jnp.arange(-COLUMNS, COLUMNS + 1, dtype=jnp.int32)[:, None]

    def columns(axis):
        x, origin, size = center[:, axis], grid.origin[axis], grid.size[axis]
        near = cell_along(x, origin, size, counts[axis])[None, :] + ring
        edge = origin + near.astype(x.dtype) * size
        gap = jnp.maximum(0, jnp.maximum(edge - x[None, :], x[None, :] - edge - size))
        return near, jnp.where((near >= 0) & (near < counts[axis]), gap**2, jnp.inf)

    (i, along_x), (j, along_y) = columns(0), columns(1)
    both = lambda x, y: (x[:, None, :] + y[None, :, :]).reshape(-1, center.shape[0])
    rest = cutoff**2 - both(along_x, along_y)
    end = jnp.asarray([0, 1], jnp.int32)[:, None, None]
    z = center[None, None, :, 2] + (2 * end - 1).astype(center.dtype) * jnp.sqrt(jnp.maximum(rest, 0))[None, :, :]
    level = cell_along(z, grid.origin[2], grid.size[2], counts[2])
    cell = both(i * counts[1], j)[None, :, :] * counts[2] + level + end
    return pick(grid.first, jnp.where(rest[None, :, :] > 0, cell, 0))


def pick(x: Any, index: Any) -> Array:
    """Entries of an array at places that are known to be valid."""
    return x.at[index].get(mode="promise_in_bounds")
