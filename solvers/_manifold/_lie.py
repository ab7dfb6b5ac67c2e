"""Runge-Kutta methods that stay on Lie groups."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
from jaxtyping import Array, PyTree

from .._fixed_step import FixedStep
from .._geometric._pair import later
from .._presets import nonstiff
from .._simulator import AbstractCautious
from .._solution import TimeState
from .._types import parameter
from ._parts import chart, check_groups, explicit, moved, start, velocity, zero


class RungeKuttaMuntheKaas(AbstractCautious[TimeState]):
    r"""Advances $\dot g = g\, \widehat{a(t, g)}$ by `dt` with a Runge-Kutta method in the algebra.

    Around the element at the start of a step $g = g_0 \exp u$, and $\dot u = \mathrm{dexp}^{-1}_{-u} a(t, g_0 \exp u)$
    is an ordinary equation from $u = 0$, which any method solves with its order. g stays on the group to rounding.

    - `vector_field`: a function `f(t, y, args)`, called with `args = None`; it returns velocities of `groups`, for
      rotations the angular velocity in the axes of the body.
    - `groups`: a group, or a PyTree of groups for the parts of `y`:

            top = lambda t, y, args: (y[1], cross(inertia * y[1], y[1]) / inertia)  # attitude, angular velocity
            RungeKuttaMuntheKaas(top, (UnitQuaternion(), Euclidean()), dt=0.01, solver=diffrax.Dopri8())

    - `dt`: the step, a time in which nothing turns by a full turn.
    - `solver`: a diffrax solver, `nonstiff()` by default.

    An element that is off its group by more than 0.1 percent (a quaternion of norm 0 or 2) is refused, or NaN if its
    value is not known; by less, it is moved there (`project`).
    Source: H. Munthe-Kaas, Appl. Numer. Math. 29, 115 (1999), doi:10.1016/S0168-9274(98)00030-0.
    """

    vector_field: Callable[..., PyTree]
    groups: PyTree
    dt: Any = parameter()
    solver: diffrax.AbstractSolver = eqx.field(default_factory=nonstiff)

    def __check_init__(self) -> None:
        check_groups(self.groups)

    def check(self, state: TimeState) -> None:
        """Refuses elements that are off their groups."""
        start(self.groups, state.y)

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        first = start(self.groups, state.y)

        rate, origin = chart(self.vector_field, self.groups, first), zero(self.groups, first)
        if isinstance(self.solver, diffrax.AbstractERK):
            u = explicit(rate, self.solver.tableau, TimeState(t=state.t, y=origin), self.dt)
        else:
            u = FixedStep(rate, self.dt, self.solver)(TimeState(t=state.t, y=origin)).y
        return TimeState(t=later(state.t, self.dt), y=moved(self.groups, first, u))


class CommutatorFree(AbstractCautious[TimeState]):
    r"""Advances $\dot g = g\, \widehat{a(t, g)}$ by `dt` with products of exponentials alone, of order 4.

    Four evaluations and five exponentials, the last two of them $\exp(\frac{h}{12} (3 a_1 + 2 a_2 + 2 a_3 - a_4))$ and
    $\exp(\frac{h}{12} (-a_1 + 2 a_2 + 2 a_3 + 3 a_4))$. Neither a commutator nor `dexpinv` is needed, and steps may be
    longer than a turn.

    `vector_field`, `groups`, `dt` and what is refused: as for `RungeKuttaMuntheKaas`.
    Source: E. Celledoni, A. Marthinsen, B. Owren, Future Gener. Comput. Syst. 19, 341 (2003),
    doi:10.1016/S0167-739X(02)00161-9.
    """

    vector_field: Callable[..., PyTree]
    groups: PyTree
    dt: Any = parameter()

    def __check_init__(self) -> None:
        check_groups(self.groups)

    def check(self, state: TimeState) -> None:
        """Refuses elements that are off their groups."""
        start(self.groups, state.y)

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        first, half = start(self.groups, state.y), self.dt / 2
        slope = lambda t, y: velocity(self.vector_field, self.groups, t, y)
        move = lambda y, weights, *slopes: moved(self.groups, y, _combined(self.dt, weights, slopes))
        a1 = slope(state.t, first)
        second = move(first, (1 / 2,), a1)
        a2 = slope(later(state.t, half), second)
        a3 = slope(later(state.t, half), move(first, (1 / 2,), a2))
        a4 = slope(later(state.t, self.dt), move(second, (-1 / 2, 1), a1, a3))
        middle = move(first, (1 / 4, 1 / 6, 1 / 6, -1 / 12), a1, a2, a3, a4)
        end = move(middle, (-1 / 12, 1 / 6, 1 / 6, 1 / 4), a1, a2, a3, a4)
        return TimeState(t=later(state.t, self.dt), y=end)


def _combined(dt: Array, weights: Any, slopes: Any) -> PyTree:
    """dt sum_i weights_i slopes_i."""
    total = lambda *k: sum(w * x for w, x in zip(weights, k, strict=True))
    return jax.tree.map(lambda *k: dt.astype(k[0].dtype) * total(*k), *slopes)
