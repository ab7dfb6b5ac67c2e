"""How much a simulation amplifies small changes over its horizon, and what that means for its gradient."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from .._results import RESULTS
from .._simulator import AbstractSimulator
from .._solution import TimeState
from .._tree import is_float
from ._lyapunov import lyapunov_exponent, LyapunovExponent

DOMINATED = math.log(1e3)  # a change of a parameter by 0.1 % is then followed no longer
_LOST = 1e-2  # relative error of a gradient of which two digits are right
_INTERVALS = 100
_AT_REST = 1e-3  # the relative change, were the last rate of change to go on for the whole horizon


@dataclasses.dataclass(frozen=True)
class Growth:
    r"""What became of a small change over one simulation.

    - `name`: the experiment.
    - `exponent`, `error`: the mean growth rate on the way [1/time]; `horizon`: the time that was simulated.
    - `growth`: exponent times horizon, the logarithm of the factor by which the change grew.
    - `rounding`: the relative error that rounding leaves in a gradient, eps exp(growth).
    - `dimension`, `num_steps`: numbers of floats in the state and of steps.
    - `is_at_rest`: whether the state no longer moves at the end; `None` if this was not looked at.
    - `failure`: why the exponent is not known, if it is not.
    """

    name: str
    exponent: float
    error: float
    horizon: float
    growth: float
    rounding: float
    dimension: int
    num_steps: int
    is_at_rest: bool | None
    failure: str = ""

    @property
    def warning(self) -> str:
        """What to mind, in words; empty if nothing."""
        factor = f"Small changes grow by a factor of 10^{self.growth / math.log(10):.1f}"
        cure = "Fit over shorter times (segments with their own initial states), or fit averages instead of a path."
        if self.failure:
            return f"Growth is not known: {self.failure}"
        if self.rounding > _LOST:
            return f"{factor}: rounding alone makes the gradient along the path meaningless. {cure}"
        if self.growth > DOMINATED:
            scale = f"10^{-self.growth / math.log(10):.1f}"
            return (
                f"{factor}, which dominates the gradient along the path: it describes the cost for relative changes "
                f"of the parameters below about {scale} only. {cure}"
            )
        return ""

    def __str__(self) -> str:
        if self.failure:
            return f"not known: {self.failure}"
        return (
            f"exponent {self.exponent:.3g} +- {self.error:.1g} per unit of time x horizon {self.horizon:.4g} = "
            f"{self.growth:.3g}; relative rounding error of the gradient about {self.rounding:.1g}"
        )


def growth_of(name: str, dynamics: Callable[..., Any], *arguments: PyTree) -> Growth:
    """The growth along the simulation that `dynamics(*arguments)` describes."""
    described = dynamics(*arguments)
    if isinstance(described, LyapunovExponent):
        return _summary(name, described, None)
    if not isinstance(described, tuple) or len(described) != 3:
        raise ValueError(
            f"dynamics must return (vector_field or simulator, y0, horizon), or a LyapunovExponent, not {described!r}."
        )
    rule, y0, horizon = described
    found = lyapunov_exponent(rule, y0, horizon, discard=0.0, intervals=_INTERVALS, throw=False)
    return _summary(name, found, _is_at_rest(rule, y0, found, horizon))


def _summary(name: str, found: LyapunovExponent, is_at_rest: bool | None) -> Growth:
    growth = float(found.growth[-1])
    leaves = [leaf for leaf in jax.tree.leaves(_positions(found.state)) if is_float(leaf)]
    eps = max(float(jnp.finfo(leaf.dtype).eps) for leaf in leaves)
    failed = bool(found.result != RESULTS.successful)
    return Growth(
        name=name,
        exponent=float(found.value),
        error=float(found.error),
        horizon=float(found.ts[-1]),
        growth=math.nan if failed else growth,
        rounding=math.nan if failed else eps * math.exp(min(growth, 700.0)),
        dimension=sum(leaf.size for leaf in leaves),
        num_steps=int(found.stats["num_steps"]),
        is_at_rest=is_at_rest,
        failure=RESULTS[found.result] if failed else "",
    )


def _is_at_rest(rule: Callable[..., PyTree], y0: PyTree, found: LyapunovExponent, horizon: Any) -> bool:
    """Whether the state would hardly change in the time that was simulated, at the rate at which it ended."""
    if found.result != RESULTS.successful:
        return False
    if isinstance(rule, AbstractSimulator):
        before, after = _floats(found.state), _floats(rule(found.state))
        change = (after - before) * horizon
    else:
        before = _floats(found.state.y)
        change = _floats(rule(found.state.t, found.state.y, None)) * float(horizon)
    size = max(np.linalg.norm(before), np.linalg.norm(_floats(y0)))
    return bool(np.linalg.norm(change) <= _AT_REST * size)


def _positions(state: PyTree) -> PyTree:
    return state.y if isinstance(state, TimeState) else state


def _floats(state: PyTree) -> np.ndarray:
    return np.concatenate(
        [np.ravel(leaf) for leaf in jax.tree.leaves(_positions(state)) if eqx.is_inexact_array_like(leaf)]
    )
