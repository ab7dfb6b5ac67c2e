"""A progress bar that a compiled loop drives."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int
from tqdm.auto import tqdm

_runs = itertools.count()
_bars: dict[int, tqdm] = {}


class Ticker(eqx.Module):
    """`ticker(k)` inside a program shows that k of `total` steps are done; the bar closes with the last.

    One bar per call of `rollout`; it is fed by a host callback from between the chunks of the loop.
    """

    run: Int[Array, ""]
    total: int = eqx.field(static=True)

    def __call__(self, steps_done: Int[Array, ""]) -> None:
        """Report from inside a traced program."""
        jax.debug.callback(_show, self.run, steps_done, self.total)


def ticker(total: int) -> Ticker:
    """A bar of its own for a run of `total` steps."""
    return Ticker(run=jnp.asarray(next(_runs), np.int32), total=total)


def steps_bar(total: int, *, done: int = 0, show: bool = True) -> tqdm:
    """The bar itself, for runs whose segments are driven from the host."""
    return tqdm(total=total, initial=done, unit="step", unit_scale=True, disable=not show)


def _show(run: Array, steps_done: Array, total: Array) -> None:
    key, total_steps = int(run), int(total)
    bar = _bars.get(key)
    if bar is None:
        bar = _bars[key] = steps_bar(total_steps)
    bar.update(max(0, int(steps_done) - bar.n))
    if bar.n >= total_steps:
        _bars.pop(key).close()
