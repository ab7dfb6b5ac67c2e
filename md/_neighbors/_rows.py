"""The rows of a neighbor list: of all candidates of an atom those that are near, without gaps.

First one bit for each candidate, 32 to a word, tested for all atoms at once; then each atom takes one bit after the
other out of its words, which fills the rows slot by slot. See docs/md-notes.md for what else was tried.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._build import Grid, pick

BITS = 32
_CHUNK = 4  # candidates tested at a time: so few are unrolled and vectorized


class Words(NamedTuple):
    """Bits (v, n) of candidates, the place that their lowest bit is for, and which word of the atom's is next.

    `first` (n,) and `after` (v, n) number words along the flattened (v, n) and are v n where no bit is left. `longest`:
    the most candidates in one window.
    """

    bits: Array
    base: Array
    first: Array
    after: Array
    longest: Array


def near_words(grid: Grid, window: Any, home: Any, cutoff: Any, words: int) -> Words:
    """Which places in the windows (2, w, n), at most 32 `words` in each, are within `cutoff` of each `home` (n,)."""
    n, pad = home.size, grid.order.size
    places = tuple(grid.place[:, k] for k in range(3))
    here = tuple(pick(x, home) for x in places)
    step = jnp.arange(_CHUNK, dtype=jnp.int32)[:, None]
    lane = jnp.arange(n, dtype=jnp.int32)
    piece = BITS * jnp.arange(words, dtype=jnp.int32)[None, :, None]
    start, stop = (window[0][:, None] + piece).reshape(-1, n), jnp.repeat(window[1], words, axis=0)
    count = start.shape[0]

    def visit(after, one):
        number, start, stop = one

        def test(part, word):
            k = part * _CHUNK + step
            candidate = start[None, :] + k
            inside = jnp.minimum(candidate, pad - 1)
            x, y, z = (h[None, :] - pick(p, inside) for h, p in zip(here, places, strict=True))
            near = x * x + y * y + z * z < cutoff * cutoff
            near &= (candidate < stop[None, :]) & (candidate != home[None, :])
            bit = jax.lax.shift_left(jnp.ones_like(k, jnp.uint32), k.astype(jnp.uint32))
            return word | jnp.sum(jnp.where(near, bit, 0), axis=0, dtype=jnp.uint32)

        most = jnp.max(stop - start)
        parts = (jnp.clip(most, 0, BITS) + _CHUNK - 1) // _CHUNK
        word = jax.lax.fori_loop(jnp.zeros_like(parts), parts, test, jnp.zeros(n, jnp.uint32))
        return jnp.where(word != 0, number * n + lane, after), (word, after, most)

    numbers = jnp.arange(count, dtype=jnp.int32)
    none = jnp.full(n, count * n, jnp.int32)
    first, (bits, after, most) = jax.lax.scan(visit, none, (numbers, start, stop), reverse=True)
    return Words(bits, start, first, after, jnp.max(most))


def rows_of(words: Words, slots: int, pad: int) -> Array:
    """The candidates whose bits are set, atom by atom: rows (slots, n), padded with `pad`."""
    count, n = words.bits.shape
    # one more row for atoms that have no word left, which read places that all exist
    extended = lambda x, value: jnp.concatenate([x.reshape(-1), jnp.full(n, value, x.dtype)])
    bits, base, after = extended(words.bits, 0), extended(words.base, pad), extended(words.after, count * n)

    def take(carry, _):
        at, word = carry
        lowest = word & (~word + 1)
        candidate = pick(base, at) + jax.lax.population_count(lowest - 1).astype(jnp.int32)
        rest = word ^ lowest
        at = jnp.where(rest == 0, pick(after, at), at)
        return (at, jnp.where(rest == 0, pick(bits, at), rest)), jnp.where(word != 0, candidate, pad)

    return jax.lax.scan(take, (words.first, pick(bits, words.first)), length=slots)[1]
