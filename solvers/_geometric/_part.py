"""Simulators as parts of others: their step scaled, taken many times."""

import abc
import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from .._simulator import AbstractMaintained, AbstractSimulator
from .._types import as_parameter, State, strong
from ._pair import later


class AbstractCarrying(AbstractSimulator[State]):
    """A simulator whose step ends with what the next one begins with: a force, which need not be computed twice."""

    @abc.abstractmethod
    def carried(self, state: State) -> Any:
        """What a step begins with."""

    @abc.abstractmethod
    def advance(self, state: State, carried: Any) -> tuple[State, Any]:
        """The state after one step, and what the next one begins with."""


class AbstractOneWay(AbstractCarrying[State]):
    """A simulator that has no step back in time: friction does not run backwards."""


def check_way_back(whole: Any, simulator: Any) -> None:
    """Refuse a simulator that has no step back, or that is made of one."""
    one_way = lambda part: isinstance(part, AbstractOneWay)
    for part in filter(one_way, jax.tree.leaves(simulator, is_leaf=one_way)):
        raise ValueError(
            f"{type(whole).__name__} with a negative weight goes back in time, which {type(part).__name__} cannot: "
            "its friction and noise have no step back."
        )


def check_part(whole: Any, *parts: Any) -> None:
    """Refuse what cannot be a part of another simulator."""
    for part in parts:
        if isinstance(part, AbstractMaintained):
            raise ValueError(
                f"{type(part).__name__} has lists to maintain, which only `rollout` does: it cannot be a part of "
                f"{type(whole).__name__}."
            )
        if not isinstance(part, AbstractSimulator):
            raise ValueError(f"{type(whole).__name__} is made of simulators (AbstractSimulator), not of {part!r}.")


def scaled(simulator: Any, factor: Any) -> Any:
    """The simulator with `factor` times the step; one without a `dt` of its own is made of others that have one."""
    fields = dataclasses.fields(simulator)
    own = [field for field in fields if field.name == "dt"]
    if own and own[0].metadata.get("static", False):
        raise ValueError(f"The step of {type(simulator).__name__} cannot be scaled: declare `dt` by `parameter()`.")
    if own:
        dt = as_parameter(simulator.dt)
        return eqx.tree_at(lambda s: s.dt, simulator, dt * jnp.asarray(factor, dt.dtype))
    inner = [f.name for f in fields if isinstance(getattr(simulator, f.name), AbstractSimulator)]
    if not inner:
        raise ValueError(f"The step of {type(simulator).__name__} cannot be scaled: it has no field `dt`.")
    parts = lambda s: [getattr(s, name) for name in inner]
    return eqx.tree_at(parts, simulator, [scaled(part, factor) for part in parts(simulator)])


def many_steps(simulator: Any, state: Any, factors: Any, n: int) -> Any:
    """`n` steps, scaled by `factors` if they are given; the clock is the caller's."""
    part = lambda factor: simulator if factor is None else scaled(simulator, factor)
    state = jax.tree.map(strong, state)
    if isinstance(simulator, AbstractCarrying):
        step: Any = lambda now, factor: (part(factor).advance(*now), None)
        begin = (state, jax.tree.map(strong, simulator.carried(state)))
        return jax.lax.scan(step, begin, factors, n)[0][0]
    step = lambda state, factor: (part(factor)(state), None)
    return jax.lax.scan(step, state, factors, n)[0]


def end_of_step(state: Any, dt: Any) -> Any:
    """The time one step after `state`; None if it has none."""
    return later(jnp.asarray(state.t), dt) if hasattr(state, "t") else None


def at_time(state: Any, t: Any) -> Any:
    """`state` with its clock at `t`, if it has one."""
    return state if t is None else eqx.tree_at(lambda s: s.t, state, t)
