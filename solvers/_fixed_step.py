"""A simulator from a vector field: one fixed step of a diffrax solver."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import PyTree

from ._presets import nonstiff, StepwiseChord
from ._simulator import AbstractSimulator
from ._solution import TimeState
from ._types import parameter


class FixedStep(AbstractSimulator[TimeState]):
    r"""Advances $\dot y = f(t, y)$ by `dt` with one step of a diffrax solver; the state is `TimeState(t, y)`.

    For `rollout` and its adjoints, where every step costs the same. Each step starts afresh, so a solver that carries
    a stage over (FSAL) evaluates it again.

    - `vector_field`: a function `f(t, y, args)`, called with `args = None`.
    - `dt`: the step, a time.
    - `solver`: a diffrax solver, `nonstiff()` by default. An implicit one whose equations cannot be solved gives NaN.
    """

    vector_field: Callable[..., PyTree]
    dt: Any = parameter()
    solver: diffrax.AbstractSolver = eqx.field(default_factory=nonstiff)

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        if isinstance(self.solver, diffrax.AbstractERK):
            y = self._explicit(state, self.solver.tableau)
        else:
            y = self._any(state)
        return TimeState(t=state.t + self.dt, y=y)

    def _explicit(self, state: TimeState, tableau: Any) -> PyTree:
        """The stages one by one: diffrax's loop over them has both modes of differentiation only at 7 x the time."""
        rows = [[], *tableau.a_lower]
        times = [0.0, *tableau.c]
        weights = [float(b) for b in tableau.b_sol]
        used = max(i for i, b in enumerate(weights) if b != 0) + 1
        stages: list[PyTree] = []
        for row, c in zip(rows[:used], times[:used], strict=True):
            y = _combine(state.y, self.dt, row, stages)
            stages.append(self.vector_field(state.t + float(c) * self.dt, y, None))
        return _combine(state.y, self.dt, weights[:used], stages)

    def _any(self, state: TimeState) -> PyTree:
        term: Any = diffrax.ODETerm(self.vector_field)
        end = state.t + self.dt
        solver = _ready(self.solver, state.y)
        start = solver.init(term, state.t, end, state.y, None)
        y, _, _, _, result = solver.step(term, state.t, end, state.y, None, start, made_jump=True)
        return jax.tree.map(lambda x: jnp.where(result == diffrax.RESULTS.successful, x, jnp.nan), y)


def _combine(y: PyTree, dt: Any, weights: Any, slopes: list[PyTree]) -> PyTree:
    """y + dt sum_i weights_i slopes_i, in the dtype of y."""
    terms = [(float(w), k) for w, k in zip(weights, slopes, strict=True) if w != 0]
    if not terms:
        return y
    total = jax.tree.map(lambda *k: sum(w * x for (w, _), x in zip(terms, k, strict=True)), *[k for _, k in terms])
    return jax.tree.map(lambda a, b: a + dt.astype(a.dtype) * b, y, total)


def _ready(solver: Any, y: PyTree) -> Any:
    """The solver with its stages in a loop that has both modes, and its equations solved to rounding."""
    if isinstance(solver, diffrax.AbstractRungeKutta):
        solver = eqx.tree_at(lambda s: s.scan_kind, solver, "bounded", is_leaf=lambda x: x is None)
    if isinstance(solver, diffrax.AbstractImplicitSolver) and not eqx.is_array_like(solver.root_finder.rtol):
        eps = max(float(jnp.finfo(leaf.dtype).eps) for leaf in jax.tree.leaves(y))
        tolerances = (1e3 * eps, 1e3 * eps, optx.max_norm)
        if type(solver.root_finder) is diffrax.VeryChord:  # the default, which takes stagnation for divergence
            return eqx.tree_at(lambda s: s.root_finder, solver, StepwiseChord(*tolerances))
        finder = lambda s: (s.root_finder.rtol, s.root_finder.atol, s.root_finder.norm)
        solver = eqx.tree_at(finder, solver, tolerances)
    return solver
