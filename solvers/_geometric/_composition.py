"""Compositions of a simulator with itself, of higher order."""

import dataclasses
from typing import Any, Generic

import equinox as eqx
import jax
import jax.numpy as jnp

from .._simulator import AbstractSimulator
from .._types import Scalar, State, strong
from ._pair import later


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
        if not self.weights or abs(sum(self.weights) - 1) > 1e-12:
            raise ValueError(f"The weights of a Composition must sum to 1, not {sum(self.weights)}.")

    @property
    def dt(self) -> Scalar:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The whole step."""
        return self.simulator.dt

    def __call__(self, state: State) -> State:
        """The state after all of these steps."""
        weights = jnp.asarray(self.weights, self.dt.dtype)
        one = lambda state, weight: (scaled(self.simulator, weight)(state), None)
        last, _ = jax.lax.scan(one, jax.tree.map(strong, state), weights)
        return at_time(last, end_of_step(state, self.dt))


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


def scaled(simulator: Any, factor: Any) -> Any:
    """The simulator with `factor` times the step; one without a `dt` of its own is made of others that have one."""
    fields = dataclasses.fields(simulator)
    if any(field.name == "dt" for field in fields):
        return eqx.tree_at(lambda s: s.dt, simulator, simulator.dt * jnp.asarray(factor, simulator.dt.dtype))
    inner = [f.name for f in fields if isinstance(getattr(simulator, f.name), AbstractSimulator)]
    if not inner:
        raise ValueError(f"The step of {type(simulator).__name__} cannot be scaled: it has no field `dt`.")
    parts = lambda s: [getattr(s, name) for name in inner]
    return eqx.tree_at(parts, simulator, [scaled(part, factor) for part in parts(simulator)])


def end_of_step(state: Any, dt: Any) -> Any:
    """The time one step after `state`; None if it has none."""
    return later(jnp.asarray(state.t), dt) if hasattr(state, "t") else None


def at_time(state: Any, t: Any) -> Any:
    """`state` with its clock at `t`, if it has one."""
    return state if t is None else eqx.tree_at(lambda s: s.t, state, t)
