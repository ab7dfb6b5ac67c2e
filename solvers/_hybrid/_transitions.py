"""What can happen to a state at an instant: crossings of guards, schedules, doses, and the end of a run."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .._types import AbstractVar, Numbers, parameter


def _as_direction(direction: Any) -> Any:
    """NumPy's booleans as Python's."""
    return bool(direction) if isinstance(direction, np.bool_) else direction


class AbstractTransition(eqx.Module):
    """Something that changes a state at once. One is an `AbstractGuarded` or an `AbstractScheduled`."""

    @abc.abstractmethod
    def apply(self, k: Any, t: Any, y: PyTree, args: PyTree) -> PyTree:
        """The state just after time `t`, from the state just before; `k` numbers the scheduled times from zero."""


class AbstractGuarded(AbstractTransition):
    """A transition that happens when the scalar `guard(t, y, args)` changes its sign.

    `direction` is diffrax's: True for upwards only, False for downwards only, None for both. With a direction, a guard
    that begins beyond zero waits until it has been on its near side.

    It also happens when the reset of another transition changes the guard's sign in this direction, whether by the
    state or by a mode: at the time of that one, with its derivative, after it. A guard on a counter lies between two
    numbers (`y.count - 2.5`); one that a mode silences is 0.
    """

    guard: AbstractVar[Callable[..., Any]]
    direction: AbstractVar[bool | None]

    def __check_init__(self):
        if not (self.direction is None or isinstance(self.direction, bool)):
            raise ValueError(
                f"{type(self).__name__}: `direction` is True (upwards only), False (downwards only) or None (both), "
                f"not {self.direction!r}."
            )


class AbstractScheduled(AbstractTransition):
    """A transition that happens at times known beforehand, in increasing order; NaN or infinity: never."""

    times: AbstractVar[Numbers]


class Crossing(AbstractGuarded):
    r"""At the time $t^*$ when $g(t, y) = 0$ is crossed, $y$ becomes $R(t^*, y)$.

    - `guard(t, y, args)`: a scalar that changes its sign; smooth near its zero.
    - `reset(t, y, args)`: the new state, of the same structure, shapes and dtypes.
    - `direction`: True: upwards only; False: downwards only; None: both (as in `diffrax.Event`).

    The derivative of $t^*$ and of what follows is exact for a crossing at a speed (the saltation matrix):
    $\mathrm{d}t^* = -\mathrm{d}g / \dot g$.

    Source: N. J. Kong et al., Saltation matrices: the essential tool for linearizing hybrid dynamical systems, Proc.
    IEEE 112, 585 (2024), doi:10.1109/JPROC.2024.3440211.
    """

    guard: Callable[..., Any]
    reset: Callable[..., PyTree]
    direction: bool | None = eqx.field(default=None, static=True, converter=_as_direction)

    def apply(self, k, t, y, args):
        """What `reset` makes of it."""
        return self.reset(t, y, args)


class Stop(AbstractGuarded):
    """Ends the run where `guard(t, y, args)` crosses zero; `direction` as for `Crossing`."""

    guard: Callable[..., Any]
    direction: bool | None = eqx.field(default=None, static=True, converter=_as_direction)

    def apply(self, k, t, y, args):
        """The state as it is."""
        return y


class Schedule(AbstractScheduled):
    """At each of `times` (shape `n`, increasing) $y$ becomes `reset(t, y, args)`; a step ends exactly there.

    The times can be differentiated and fitted. Those that are NaN or infinite, or after the end, are never reached.
    """

    times: Numbers = parameter()
    reset: Callable[..., PyTree] = eqx.field()  # pyright: ignore[reportGeneralTypeIssues]

    def apply(self, k, t, y, args):
        """What `reset` makes of it."""
        return self.reset(t, y, args)


class Doses(AbstractScheduled):
    """At `times[k]` the amount `amounts[k]` is added to the leaf `where(y)`, as `Doses(ts, mg, where=lambda y: y.gut)`.

    - `times`: shape `n`, increasing; NaN or infinity: never, so that regimens of different length can be stacked.
    - `amounts`: shape `n` and the leaf's; or without `n`, for equal doses.
    """

    times: Numbers = parameter()
    amounts: Numbers = parameter()
    where: Callable[[Any], Array] = eqx.field()  # pyright: ignore[reportGeneralTypeIssues]

    def apply(self, k, t, y, args):
        """The state with one dose more."""
        leaf = self.where(y)
        amounts = jnp.asarray(self.amounts, leaf.dtype)
        each = jnp.ndim(amounts) > jnp.ndim(leaf)
        if each and jnp.shape(amounts)[0] != jnp.shape(self.times)[0]:
            raise ValueError(
                f"Doses: `times` holds {jnp.shape(self.times)[0]}, `amounts` {jnp.shape(amounts)[0]}; give one amount "
                "for each time, or leave out that axis for equal doses."
            )
        amount = amounts[k] if each else amounts
        if jnp.shape(amount) != jnp.shape(leaf):
            raise ValueError(
                f"Doses: each amount must have the shape of the leaf it is added to, {jnp.shape(leaf)}, but `amounts` "
                f"has the shape {jnp.shape(self.amounts)}."
            )
        return eqx.tree_at(self.where, y, leaf + amount)


class Guards(eqx.Module):
    """The guards of all guarded transitions, as one vector."""

    members: tuple[AbstractGuarded, ...]

    def __len__(self):
        return len(self.members)

    def __call__(self, t: Any, y: PyTree, args: PyTree) -> Array:
        """Their values, shape `n`."""
        values = [jnp.asarray(member.guard(t, y, args)) for member in self.members]
        for value in values:
            if value.ndim or not jnp.issubdtype(value.dtype, jnp.floating):
                raise ValueError(
                    f"A guard must return one float that changes its sign, not {value.dtype} of shape {value.shape}."
                )
        dtype = jnp.result_type(t)
        return jnp.stack([value.astype(dtype) for value in values]) if values else jnp.zeros(0, dtype)

    def fires(self, before: Array) -> Array:
        """Which may fire when they leave the side they are on; `before`: whether they are above zero."""
        upwards = jnp.asarray([member.direction is not False for member in self.members], bool)
        downwards = jnp.asarray([member.direction is not True for member in self.members], bool)
        return jnp.where(before, downwards, upwards)


class Events(eqx.Module):
    """What happened in a run of `hybrid`: the first `count` entries of `ts` and `which`, in order.

    - `ts`: the times, shape `max_events`, infinite after the last; they have derivatives.
    - `which`: the place in `transitions` of each, -1 after the last.
    - `count`: how many.
    """

    ts: Array
    which: Array
    count: Array


def still(tree: PyTree) -> PyTree:
    """The tree without derivatives."""
    return jax.tree.map(lambda x: jax.lax.stop_gradient(x) if eqx.is_inexact_array(x) else x, tree)


def select(condition: Any, a: PyTree, b: PyTree) -> PyTree:
    """`a` where the condition holds, else `b`, leaf by leaf."""
    return jax.tree.map(lambda x, y: jnp.where(condition, x, y), a, b)
