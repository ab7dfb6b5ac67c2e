"""Ends a solve that goes nowhere."""

from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree


class StallGuard(diffrax.AbstractAdaptiveStepSizeController):
    """Wraps a step size controller and ends the solve with `dt_min_reached` when time no longer advances.

    That is: `max_rejections` rejections in a row (a controller shrinks the step each time; no smooth problem needs
    so many), or a next step so short that `t + dt == t`. `integrate` reports it as `RESULTS.stalled`.
    """

    controller: diffrax.AbstractAdaptiveStepSizeController
    max_rejections: int = 50

    @property
    def rtol(self) -> Any:
        """The wrapped controller's relative tolerance; implicit solvers read it."""
        return self.controller.rtol

    @property
    def atol(self) -> Any:
        """The wrapped controller's absolute tolerance; implicit solvers read it."""
        return self.controller.atol

    @property
    def norm(self) -> Callable[[PyTree], Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """The wrapped controller's norm; implicit solvers read it."""
        return self.controller.norm

    def wrap(self, direction):
        """The same guard around the wrapped controller."""
        return StallGuard(self.controller.wrap(direction), self.max_rejections)  # pyright: ignore[reportCallIssue]

    def init(self, terms, t0, t1, y0, dt0, args, func, error_order):
        """The controller's first step and state, and no rejections."""
        t_next, state = self.controller.init(terms, t0, t1, y0, dt0, args, func, error_order)
        return t_next, (state, jnp.asarray(0, np.int32))

    def adapt_step_size(self, t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state):
        """The controller's verdict on the step, unless the solve has stalled."""
        state, rejections = controller_state
        # PIDController's scale |y| rtol is infinite if the trial state is, and its next step then NaN.
        y_error = jax.tree.map(lambda e, y: jnp.where(jnp.isfinite(y), e, jnp.inf), y_error, y1_candidate)
        y1_candidate = jax.tree.map(lambda y, y_old: jnp.where(jnp.isfinite(y), y, y_old), y1_candidate, y0)
        keep, t_start, t_end, jump, state, result = self.controller.adapt_step_size(
            t0, t1, y0, y1_candidate, args, y_error, error_order, state
        )
        rejections = jnp.where(keep, 0, rejections + 1)
        stalled: Any = (rejections >= self.max_rejections) | ~(t_end > t_start)
        result = diffrax.RESULTS.where(stalled, diffrax.RESULTS.dt_min_reached, result)
        return keep, t_start, t_end, jump, (state, rejections), result
