"""A simulator from a vector field: one fixed step of a diffrax solver."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
from jaxtyping import PyTree

from ._presets import nonstiff
from ._simulator import AbstractSimulator
from ._solution import TimeState
from ._types import parameter


class FixedStep(AbstractSimulator[TimeState]):
    r"""Advances $\dot y = f(t, y)$ by `dt` with one step of a diffrax solver; the state is `TimeState(t, y)`.

    For `rollout` and its adjoints, where every step costs the same. Each step starts afresh, so a solver that carries
    a stage over (FSAL) evaluates it again.

    - `vector_field`: a function `f(t, y, args)`, called with `args = None`.
    - `solver`: a diffrax solver, `nonstiff()` by default.
    """

    vector_field: Callable[..., PyTree]
    dt: Any = parameter()
    solver: diffrax.AbstractSolver = eqx.field(default_factory=nonstiff)

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        term: Any = diffrax.ODETerm(self.vector_field)
        end = state.t + self.dt
        solver = _differentiable(self.solver)
        start = solver.init(term, state.t, end, state.y, None)
        y, _, _, _, _ = solver.step(term, state.t, end, state.y, None, start, made_jump=True)
        return TimeState(t=end, y=y)


def _differentiable(solver: diffrax.AbstractSolver) -> diffrax.AbstractSolver:
    """The solver with its loop over stages in the form that has a forward and a reverse mode."""
    if not isinstance(solver, diffrax.AbstractRungeKutta):
        return solver
    return eqx.tree_at(lambda s: s.scan_kind, solver, "bounded", is_leaf=lambda x: x is None)
