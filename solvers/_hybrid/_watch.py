"""Watches the guards during a solve: a solver that looks at its own dense output, a controller that stops in time."""

from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .._types import Scalar
from ._transitions import Guards, still

SAMPLES = 8  # of every guard in every step
ENDED = diffrax.RESULTS.internal_error  # by the watch: from a solver `event_occurred` would not end the loop


class Sight(NamedTuple):
    """What was seen of the last step."""

    inner: PyTree  # the state of the solver itself
    start: Scalar
    end: Scalar
    y: PyTree  # at its start
    above: Array  # of each guard: above zero, at the end; after a crossing: at its lower end
    values: Array  # of the guards, at the end
    lower: Scalar  # the first crossing lies between these
    upper: Scalar
    crossed: Array
    touched: Array


class Watch(diffrax.AbstractAdaptiveSolver, diffrax.AbstractWrappedSolver):
    """The same solver, which ends the solve with the step in which a guard fires, or that reaches `stop`.

    Steps end where they would have ended; the crossing lies between `lower` and `upper` of the last one.
    """

    solver: diffrax.AbstractSolver
    guards: Guards
    above: Array
    stop: Scalar
    tolerances: tuple[Scalar, Scalar]

    @property
    def term_structure(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """The wrapped solver's."""
        return self.solver.term_structure

    @property
    def interpolation_cls(self):  # pyright: ignore[reportIncompatibleMethodOverride]
        """The wrapped solver's."""
        return self.solver.interpolation_cls

    @property
    def term_compatible_contr_kwargs(self):  # pyright: ignore[reportIncompatibleVariableOverride]
        """The wrapped solver's."""
        return self.solver.term_compatible_contr_kwargs

    @property
    def root_finder(self):
        """The wrapped solver's, if it is implicit."""
        return self.solver.root_finder  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def root_find_max_steps(self):
        """The wrapped solver's, if it is implicit."""
        return self.solver.root_find_max_steps  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def scan_kind(self):
        """The wrapped solver's, if it is a Runge-Kutta method."""
        return self.solver.scan_kind  # pyright: ignore[reportAttributeAccessIssue]

    def order(self, terms):
        """The wrapped solver's."""
        return self.solver.order(terms)

    def error_order(self, terms):
        """The wrapped solver's."""
        return self.solver.error_order(terms)

    def func(self, terms, t0, y0, args):
        """The wrapped solver's."""
        return self.solver.func(terms, t0, y0, args)

    def init(self, terms, t0, t1, y0, args):
        """The wrapped solver's state, and nothing seen yet."""
        n, t = len(self.guards), jnp.asarray(t0)
        values = self.guards(*still((t, y0, args)))
        no = jnp.zeros(n, bool)
        inner = self.solver.init(terms, t0, t1, y0, args)
        return Sight(inner, t, t, y0, self.above, values, t, t, no, jnp.asarray(False))

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        """A step of the wrapped solver, and a look at the guards along it."""
        seen = solver_state
        y1, error, dense, inner, result = self.solver.step(terms, t0, t1, y0, args, seen.inner, made_jump)
        seen = seen._replace(inner=inner, start=t0, end=t1, y=y0)
        if len(self.guards):
            seen = self._look(seen, *still((y1, dense, args)))
        done = jnp.any(seen.crossed) | seen.touched | (t1 >= self.stop)
        ended = diffrax.RESULTS.where(done, ENDED, result)
        return y1, error, dense, seen, diffrax.RESULTS.where(diffrax.is_okay(result), ended, result)

    def _look(self, seen: Sight, y1: PyTree, dense: PyTree, args: PyTree) -> Sight:
        """The first crossing, at the resolution of the samples and of the parabolas through them."""
        start, end = still((seen.start, seen.end))
        times = start + (end - start) * jnp.asarray(np.arange(1, SAMPLES) / SAMPLES, end.dtype)
        curve = self.solver.interpolation_cls(t0=start, t1=end, **dense)
        inside = jax.vmap(lambda t: self.guards(t, curve.evaluate(t), args))(times)
        values = jnp.concatenate([seen.values[None], inside, self.guards(end, y1, args)[None]])
        times = jnp.concatenate([start[None], times, end[None]])
        above = jnp.concatenate([seen.above[None], values[1:] > 0])
        fires = jax.vmap(self.guards.fires)(above[:-1])
        crossing = fires & (above[1:] != above[:-1])
        found = jnp.any(crossing, axis=1)
        first = jnp.argmax(found)
        any_found = jnp.any(found)
        lower, upper = times[first], times[first + 1]
        crossed, side = crossing[first] & any_found, jnp.where(any_found, above[first], above[-1])

        # Both ends of a pair of crossings may lie between two samples: the vertex of a parabola tells.
        vertex, near = _vertices(times, values, above, fires)
        near = near & (jnp.arange(SAMPLES - 1) <= jnp.where(any_found, first - 1, SAMPLES))[:, None]
        some = jnp.any(near, axis=1)
        where = jnp.argmax(some)
        any_near = jnp.any(some)
        t = jnp.min(jnp.where(near[where] & any_near, vertex[where], end))
        y = curve.evaluate(t)
        value = self.guards(t, y, args)
        there = (value > 0) != above[where]
        hidden = near[where] & any_near & there
        any_hidden = jnp.any(hidden)
        reach = slack(self.guards, t, y, args, self.tolerances)
        touched = jnp.any(near[where] & any_near & (jnp.abs(value) <= reach)) & ~any_hidden
        return seen._replace(
            values=values[-1],
            above=jnp.where(any_hidden, above[where], side),
            lower=jnp.where(any_hidden, times[where], lower),
            upper=jnp.where(any_hidden | touched, t, upper),
            crossed=jnp.where(any_hidden, hidden, crossed & ~touched),
            touched=touched,
        )


def _vertices(times: Array, values: Array, above: Array, fires: Array) -> tuple[Array, Array]:
    """Of the parabola through any three samples: when it is nearest to zero; whether it comes near, or beyond."""
    height = jnp.where(above[1:-1], values[1:-1], -values[1:-1])
    left = jnp.where(above[1:-1], values[:-2], -values[:-2])
    right = jnp.where(above[1:-1], values[2:], -values[2:])
    bend, slope = left - 2 * height + right, (right - left) / 2
    convex = bend > 0
    shift = jnp.where(convex, -slope / jnp.where(convex, bend, 1), 0)
    lowest = height + slope * shift / 2
    same = (above[:-2] == above[1:-1]) & (above[2:] == above[1:-1]) & fires[1:]
    near = same & convex & (jnp.abs(shift) <= 1) & (lowest <= 0.1 * jnp.minimum(left, right))
    return times[1:-1, None] + shift * (times[2] - times[1]), near


def slack(guards: Guards, t: Any, y: PyTree, args: PyTree, tolerances: tuple[Scalar, Scalar]) -> Array:
    """How much each guard changes with changes of the state as large as the tolerances."""
    rtol, atol = tolerances
    if not guards.members:
        return jnp.zeros(0, jnp.result_type(t))
    slopes = jax.jacrev(lambda y: guards(t, y, args))(y)
    changes = jax.tree.map(
        lambda s, x: jnp.sum(
            (jnp.abs(s) * (atol + rtol * jnp.abs(x)).astype(jnp.abs(x).dtype)[None]).reshape(len(guards), -1), axis=1
        ),
        slopes,
        y,
    )
    return sum(jax.tree.leaves(changes), jnp.zeros(len(guards), jnp.result_type(t)))


class EndAt(diffrax.AbstractStepSizeController):
    """Wraps a step size controller so that a step ends at `stop`, if it is not infinite."""

    controller: diffrax.AbstractStepSizeController
    stop: Scalar

    def wrap(self, direction):
        """The same around the wrapped controller."""
        return EndAt(self.controller.wrap(direction), self.stop)

    def init(self, terms, t0, t1, y0, dt0, args, func, error_order):
        """The controller's first step, or a shorter one."""
        t_next, state = self.controller.init(terms, t0, t1, y0, dt0, args, func, error_order)
        return self._clip(t_next), state

    def adapt_step_size(self, t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state):
        """The controller's verdict, and its next step or a shorter one."""
        keep, t_start, t_end, jump, state, result = self.controller.adapt_step_size(
            t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state
        )
        return keep, t_start, self._clip(t_end), jump, state, result

    def _clip(self, t: Any) -> Any:
        # a step of a few roundings' length would be left over
        near = self.stop - 100 * jnp.finfo(self.stop.dtype).eps * jnp.abs(self.stop)
        return jnp.where(jnp.isfinite(self.stop) & (t > near), self.stop, t)


def with_tolerances(solver: Any, rtol: Scalar, atol: Scalar, norm: Any) -> Any:
    """The solver, whose root finder takes these tolerances if it has none of its own."""
    if isinstance(solver, diffrax.AbstractImplicitSolver):
        ask = diffrax.with_stepsize_controller_tols(diffrax.VeryChord)().rtol  # what stands for "the controller's"
        for name, value in (("rtol", rtol), ("atol", atol), ("norm", norm)):
            if getattr(solver.root_finder, name, None) is ask:
                solver = eqx.tree_at(lambda s, name=name: getattr(s.root_finder, name), solver, value)
    return solver


def with_scan(solver: Any, kind: str) -> Any:
    """The solver with a scan over its stages of this kind: "bounded" for both modes, "lax" for none in reverse."""
    if isinstance(solver, diffrax.AbstractWrappedSolver):
        return eqx.tree_at(lambda s: s.solver, solver, with_scan(solver.solver, kind))
    if isinstance(solver, diffrax.AbstractRungeKutta) and solver.scan_kind is None:
        return eqx.tree_at(lambda s: s.scan_kind, solver, kind, is_leaf=lambda x: x is None)
    return solver
