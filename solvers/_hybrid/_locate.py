"""When a guard is zero on the solution itself, with its derivative; and whether that time means anything."""

from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from .._types import Scalar
from ._transitions import Guards, select, still
from ._watch import Sight, slack

_TINY = 1e-8  # of a step: the error of a straight line over it is its square
_MOST = 60  # iterations; each at worst halves the bracket


class Course(NamedTuple):
    """A guard's course along the flow: its value, its rate, the rate of that, and its slack."""

    value: Array
    rate: Array
    bend: Array
    slack: Array

    @property
    def tangential(self) -> Array:
        """Whether a change of the state as large as the tolerances decides if there is a crossing at all."""
        return self.rate**2 <= 2 * jnp.abs(self.bend) * self.slack

    @property
    def heading(self) -> Array:
        """Which way it goes from here."""
        return jnp.where(self.tangential & (self.bend != 0), self.bend, self.rate)

    @property
    def on_zero(self) -> Array:
        """Whether it is zero, as far as can be told."""
        return jnp.abs(self.value) <= self.slack

    def delay(self, above: Array) -> Array:
        """The time until it is zero; infinite if it goes away from there. `above`: the side it is on."""
        toward = jnp.where(above, -self.rate, self.rate)
        height = jnp.where(above, self.value, -self.value)
        return jnp.where(toward > 0, height / jnp.where(toward > 0, toward, 1), jnp.inf)

    def blur(self) -> Array:
        """The uncertainty of the time at which it is zero."""
        return self.slack / jnp.where(self.rate == 0, 1, jnp.abs(self.rate))

    def sides(self) -> Array:
        """Whether it is above zero, or about to be."""
        return jnp.where(self.on_zero, self.heading > 0, self.value > 0)

    def carried(self, after: "Course") -> Array:
        """Whether a jump from here to `after` leads across zero; not from or to a guard that is silent, 0 for good."""
        silent = (self.value == 0) & (self.rate == 0) & (self.bend == 0)
        return (self.sides() != after.sides()) & ~silent & ~after.on_zero


class Flow(NamedTuple):
    """The solution from the start of the last step on, by one step of the solver of any shorter length."""

    solver: diffrax.AbstractSolver
    field: Callable[[Any, PyTree, Any], PyTree]
    guards: Guards
    args: PyTree
    tolerances: tuple[Scalar, Scalar]

    def __call__(self, seen: Sight, t: Any) -> PyTree:
        """The state at `t`."""
        span = still(seen.end - seen.start)
        least = jnp.where(span > 0, span, jnp.maximum(jnp.abs(still(seen.start)), 1)) * _TINY
        straight = t - seen.start <= least
        end = jnp.where(straight, seen.start + least, t)
        term = diffrax.ODETerm(self.field)
        state = self.solver.init(term, seen.start, end, seen.y, self.args)
        stepped, *_ = self.solver.step(term, seen.start, end, seen.y, self.args, state, False)
        slope = self.field(seen.start, seen.y, self.args)
        return select(straight, along(seen.y, slope, t - seen.start), stepped)

    def rates(self, t: Any, y: PyTree) -> tuple[Array, Array]:
        """The guards, and their rates along the flow."""
        at = lambda t, y: self.guards(t, y, self.args)
        return jax.jvp(at, (t, y), (jnp.ones_like(t), self.field(t, y, self.args)))

    def course(self, t: Any, y: PyTree) -> Course:
        """All that is to be known of the guards at a point; without derivative."""
        t, y = still((t, y))
        slope = self.field(t, y, self.args)
        (value, rate), (_, bend) = jax.jvp(self.rates, (t, y), (jnp.ones_like(t), slope))
        rounding = 8 * jnp.finfo(value.dtype).eps * jnp.abs(t * rate)
        reach = slack(self.guards, t, y, self.args, self.tolerances) + rounding
        return still(Course(value, rate, bend, reach))


def along(y: PyTree, slope: PyTree, span: Any) -> PyTree:
    """The straight line y + slope span."""
    return jax.tree.map(lambda y, f: y + f * span.astype(y.dtype), y, slope)


def locate(flow: Flow, seen: Sight) -> Scalar:
    """The first time in the bracket at which a guard that crossed is zero: Newton's method, by bisection if it fails.

    The least of several guards, each positive before its crossing, has the first zero of all.
    """
    sign = jnp.where(seen.above, 1, -1).astype(seen.values.dtype)

    def lowest(t):
        values, rates = flow.rates(t, flow(seen, t))
        heights = jnp.where(seen.crossed, sign * values, jnp.inf)
        which = jnp.argmin(heights)
        return heights[which], (sign * rates)[which]

    def refine(state):
        low, high, t, _, k = state
        height, rate = lowest(t)
        low, high = jnp.where(height > 0, t, low), jnp.where(height > 0, high, t)
        newton = t - height / jnp.where(rate == 0, 1, rate)
        inside = (rate != 0) & (newton >= low) & (newton <= high)
        after = jnp.where(inside, newton, low + (high - low) / 2)
        return low, high, after, jnp.abs(after - t), k + 1

    def unfinished(state):
        low, high, t, change, k = state
        finest = 2 * jnp.finfo(t.dtype).eps * jnp.maximum(jnp.abs(t), high - low)
        return (change > finest) & (k < _MOST)

    start = (seen.lower, seen.upper, seen.upper, jnp.asarray(jnp.inf, seen.upper.dtype), jnp.asarray(0))
    return jax.lax.while_loop(unfinished, refine, start)[2]


def arrive(flow: Flow, seen: Sight, t: Scalar, which: Array, by_guard: Array) -> tuple[Scalar, PyTree]:
    """The time `t` of a transition and the state there, with their derivatives.

    Newton's step on the converged time does not move it, but has its first derivative; a second one has the second.
    """

    def newton(t, _):
        y = flow(seen, t)
        values, rates = flow.rates(t, y)
        value = jnp.where(by_guard, values[which], 0) if values.size else jnp.zeros_like(t)
        rate = jnp.where(by_guard & (rates[which] != 0), rates[which], 1) if values.size else jnp.ones_like(t)
        after = t - value / rate
        return after, along(y, flow.field(t, y, flow.args), after - t)

    t, ys = jax.lax.scan(newton, t, length=2)
    return t, jax.tree.map(lambda y: y[-1], ys)
