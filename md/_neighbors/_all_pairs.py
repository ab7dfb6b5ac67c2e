"""All pairs: nothing to rebuild, nothing to gather; the best for a few hundred atoms."""

import itertools
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ...solvers._host import all_on_host, as_array, namespace_of
from .._space import times
from ._neighbors import AbstractNeighbors, CHUNK, FAR, OfPairs, Standing, sum_slots
from ._sums import joint_sums


class AllPairs(AbstractNeighbors):
    """Every atom with every other: the nearest image of each, or all images if `cutoff` is longer than half the box.

    `images` (static) holds the cell translations to visit; empty: the nearest image, whichever it is.
    """

    cutoff: Any
    images: tuple[tuple[int, int, int], ...] = eqx.field(static=True)
    slack: Any

    @staticmethod
    def make(space: Any, cutoff: Any) -> "AllPairs":
        """For this space and reach, whose values are known."""
        space, reach = all_on_host(space), float(cutoff)
        widths, dtype = space.widths, space.cell.dtype
        images: Any = ()
        if 2 * reach > widths.min():
            # an image farther than this many cells away is out of reach even between opposite corners
            counts = [0 if np.isinf(w) else int(np.floor(reach / w)) + 1 for w in widths]
            images = tuple(itertools.product(*(range(-c, c + 1) for c in counts)))
        pairs = AllPairs(as_array(cutoff, dtype), images, np.asarray(np.finfo(dtype).max, dtype))
        return eqx.tree_at(lambda s: s.slack, pairs, as_array(np.minimum(pairs.slack, pairs._span(space)), dtype))

    def _span(self, space: Any) -> Any:
        """The longest reach that `images` cover."""
        widths = space.widths
        xp = namespace_of(widths)
        if not self.images:
            return xp.min(widths) / 2
        with np.errstate(invalid="ignore"):  # 0 images of an infinite width
            covered = widths * xp.asarray(np.max(self.images, axis=0), widths.dtype)
        return xp.min(xp.where(xp.isinf(widths), xp.inf, covered))

    def sweep(
        self, of_pairs: OfPairs, space: Any, position: Any, species: Any, *, chunk: int = CHUNK
    ) -> tuple[Any, ...]:
        """Loops over j, with all i side by side."""
        n = position.shape[0]
        other = jnp.arange(n, dtype=jnp.int32)
        if self.images:
            position = space.wrap(position)[0]
        sources = self._sources(space, position)
        slots = (jnp.tile(other, max(1, len(self.images))), sources, jnp.tile(species, max(1, len(self.images))))
        home = jnp.arange(slots[0].size) // n == self._home()

        def body(slot):
            j, source, b, home = slot
            wide = lambda x: jnp.broadcast_to(x[:, None], (j.size, n))
            d: Any = tuple(position[None, :, k] - source[:, k, None] for k in range(3))
            if not self.images:
                d = space.nearest(d)
            present = ~((wide(j) == other[None, :]) & wide(home))
            d = jnp.where(present, d[0], FAR), d[1], d[2]
            return joint_sums(of_pairs(d, jnp.broadcast_to(species[None, :], (j.size, n)), wide(b)))

        return sum_slots(body, (*slots, home), chunk=chunk)

    def _home(self) -> int:
        return self.images.index((0, 0, 0)) if self.images else 0

    def _sources(self, space: Any, position: Any) -> Any:
        if not self.images:
            return position
        shifts = times(jnp.asarray(self.images, position.dtype), space.cell)
        return (position[None, :, :] + shifts[:, None, :]).reshape(-1, 3)

    def vectors(self, system: Any) -> tuple[Any, Any, Any]:
        """All other atoms, or all their images."""
        space, position, n = system.space, system.position, system.position.shape[0]
        if self.images:
            position = space.wrap(position)[0]
        sources = self._sources(space, position)
        d = tuple(sources[None, :, k] - position[:, k, None] for k in range(3))
        if not self.images:
            d = space.nearest(d)
        copies = sources.shape[0]
        present = jnp.arange(copies)[None, :] != jnp.arange(n)[:, None] + n * self._home()
        b = jnp.broadcast_to(jnp.tile(system.species, copies // n)[None, :], (n, copies))
        return jnp.stack(d, axis=-1), b, present

    def refresh(self, system: Any) -> "AllPairs":
        """Itself."""
        return self

    def watch(self, space: Any, position: Any) -> "AllPairs":
        """Notes the smallest box."""
        span = jnp.minimum(self.slack, self._span(space).astype(self.slack.dtype))
        return eqx.tree_at(lambda s: s.slack, self, span)

    def fault(self, reach: Any) -> Standing:
        """Too few images for a box that shrank."""
        return Standing(full=~(self.slack >= jnp.asarray(reach, self.slack.dtype)), moved=jnp.asarray(False))

    def grown(self, system: Any, failed: AbstractNeighbors, reach: Any) -> "AllPairs":
        """With the images that the smaller box needs."""
        assert isinstance(failed, AllPairs) and not isinstance(failed.slack, Tracer)
        # as many images as the smallest box met so far would have needed
        shrunk = float(failed.slack) / float(self._span(system.space))
        return AllPairs.make(system.space, float(reach) / min(1.0, shrunk) * 1.05)
