"""A host function that sees every accepted step."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PyTree


class Watched(diffrax.AbstractAdaptiveStepSizeController):
    """Wraps a step size controller: `callback(t, y)` is called after each step that it accepts."""

    controller: diffrax.AbstractAdaptiveStepSizeController
    callback: Callable[[Any, PyTree], None] = eqx.field(static=True)

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
        """The same around the wrapped controller."""
        return Watched(self.controller.wrap(direction), self.callback)  # pyright: ignore[reportCallIssue]

    def init(self, terms, t0, t1, y0, dt0, args, func, error_order):
        """As the wrapped controller."""
        return self.controller.init(terms, t0, t1, y0, dt0, args, func, error_order)

    def adapt_step_size(self, t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state):
        """As the wrapped controller, and tells."""
        found = self.controller.adapt_step_size(t0, t1, y0, y1_candidate, args, y_error, error_order, controller_state)

        def tell(accepted: Any, t: Any, y: PyTree) -> None:
            if accepted:
                self.callback(t, y)

        # an empty step is that of a member of a batch that is done
        jax.debug.callback(tell, found[0] & jnp.asarray(t1 > t0), t1, y1_candidate)
        return found
