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
import numpy as np
from jaxtyping import PyTree

from ._diffeqsolve import DirectAdjoint, ForwardMode, RecursiveCheckpointAdjoint
from ._linear_call import with_transpose
from ._loop import Recording, scan_in_chunks
from ._programs import can_be_lowered, seldom_collecting
from ._results import RESULTS
from ._tree import is_concrete
from ._types import State

# Numbers, by which forward mode gives a gradient sooner than reverse mode: it compiles in half the time, and runs no
# slower for 2 to 30 components of the state. For 10 000 that holds for 2 numbers; by 8 it takes twice as long.
_FEW = 8
_SMALL = 100  # components of a state, which for half as many numbers may be more
_MANY = 100_000  # numbers in a solution: forward mode holds their derivatives by all numbers at once

Run = Callable[[diffrax.AbstractAdjoint, Any], Any]  # a solve, as a function of the adjoint and of what it depends on


class AbstractAdjoint(eqx.Module):
    """How to differentiate a run. To add one, implement `run` (for `rollout`) and `solve` (for `integrate`).

    `run` is given the simulator itself, not a closure over it, so that an adjoint can ask more of it than one step (a
    reversible simulator for its inverse, say).
    """

    @abc.abstractmethod
    def run(
        self, simulator: Callable[[State], State], state: State, recording: Recording
    ) -> tuple[State, PyTree, RESULTS]:
        """The last state, the saved observations (stacked) and the verdict of `recording.steps` steps from `state`."""

    @abc.abstractmethod
    def solve(self, run: Run, given: PyTree) -> PyTree:
        """`run(adjoint, given)`, a solve from `given.y0` that is given the diffrax adjoint to use; or a ValueError."""


class Unrolled(AbstractAdjoint):
    """Differentiates through every step as it stands: forward, reverse, any order; memory grows like n."""

    def run(self, simulator, state, recording):
        """A plain scan."""
        return *scan_in_chunks(simulator, state, recording, recording.steps, lambda f: f), RESULTS.successful

    def solve(self, run, given):
        """With `diffrax.DirectAdjoint`."""
        return run(DirectAdjoint(), given)


class Checkpointed(AbstractAdjoint):
    r"""Forward mode, and reverse mode that stores some states and recomputes the others.

    In `rollout`:

    - `checkpoints=None`: a state every $\sqrt n$ steps; memory $O(\sqrt n)$, each step computed twice. Forward and
      reverse mode, any order.
    - `checkpoints=k`: $k$ states at a time, placed by the binomial scheme; memory $O(k)$, each step computed about
      $\log n$ times if $k \sim \log n$. Reverse mode only, first order.

    In `integrate`, where $n$ is not known beforehand: the binomial scheme with $k$ states, by default as many as
    `max_steps` needs for $O(n \log n)$. Both modes, forward over forward too; a solve runs, and is differentiated in
    forward mode, as with `Forward()`. If `checkpoints` is None, so is a gradient by at most 8 numbers (4 if the state
    has more than 100), which costs less. With effects in it (a progress meter, `jax.debug.print`): reverse mode only.

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

    def solve(self, run, given):
        """With `diffrax.ForwardMode`; in reverse mode by more than a few numbers `RecursiveCheckpointAdjoint`."""
        few = _FEW if self.checkpoints is None else 0
        return _in_both_modes(run, given, RecursiveCheckpointAdjoint(self.checkpoints), few)


class Forward(AbstractAdjoint):
    """Forward mode only (`jax.jvp`, `jax.jacfwd`): memory does not grow with n; cost grows with the parameters."""

    def run(self, simulator, state, recording):
        """A plain scan that refuses reverse mode instead of storing every state."""
        out = scan_in_chunks(simulator, state, recording, recording.steps, lambda f: f)
        return *jax.tree.map(_refuse_reverse, out), RESULTS.successful

    def solve(self, run, given):
        """With `diffrax.ForwardMode`."""
        return run(ForwardMode(), given)


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


def solve_with(adjoint: AbstractAdjoint | diffrax.AbstractAdjoint | None, run: Run, given: PyTree) -> PyTree:
    """`run(adjoint, given)` with one of our adjoints, `Checkpointed()` if there is none, or one of diffrax's."""
    if isinstance(adjoint, diffrax.AbstractAdjoint):
        return run(adjoint, given)
    return (Checkpointed() if adjoint is None else adjoint).solve(run, given)


def _in_both_modes(run: Run, given: PyTree, reverse_adjoint: diffrax.AbstractAdjoint, few: int) -> PyTree:
    """`run` with `diffrax.ForwardMode`, also in forward mode; its reverse mode is that of `run` with the other adjoint.

    A gradient by no more than `few` numbers is computed in forward mode, too: half as many for a large state, none for
    a very large solution.

    The two solves are compiled apart, so their steps differ by rounding. Nothing may depend on that: `run` must return
    what belongs to the solution, not to a step.
    """
    arrays, rest = eqx.partition(given, eqx.is_array)
    with_arrays = lambda adjoint: lambda arrays: run(adjoint, eqx.combine(arrays, rest))
    reverse = with_arrays(reverse_adjoint)
    forward: Any = eqx.filter_closure_convert(with_arrays(ForwardMode()), arrays)
    if forward.jaxpr.effects:  # they cannot be transposed, not even when nothing is asked for
        return reverse(arrays)
    if not is_concrete(forward.consts):  # some function closes over what may be differentiated
        reverse = eqx.filter_closure_convert(reverse, arrays)
    is_shape = lambda x: isinstance(x, jax.ShapeDtypeStruct)
    if _size(eqx.filter(forward.out_struct, is_shape)) > _MANY:
        few = 0
    elif _size(given.y0) > _SMALL:
        few = few // 2
    return eqx.combine(_solve(forward, reverse, few, arrays), eqx.filter(forward.out_struct, is_shape, inverse=True))


def _arrays(run, arrays):
    arrays = jax.tree.map(jnp.asarray, arrays)  # a constant may have become a NumPy array on its way
    return eqx.filter(run(arrays), eqx.is_array)


@eqx.filter_custom_jvp
def _solve(forward, reverse, few, arrays):
    del reverse, few
    return _arrays(forward, arrays)


@_solve.def_jvp
def _solve_jvp(primals, tangents):
    moves = jax.tree.map(lambda t: t is not None, tangents, is_leaf=lambda t: t is None)
    moving, still = eqx.partition(primals, moves)
    still, static = eqx.partition(still, eqx.is_array)
    few = primals[2]

    # A compiled function is skipped as a whole when nothing is asked for its tangent; a loop alone would refuse.
    @jax.jit
    def push_forward(moving, still, tangent):
        def forward(moving):
            forward, _, _, arrays = eqx.combine(moving, still, static)
            return eqx.partition(_arrays(forward, arrays), eqx.is_inexact_array)

        return jax.jvp(forward, (moving,), (tangent,), has_aux=True)

    @seldom_collecting()
    def pull_back(residuals, cotangent):
        moving, still = residuals
        closed_over, swept, _, arrays = moving

        def push(asked):
            tangents = asked[0], jax.tree.map(jnp.zeros_like, swept), None, asked[1]
            return push_forward(moving, still, tangents)[1]

        asked = closed_over, arrays
        if _are_few(asked, few) and can_be_lowered(jax.make_jaxpr(push)(asked)):
            found = _contracted(push, asked, cotangent)
            return found[0], jax.tree.map(jnp.zeros_like, swept), None, found[1]

        def reverse(moving):
            _, reverse, _, arrays = eqx.combine(moving, still, static)
            return jax.tree.leaves(eqx.filter(_arrays(reverse, arrays), eqx.is_inexact_array))

        _, vjp = jax.vjp(reverse, moving)
        return vjp(jax.tree.leaves(cotangent))[0]

    value, tangent, others = push_forward(moving, still, tangents)
    tangent = with_transpose(tangent, pull_back, (moving, still), tangents)
    return eqx.combine(value, others), tangent


def _size(tree: PyTree) -> int:
    return sum(math.prod(x.shape) for x in jax.tree.leaves(tree) if hasattr(x, "shape"))


def _are_few(asked: PyTree, few: int) -> bool:
    """Whether these are at most so many real numbers, and not none."""
    return 0 < _size(asked) <= few and not any(jnp.iscomplexobj(x) for x in jax.tree.leaves(asked))


def _contracted(push_forward: Callable[[PyTree], PyTree], like: PyTree, cotangent: PyTree) -> PyTree:
    """What the transpose of a linear map gives for `cotangent`, by the map itself: applied to each unit vector."""
    leaves, structure = jax.tree.flatten(like)
    cotangents = jax.tree.leaves(cotangent)
    ends = np.cumsum([leaf.size for leaf in leaves])
    rows = [np.eye(ends[-1])[:, end - leaf.size : end] for leaf, end in zip(leaves, ends, strict=True)]
    units = [jnp.asarray(x, leaf.dtype).reshape(len(x), *leaf.shape) for x, leaf in zip(rows, leaves, strict=True)]
    with jax.numpy_dtype_promotion("standard"):
        widest = jnp.finfo(jnp.result_type(*cotangents)).dtype

    def product(ct, t):
        # what nobody asks for may have an infinite derivative; all else stays linear in the cotangent
        return jnp.sum(ct * jnp.where((ct == 0) & ~jnp.isfinite(t), 0, t)).real.astype(widest)

    def entry(unit):
        pushed = jax.tree.leaves(push_forward(structure.unflatten(unit)))
        return sum(map(product, cotangents, pushed), jnp.zeros((), widest))

    found = jnp.split(jax.vmap(entry)(units), ends[:-1])
    pairs = zip(found, leaves, strict=True)
    return structure.unflatten([x.astype(leaf.dtype).reshape(leaf.shape) for x, leaf in pairs])
