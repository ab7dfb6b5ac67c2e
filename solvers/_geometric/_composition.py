"""Many steps of one simulator as one: repeated, and composed to a higher order."""

from typing import Any, Generic

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from .._simulator import AbstractSimulator
from .._types import as_parameter, Scalar, State
from ._part import at_time, check_part, check_way_back, end_of_step, many_steps


class Repeated(AbstractSimulator[State], Generic[State]):
    """`n` steps of a simulator as one; `dt` is `n` times as long.

    For `Strang` with parts that need steps of different length. `VelocityVerlet`, `BAOAB` and `OBABO` begin a step
    with the force that ended the last one, so that `n` steps in one take n + 1 forces, not 2 n.
    """

    simulator: AbstractSimulator[State]
    n: int = eqx.field(static=True)

    def __check_init__(self) -> None:
        check_part(self, self.simulator)
        check_count(self, 1)

    @property
    def dt(self) -> Scalar:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The whole step."""
        return self.n * as_parameter(self.simulator.dt)

    def __call__(self, state: State) -> State:
        """The state after all of these steps."""
        return at_time(many_steps(self.simulator, state, None, self.n), end_of_step(state, self.dt))


class Composition(AbstractSimulator[State], Generic[State]):
    r"""Steps of $w_1 h, w_2 h, \dots$ by one simulator, with $\sum_i w_i = 1$.

    Of a symmetric simulator of order 2, symmetric weights can make one of order 4, 6, …; some of them are negative,
    so that it must be one that can go back in time. `yoshida4` and `yoshida6` are ready-made.

    - `simulator`: any with a field `dt`, or made of such ones.
    - `weights`: numbers whose sum is 1.
    """

    simulator: AbstractSimulator[State]
    weights: tuple[float, ...] = eqx.field(static=True, converter=lambda ws: tuple(map(float, ws)))

    def __check_init__(self) -> None:
        check_part(self, self.simulator)
        if not self.weights or abs(sum(self.weights) - 1) > 1e-12:
            raise ValueError(f"The weights of a Composition must sum to 1, not {sum(self.weights)}.")
        if min(self.weights) < 0:
            check_way_back(self, self.simulator)

    @property
    def dt(self) -> Scalar:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The whole step."""
        return as_parameter(self.simulator.dt)

    def __call__(self, state: State) -> State:
        """The state after all of these steps."""
        weights = jnp.asarray(self.weights, self.dt.dtype)
        return at_time(many_steps(self.simulator, state, weights, len(weights)), end_of_step(state, self.dt))


def yoshida4(simulator: AbstractSimulator[State]) -> Composition[State]:
    r"""Order 4 from a symmetric simulator of order 2: three steps of $w_1 h, w_0 h, w_1 h$, $w_1 = 1/(2 - 2^{1/3})$.

    Source: H. Yoshida, Phys. Lett. A 150, 262 (1990), doi:10.1016/0375-9601(90)90092-3.
    """
    outer = 1 / (2 - 2 ** (1 / 3))
    return Composition(simulator, (outer, 1 - 2 * outer, outer))


def yoshida6(simulator: AbstractSimulator[State]) -> Composition[State]:
    """Order 6 from a symmetric simulator of order 2: seven steps, Yoshida's solution A.

    Source: H. Yoshida, Phys. Lett. A 150, 262 (1990), doi:10.1016/0375-9601(90)90092-3; the digits by Newton's method
    on the conditions of order 6.
    """
    outer = (0.78451361047755726382, 0.23557321335935813368, -1.1776799841788710069)
    return Composition(simulator, (*outer, 1.3151863206839112189, *outer[::-1]))


def check_count(simulator: Any, least: int) -> None:
    """The number of steps `n` is a multiple of `least`."""
    n = simulator.n
    if isinstance(n, bool) or not isinstance(n, int | np.integer) or n < least or n % least:
        what = "a whole number of steps, 1 or more" if least == 1 else "an even number of short steps, 2 or more"
        raise ValueError(f"{type(simulator).__name__}.n must be {what}, not {n!r}.")
