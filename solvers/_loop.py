"""The time loop of `rollout`: nested scans that save, checkpoint and report by the chunk."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from ._simulator import AbstractMaintained
from ._types import State

_FEW = 4  # saves


class Recording(eqx.Module):
    """What `rollout` asks of a loop: `saves` observations, one every `save_every` steps.

    `tick(k)` is to be called about every `tick_every` steps with the number of steps done; `None` if nobody listens.
    """

    observe: Callable[[Any], PyTree]
    saves: int = eqx.field(static=True)
    save_every: int = eqx.field(static=True)
    tick: Callable[[Any], None] | None
    tick_every: int = eqx.field(static=True)

    @property
    def steps(self) -> int:
        """The number of steps in all."""
        return self.saves * self.save_every

    def report(self, before: Any, after: Any) -> None:
        """Tell the listener, if there is one and a multiple of `tick_every` (or the end) was reached on the way."""
        if self.tick is None:
            return
        due = (after // self.tick_every > before // self.tick_every) | (after == self.steps)
        tick = self.tick
        jax.lax.cond(due, lambda steps: tick(steps), lambda steps: None, after)  # the module itself cannot be hashed


def scan_in_chunks(
    simulator: Callable[[State], State],
    state: State,
    recording: Recording,
    chunk: int,
    wrap: Callable[[Callable], Callable],
) -> tuple[State, PyTree]:
    """Run `recording.steps` steps in chunks of about `chunk`; `wrap` is put around each chunk (`jax.checkpoint`).

    A chunk is several saves, or one save is several chunks, whichever `save_every` asks for: the chunk is the only
    level that is wrapped, so that checkpointing costs one recomputation.
    """
    every = recording.save_every
    chunk = max(1, min(chunk, recording.tick_every))
    if isinstance(simulator, AbstractMaintained):
        upkeep = max(1, simulator.every(state))
        run = _saves_in_blocks if every <= upkeep else _blocks_in_saves
        return run(simulator, state, recording, (upkeep, chunk), wrap)
    step = lambda s: (simulator(s), None)

    if every <= chunk:

        def save(s):
            s, _ = step(s) if every == 1 else jax.lax.scan(lambda s, _: step(s), s, length=every)
            return s, recording.observe(s)

        report = lambda before, after: recording.report(before * every, after * every)
        saves = chunk // every
        if saves < _FEW:  # a chunk of one save: memory is still within twice the optimum, and there is a loop less
            saves = 1
        return _chunked(save, state, recording.saves, saves, wrap, report)

    def save_after_chunks(s, k):
        report = lambda before, after: recording.report(k * every + before, k * every + after)
        s, _ = _chunked(step, s, every, chunk, wrap, report)
        return s, recording.observe(s)

    return jax.lax.scan(save_after_chunks, state, jnp.arange(recording.saves))


def _saves_in_blocks(simulator, state, recording, sizes, wrap):
    """Blocks of a refresh and several saves."""
    upkeep, chunk = sizes
    every = recording.save_every
    per_block = min(recording.saves, upkeep // every)
    whole, rest = divmod(recording.saves, per_block)

    def save(s, _):
        s, _ = jax.lax.scan(lambda s, _: (simulator(s), None), s, length=every)
        return s, recording.observe(s)

    block = lambda saves: lambda s: jax.lax.scan(save, simulator.refresh(s), length=saves)
    steps = per_block * every
    report = lambda before, after: recording.report(before * steps, after * steps)
    state, out = _chunked(block(per_block), state, whole, max(1, chunk // steps), wrap, report)
    out = jax.tree.map(lambda x: x.reshape(whole * per_block, *x.shape[2:]), out)
    if rest:
        state, more = wrap(block(rest))(state)
        recording.report(jnp.asarray(whole * steps), jnp.asarray(recording.steps))
        out = jax.tree.map(lambda x, y: jnp.concatenate([x, y]), out, more)
    return state, out


def _blocks_in_saves(simulator, state, recording, sizes, wrap):
    """Saves of several blocks, each a refresh and some steps."""
    upkeep, chunk = sizes
    every = recording.save_every
    steps = -(-every // -(-every // upkeep))  # as few blocks as the upkeep allows, of almost one size
    whole, rest = divmod(every, steps)

    def block(steps):
        return lambda s: jax.lax.scan(lambda s, _: (simulator(s), None), simulator.refresh(s), length=steps)

    def save(s, k):
        report = lambda before, after: recording.report(k * every + before * steps, k * every + after * steps)
        s, _ = _chunked(block(steps), s, whole, max(1, chunk // steps), wrap, report)
        if rest:
            s, _ = wrap(block(rest))(s)
            recording.report(k * every + whole * steps, (k + 1) * every)
        return s, recording.observe(s)

    return jax.lax.scan(save, state, jnp.arange(recording.saves))


def _chunked(body, state, length, size, wrap, report):
    """`body` applied `length` times, in chunks of about `size`; outputs stacked."""
    size = _near_divisor(length, size)
    if size >= length:
        state, out = jax.lax.scan(lambda s, _: body(s), state, length=length)
        report(jnp.asarray(0), jnp.asarray(length))
        return state, out
    chunks = -(-length // size)
    if size == 1:
        run = lambda s, c: body(s)
    elif chunks * size == length:
        run = lambda s, c: jax.lax.scan(lambda s, _: body(s), s, length=size)
    else:  # the last chunk is too long: its surplus steps do nothing
        silent = jax.eval_shape(body, state)[1]

        def skip(s):
            return s, jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), silent)

        def run(s, c):
            return jax.lax.scan(lambda s, k: jax.lax.cond(k < length, body, skip, s), s, c * size + jnp.arange(size))

    run = wrap(run)

    def one(s, c):
        s, out = run(s, c)
        report(c * size, jnp.minimum((c + 1) * size, length))
        return s, out

    state, out = jax.lax.scan(one, state, jnp.arange(chunks))
    if size == 1:
        return state, out
    return state, jax.tree.map(lambda x: x.reshape(chunks * size, *x.shape[2:])[:length], out)


def _near_divisor(length: int, size: int) -> int:
    """The divisor of `length` nearest to `size` in ratio, if one lies within a factor of two; else `size`."""
    near = [d for d in range(max(1, size // 2), min(length, 2 * size) + 1) if length % d == 0]
    return min(near, key=lambda d: abs(math.log(d / size)), default=size)
