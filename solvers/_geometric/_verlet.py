"""The method of Störmer and Verlet, in its two forms."""

from collections.abc import Callable
from typing import Any

from jaxtyping import PyTree

from .._simulator import AbstractSimulator
from .._solution import TimeState
from .._types import parameter
from ._pair import check_separable, check_state, joined, later, moved
from ._part import AbstractCarrying


class VelocityVerlet(AbstractCarrying[TimeState]):
    r"""Störmer–Verlet, kick–drift–kick: $p \mathrel{+}= \frac h2 f(q)$, $q \mathrel{+}= h\,g(p)$, $p \mathrel{+}=
    \frac h2 f(q)$.

    For separable fields: the state is `TimeState(t, y)` with a pair `y` such as `Phase(q, p)`, `Motion(q, v)` or a
    plain tuple, $\dot q = g(t, p)$ and $\dot p = f(t, q)$. Of order 2, time-reversible, and symplectic if the field is
    Hamiltonian, so that the energy error stays bounded over exponentially long times. A step takes two forces,
    n steps in one by `Repeated` n + 1; `PositionVerlet` takes one.

    - `vector_field`: a function `f(t, y, args)`, called with `args = None`; of its value one part is used at a time.
    - `dt` $h$: the step, a time; a negative one goes back.

    A state that is not a pair, and a field that is not separable, are a ValueError. Source: E. Hairer, C. Lubich,
    G. Wanner, Acta Numerica 12, 399 (2003), doi:10.1017/S0962492902000144.
    """

    vector_field: Callable[..., PyTree]
    dt: Any = parameter()

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        return self.advance(state, self.carried(state))[0]

    def carried(self, state: TimeState) -> PyTree:
        """The force."""
        check_state(self, state, TimeState)
        check_separable(self, self.vector_field, state.t, state.y)
        return self.vector_field(state.t, state.y, None)[1]

    def advance(self, state: TimeState, carried: PyTree) -> tuple[TimeState, PyTree]:
        """The state at `t + dt`, and the force there."""
        half, end, (q, p) = self.dt / 2, later(state.t, self.dt), state.y
        y = joined(state.y, q, moved(p, half, carried))
        y = drifted(self.vector_field, later(state.t, half), y, self.dt)
        force = self.vector_field(end, y, None)[1]
        return TimeState(t=end, y=joined(y, y[0], moved(y[1], half, force))), force


class PositionVerlet(AbstractSimulator[TimeState]):
    r"""Störmer–Verlet, drift–kick–drift: $q \mathrel{+}= \frac h2 g(p)$, $p \mathrel{+}= h f(q)$, $q \mathrel{+}=
    \frac h2 g(p)$.

    As `VelocityVerlet`, of which it is the other half step by half step, with one force a step: the one to build
    `yoshida4` and `yoshida6` on.

    - `vector_field`: a function `f(t, y, args)`, called with `args = None`; of its value one part is used at a time.
    - `dt` $h$: the step, a time; a negative one goes back.

    A state that is not a pair, and a field that is not separable, are a ValueError. Source: E. Hairer, C. Lubich,
    G. Wanner, Acta Numerica 12, 399 (2003), doi:10.1017/S0962492902000144.
    """

    vector_field: Callable[..., PyTree]
    dt: Any = parameter()

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        check_state(self, state, TimeState)
        check_separable(self, self.vector_field, state.t, state.y)
        half = self.dt / 2
        y = drifted(self.vector_field, later(state.t, half / 2), state.y, half)
        force = self.vector_field(later(state.t, half), y, None)[1]
        y = joined(y, y[0], moved(y[1], self.dt, force))
        y = drifted(self.vector_field, later(state.t, half + half / 2), y, half)
        return TimeState(t=later(state.t, self.dt), y=y)


def drifted(field: Callable[..., PyTree], t: Any, y: Any, dt: Any) -> Any:
    """The first part moved by the second."""
    return joined(y, moved(y[0], dt, field(t, y, None)[0]), y[1])
