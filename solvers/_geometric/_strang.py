"""Two simulators in turn."""

from collections.abc import Callable
from typing import Generic

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from .._simulator import AbstractSimulator
from .._solution import TimeState
from .._tree import difference, is_concrete
from .._types import as_parameter, Scalar, State
from ._composition import check_count
from ._pair import joined, moved
from ._part import at_time, check_part, end_of_step, many_steps, scaled


class Strang(AbstractSimulator[State], Generic[State]):
    r"""Half a step of `outer`, a step of `inner`, half a step of `outer`: $\dot y = f(t, y) + g(t, y)$ from a simulator
    of $\dot y = f$ and one of $\dot y = g$.

    Of order 2 if both are, and symmetric, symplectic, … if both are. Both have the same `dt`, the time of a whole step
    (`Repeated` makes a shorter one as long); each runs by its own clock, and `t` ends at `t + dt`. A part can be a
    `Strang` itself, so that there are three and more. Source: G. Strang, SIAM J. Numer. Anal. 5, 506 (1968),
    doi:10.1137/0705041.
    """

    outer: AbstractSimulator[State]
    inner: AbstractSimulator[State]

    def __check_init__(self) -> None:
        check_part(self, self.outer, self.inner)
        steps = (self.outer.dt, self.inner.dt)
        if is_concrete(steps) and not np.isclose(float(steps[0]), float(steps[1]), rtol=1e-6):
            raise ValueError(
                f"Strang needs two simulators of the same dt, not {float(steps[0])} and {float(steps[1])}; half the "
                "step of the outer one is taken by itself."
            )

    @property
    def dt(self) -> Scalar:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The whole step."""
        return as_parameter(self.inner.dt)

    def __call__(self, state: State) -> State:
        """One step."""
        half = scaled(self.outer, 0.5)
        first = half(state)
        middle, end = end_of_step(state, as_parameter(half.dt)), end_of_step(state, self.dt)
        state = self.inner(at_time(first, getattr(state, "t", None)))
        return at_time(half(at_time(state, middle)), end)


class RESPA(AbstractSimulator[TimeState]):
    r"""Slow forces once, fast ones `n` times a step: `n / 2` steps of `fast`, a kick $p \mathrel{+}= h f(t, q)$, `n /
    2` steps of `fast`.

    The state is `TimeState(t, y)` with a pair `y` such as `Phase(q, p)`, whose second part `slow` kicks.
    Time-reversible and symplectic if `fast` is, of order 2. For forces that are stiff and cheap beside others that are
    smooth and dear. Resonance limits the whole step to well below half the period of the fastest vibration.

    - `slow`: a function `f(t, q)`, the rate of the second part by the slow forces.
    - `fast`: a simulator of all else, of order 2 or more, its `dt` the short step: `PositionVerlet(field, dt)`, say.
    - `n`: the number of short steps in a step, even. `dt` is `n * fast.dt`.

    Source: M. Tuckerman, B. J. Berne and G. J. Martyna, J. Chem. Phys. 97, 1990 (1992), doi:10.1063/1.463137.
    """

    slow: Callable[..., PyTree]
    fast: AbstractSimulator[TimeState]
    n: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        check_part(self, self.fast)
        check_count(self, 2)

    @property
    def dt(self) -> Scalar:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The whole step."""
        return self.n * as_parameter(self.fast.dt)

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        middle, end = end_of_step(state, self.dt / 2), end_of_step(state, self.dt)
        state = at_time(self._half(state), middle)
        y = state.y
        if not (isinstance(y, tuple) and len(y) == 2):
            raise ValueError(f"RESPA needs a state y of two parts, such as Phase(q, p), not {type(y).__name__}.")
        rate = self.slow(middle, y[0])
        found = difference(jax.eval_shape(lambda: rate), jax.eval_shape(lambda: y[1]), "slow(t, q)")
        if found is not None:
            raise ValueError(f"RESPA.slow must return what the second part looks like, but {found}.")
        kicked = joined(y, y[0], moved(y[1], self.dt, rate))
        return at_time(self._half(TimeState(t=middle, y=kicked)), end)

    def _half(self, state: TimeState) -> TimeState:
        return many_steps(self.fast, state, None, self.n // 2)
