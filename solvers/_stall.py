"""Ends a solve that goes nowhere."""

from collections.abc import Callable
from typing import Any

import diffrax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import PyTree


def finite_rms_norm(x: PyTree) -> Any:
    """The root mean square, infinite if it is NaN.

    A trial state that overflows has the scaled error inf / inf; as an infinite error it makes the step shrink.
    """
    norm = optx.rms_norm(x)
    return jnp.where(jnp.isnan(norm), jnp.inf, norm)


class StallGuard(diffrax.AbstractAdaptiveStepSizeController):
    """Wraps a step size controller and ends the solve after `max_rejections` rejected steps in a row.

    Or when the next step is empty. Every rejection shrinks the step, so no smooth problem needs so many; where time has
    no finer resolution the step cannot shrink, and a solve would be rejected for ever. The loop is ended by moving its
    time to infinity, and the state holds the time of the stall (infinite if there was none): a result code in every
    step would cost twice as much.
    """

    controller: diffrax.AbstractAdaptiveStepSizeController
    max_rejections: int = 60

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
        """The controller's first step and state, and no stall."""
        t_next, state = self.controller.init(terms, t0, t1, y0, dt0, args, func, error_order)
        return t_next, (state, jnp.asarray(jnp.inf, jnp.result_type(t_next)), jnp.asarray(0, np.int32))

    def adapt_step_size(self, t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state):
        """The controller's verdict on the step, unless the solve has stalled."""
        state, _, rejections = controller_state
        keep, t_start, t_end, jump, state, result = self.controller.adapt_step_size(
            t0, t1, y0, y1_candidate, args, y_error, error_order, state
        )
        rejections = jnp.where(keep, 0, rejections + 1)
        advances: Any = t_end > t_start
        stalled = (rejections >= self.max_rejections) | ~advances
        stalled_at = jnp.where(stalled, t_start, jnp.inf)
        return keep, jnp.where(stalled, jnp.inf, t_start), t_end, jump, (state, stalled_at, rejections), result
