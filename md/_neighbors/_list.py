"""Neighbor lists with a skin, for many atoms."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy

from ...solvers import compiled
from ...solvers._host import all_on_host, as_array
from .._space import inverse, times
from ._build import BINS, COLUMNS, images_near, pick, places_of, sort_into_cells, windows
from ._neighbors import AbstractNeighbors, CHUNK, FAR, OfPairs, Standing, sum_slots
from ._rows import BITS, near_words, rows_of
from ._sums import joint_sums

_SPARE = 1.1  # room beyond what the configuration at hand needs


class NeighborList(AbstractNeighbors):
    r"""For each atom the atoms, and images of atoms, within `cutoff` = reach + skin; right until the skin is used up.

    A full list: j is with i, and i with j. Images stand beside the atoms in one sorted order of e places, of which
    `index` (k, n) holds numbers, padded with e: column c belongs to the atom `owner[home[c]]`, and a place is
    `position[owner] + shift.T @ cell`. So any box is right, also one smaller than the cutoff, and the loops over pairs
    need no minimum image.
    """

    cutoff: Any
    index: Any
    home: Any
    inverse: Any
    owner: Any
    shift: Any
    reference: Any
    cell: Any
    way: Any  # (n,): the square of how far each atom has been from there, less what the strain of the cell explains
    stretch: Any  # how much the cell has shrunk since then, at most
    earlier: Any  # the slack of the lists before, at least
    found: Any  # the most neighbors of an atom that were met since then
    images: Any  # the most images along each axis
    longest: Any  # the most candidates in one window
    words: int = eqx.field(static=True)  # in how many words of bits candidates of one window are noted
    room: tuple[int, int, int] = eqx.field(static=True)
    layers: tuple[int, int, int] = eqx.field(static=True)
    cells: tuple[int, int, int] = eqx.field(static=True)

    @staticmethod
    def make(system: Any, cutoff: Any, *, slots: int = 0, words: int = 1, later: Any = None) -> "NeighborList":
        """A list of this configuration, whose values are known, with so much room at least, and room for a later."""
        cutoff = float(np.asarray(cutoff, system.position.dtype))
        known = all_on_host(system)
        room, layers, found = _count(known, cutoff)
        cells = _cells(known, cutoff)
        if later is not None:
            later = all_on_host(later)
            more_room, more_layers, _ = _count(later, cutoff)
            room, layers = tuple(map(max, room, more_room)), tuple(map(max, layers, more_layers))
            cells = tuple(map(min, cells, _cells(later, cutoff)))
        sizes = tuple(int(r * _SPARE) + 16 * (r > 0) for r in room), layers, cells
        slots, reach = max(slots, _slots(found)), as_array(cutoff, system.position.dtype)
        made = _refresh(_blank(system, reach, slots, words, sizes), system)
        if int(made.longest) > BITS * words:
            made = _refresh(_blank(system, reach, slots, _words(made.longest), sizes), system)
        return made

    def refresh(self, system: Any) -> "NeighborList":
        """The list of this configuration."""
        space, position = jax.lax.stop_gradient((system.space, system.position))
        n = position.shape[0]
        images = images_near(space, position, self.cutoff, self.room, self.layers)
        owner = jnp.maximum(images.owner, 0)
        place = position[owner] + times(images.shift.astype(position.dtype), space.cell)
        grid = sort_into_cells(place, images.owner >= 0, self.cutoff, self.cells)
        home = places_of(grid.order < n, n)
        window = windows(grid, grid.place[home], self.cutoff, self.cells)
        words = near_words(grid, window, home, self.cutoff, self.words)
        index = rows_of(words, self.index.shape[0], grid.order.size)
        found = jnp.sum(jax.lax.population_count(words.bits).astype(jnp.int32), axis=0, dtype=jnp.int32)
        inverse = jnp.zeros(n, jnp.int32).at[grid.order[home]].set(jnp.arange(n, dtype=jnp.int32), unique_indices=True)
        last = lambda x: jnp.pad(x, [*[(0, 0)] * (x.ndim - 1), (0, 1)])
        return NeighborList(
            cutoff=self.cutoff,
            index=index,
            home=home,
            inverse=inverse,
            owner=last(owner[grid.order]),
            shift=last(images.shift[grid.order].T),
            reference=position,
            cell=space.cell,
            way=jnp.zeros_like(self.way),
            stretch=jnp.ones_like(self.stretch),
            earlier=self.slack,
            found=jnp.maximum(self.found, jnp.max(found)),
            images=jnp.maximum(self.images, images.needed),
            longest=jnp.maximum(self.longest, words.longest),
            words=self.words,
            room=self.room,
            layers=self.layers,
            cells=self.cells,
        )

    def sweep(
        self, of_pairs: OfPairs, space: Any, position: Any, species: Any, *, chunk: int = CHUNK
    ) -> tuple[Any, ...]:
        """Gathers a few slots of all atoms at a time."""
        place = self._places(space, position)
        kind = pick(species, self.owner)
        here = tuple(pick(x, self.home) for x in place)
        kind_here = pick(kind, self.home)

        def body(index):
            d: Any = tuple(a[None, :] - pick(x, index) for a, x in zip(here, place, strict=True))
            a = jnp.broadcast_to(kind_here[None, :], index.shape)
            return joint_sums(of_pairs(d, a, pick(kind, index)))

        return tuple(pick(x, self.inverse) for x in sum_slots(body, self.index, chunk=chunk))

    def vectors(self, system: Any) -> tuple[Any, Any, Any]:
        """Gathered, atoms in the order of the system."""
        place = jnp.stack(self._places(system.space, system.position), axis=1)
        index = self.index[:, self.inverse].T
        vectors = pick(place, index) - place[self.home[self.inverse]][:, None, :]
        return vectors, system.species[pick(self.owner, index)], index < self.owner.size - 1

    def neighbors(self) -> tuple[Any, Any, Any]:
        """Numbers of the neighbors (n, k), padded with n, their images (n, k, 3) relative to the atom, and presence."""
        index = self.index[:, self.inverse].T
        present = index < self.owner.size - 1
        own = self.shift.T[self.home[self.inverse]][:, None, :]
        return jnp.where(present, pick(self.owner, index), self.home.size), pick(self.shift.T, index) - own, present

    @property
    def slack(self) -> Any:
        """Two atoms can have come closer by as much as the two farthest together have moved."""
        farthest = jnp.max(self.way)
        others = jnp.where(jnp.arange(self.way.size) == jnp.argmax(self.way), 0, self.way)
        closer = jnp.sqrt(farthest) + jnp.sqrt(jnp.max(others))
        return jnp.minimum(self.earlier, self.cutoff * self.stretch - closer)

    def watch(self, space: Any, position: Any) -> "NeighborList":
        """Notes how far each atom has been from where the cell's strain alone would have taken it."""
        space, position = jax.lax.stop_gradient((space, position))
        strain = times(inverse(self.cell), space.cell) - jnp.eye(3, dtype=position.dtype)
        moved = position - self.reference - times(self.reference, strain)
        way = jnp.maximum(self.way, jnp.sum(moved**2, axis=1))
        stretch = jnp.minimum(self.stretch, 1 - jnp.sqrt(jnp.sum(strain**2)))
        return eqx.tree_at(lambda s: (s.way, s.stretch), self, (way, stretch))

    def fault(self, reach: Any) -> Standing:
        """More neighbors or images than there was room for, or atoms that moved farther than the skin allows."""
        full = (self.found > self.index.shape[0]) | (self.longest > BITS * self.words)
        full |= jnp.any(self.images > jnp.asarray(self.room, jnp.int32))
        return Standing(full=full, moved=~(self.slack >= jnp.asarray(reach, self.cutoff.dtype)))

    def grown(self, system: Any, failed: AbstractNeighbors, reach: Any) -> "NeighborList":
        """As many slots as were needed, a tenth more, and cells and images for this box and for the one it became."""
        assert isinstance(failed, NeighborList)
        slots = self.index.shape[0]
        if int(failed.found) > slots:
            slots = _slots(failed.found)
        words = max(self.words, _words(failed.longest))
        if not (np.isfinite(failed.reference).all() and np.isfinite(failed.cell).all()):
            return NeighborList.make(system, self.cutoff, slots=slots, words=words)
        strain = times(inverse(system.space.cell), failed.cell) - jnp.eye(3, dtype=failed.cell.dtype)
        later = system.replace(position=failed.reference, space=system.space.strained(strain))
        return NeighborList.make(system, self.cutoff, slots=slots, words=words, later=later)

    def _places(self, space: Any, position: Any) -> tuple[Any, Any, Any]:
        cell, shift = space.cell, self.shift.astype(position.dtype)
        along = lambda k: sum(shift[m] * cell[m, k] for m in range(3))
        x, y, z = (pick(position[:, k], self.owner) + along(k) for k in range(3))
        last = jnp.arange(x.size, dtype=jnp.int32) == x.size - 1  # where free places of the rows point
        return jnp.where(last, FAR, x), y, z


_refresh = compiled(NeighborList.refresh)


def _slots(found: Any) -> int:
    """So many slots, a tenth more, in whole chunks of a force."""
    return -(-int(int(found) * _SPARE + 2) // CHUNK) * CHUNK


def _words(longest: Any) -> int:
    """So many words for the candidates of a window."""
    return -(-int(longest) // BITS)


def _count(system: Any, cutoff: float) -> tuple[Any, Any, int]:
    """How many images are near along each axis, from how many cells away, and the most neighbors of an atom."""
    cell, widths = np.asarray(system.space.cell, float), np.asarray(system.space.widths, float)
    inside = np.asarray(system.space.wrap(system.position)[0], float)
    layers = tuple(0 if np.isinf(w) else int(np.floor(cutoff / w * (1 + 1e-5))) + 1 for w in widths)
    along, room = inside @ np.linalg.inv(cell), []
    for axis, layer in enumerate(layers):
        unit, margin = np.eye(3)[axis], cutoff / widths[axis] + 1e-6
        copies = [along] if layer == 0 else [along + s * unit for s in range(-layer, layer + 1) if s]
        copies = np.concatenate([c[(c[:, axis] >= -margin) & (c[:, axis] <= 1 + margin)] for c in copies])
        room.append(len(copies) if layer else 0)
        along = np.concatenate([along, copies]) if layer else along
    near = scipy.spatial.KDTree(along @ cell).query_ball_point(inside, cutoff * (1 + 1e-6), return_length=True)
    return tuple(room), layers, int(np.max(near)) - 1


def _cells(system: Any, cutoff: float) -> tuple[int, int, int]:
    """Into how many fine cells to sort; columns a few per cent too wide, to be even if the box shrinks a little."""
    space = system.space
    margin = np.nan_to_num(cutoff / np.asarray(space.widths))  # of an open axis 0
    extent = np.ptp(np.asarray(space.wrap(system.position)[0]), axis=0) + 2 * np.abs(np.asarray(space.cell)).T @ margin
    cells = np.maximum(1, extent / (1.05 * cutoff) * np.array([COLUMNS, COLUMNS, BINS]))
    most = 4.0 * system.position.shape[0] + 4096  # in a thin gas, not many more cells than atoms
    for _ in range(3):  # of which one axis or two may be down to a single cell
        wide = cells > 1
        cells = np.where(wide, np.maximum(1, cells * min(1, most / np.prod(cells)) ** (1 / max(1, wide.sum()))), 1)
    x, y, z = cells.astype(int)
    return int(x), int(y), int(z)


def _blank(system: Any, cutoff: Any, slots: int, words: int, sizes: tuple[Any, Any, Any]) -> NeighborList:
    room, layers, cells = sizes
    n = system.position.shape[0]
    whole = lambda *shape: as_array(np.zeros(shape), jnp.int32)
    places = n + sum(room) + 1
    return NeighborList(
        cutoff=cutoff,
        index=whole(slots, n),
        home=whole(n),
        inverse=whole(n),
        owner=whole(places),
        shift=whole(3, places),
        reference=system.position,
        cell=system.space.cell,
        way=as_array(np.zeros(n), cutoff.dtype),
        stretch=as_array(1.0, cutoff.dtype),
        earlier=cutoff,
        found=whole(),
        images=whole(3),
        longest=whole(),
        words=words,
        room=room,
        layers=layers,
        cells=cells,
    )
