"""How a run is differentiated: objects that `rollout` and `integrate` take."""

import abc
import functools as ft
import math
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import equinox.internal as eqxi
import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from ._loop import Recording, scan_in_chunks
from ._results import RESULTS
from ._types import State


class AbstractAdjoint(eqx.Module):
    """How to differentiate a run. To add one, implement `run` (for `rollout`) and `for_diffrax` (for `integrate`).

    `run` is given the simulator itself, not a closure over it, so that an adjoint can ask more of it than one step (a
    reversible simulator for its inverse, say).
    """

    @abc.abstractmethod
    def run(
        self, simulator: Callable[[State], State], state: State, recording: Recording
    ) -> tuple[State, PyTree, RESULTS]:
        """The last state, the saved observations (stacked) and the verdict of `recording.steps` steps from `state`."""

    @abc.abstractmethod
    def for_diffrax(self) -> diffrax.AbstractAdjoint:
        """The diffrax adjoint with the same meaning, or a ValueError."""


class Unrolled(AbstractAdjoint):
    """Differentiates through every step as it stands: forward, reverse, any order; memory grows like n."""

    def run(self, simulator, state, recording):
        """A plain scan."""
        return *scan_in_chunks(simulator, state, recording, recording.steps, lambda f: f), RESULTS.successful

    def for_diffrax(self):
        """`diffrax.DirectAdjoint`."""
        return diffrax.DirectAdjoint()


class Checkpointed(AbstractAdjoint):
    r"""Reverse mode that stores some states and recomputes the others.

    - `checkpoints=None`: a state every $\sqrt n$ steps; memory $O(\sqrt n)$, each step computed twice. Forward and
      reverse mode, any order.
    - `checkpoints=k`: $k$ states at a time, placed by the binomial scheme; memory $O(k)$, each step computed about
      $\log n$ times if $k \sim \log n$. Reverse mode only, first order.

    Source: A. Griewank and A. Walther, ACM TOMS 26, 19 (2000), doi:10.1145/347837.347846.
    """

    checkpoints: int | None = eqx.field(default=None, static=True)

    def __check_init__(self):
        if self.checkpoints is not None and self.checkpoints < 1:
            raise ValueError(f"checkpoints must be at least 1 (or None), not {self.checkpoints}.")

    def run(self, simulator, state, recording):
        """A scan over chunks that are recomputed in the backward pass."""
        if self.checkpoints is None:
            # prevent_cse: a scan is a barrier of its own
            wrap = ft.partial(jax.checkpoint, prevent_cse=False)
            out = scan_in_chunks(simulator, state, recording, math.isqrt(recording.steps), wrap)
        else:
            if recording.tick is not None:
                raise ValueError("A progress bar needs Checkpointed() without a number of checkpoints.")
            out = _binomial(simulator, state, recording, self.checkpoints)
        return *out, RESULTS.successful

    def for_diffrax(self):
        """`diffrax.RecursiveCheckpointAdjoint`."""
        return diffrax.RecursiveCheckpointAdjoint(checkpoints=self.checkpoints)


class Forward(AbstractAdjoint):
    """Forward mode only (`jax.jvp`, `jax.jacfwd`): memory does not grow with n; cost grows with the parameters."""

    def run(self, simulator, state, recording):
        """A plain scan that refuses reverse mode instead of storing every state."""
        out = scan_in_chunks(simulator, state, recording, recording.steps, lambda f: f)
        return *jax.tree.map(_refuse_reverse, out), RESULTS.successful

    def for_diffrax(self):
        """`diffrax.ForwardMode`."""
        return diffrax.ForwardMode()


def _refuse_reverse(x: Any) -> Any:
    if not eqx.is_inexact_array(x):
        return x
    return eqxi.nondifferentiable_backward(
        x, msg="`Forward()` differentiates in forward mode only (jax.jvp, jax.jacfwd). For jax.grad use Checkpointed()."
    )


def _binomial(simulator, state, recording, checkpoints):
    def scan(step, init, length):
        return eqxi.scan(
            step, init, jnp.arange(length), length, kind="checkpointed", checkpoints=min(checkpoints, length)
        )

    def advance(s, _):
        return simulator(s), None

    def save(s, k):
        s, _ = advance(s, k) if recording.save_every == 1 else scan(advance, s, recording.save_every)
        return s, recording.observe(s)

    return scan(save, state, recording.saves)
