"""A given wrench on a body."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...solvers import parameter
from .._check import check_shape
from .._mechanism import JointState, Mechanism
from .._state import Real
from ._force import AbstractForce
from ._points import times


class Wrench(AbstractForce):
    r"""A torque [N m] and a force [N] on a body, along the world's axes: $\tau = J^\top w$.

    - `body`: its name.
    - `wrench`: (6,), torque first; or a callable (t, y: JointState) -> (6,), which may be a module with parameters.
    - `point` [m]: where the force acts, in the body's frame.
    """

    body: str = eqx.field(static=True)
    wrench: Any = parameter()
    point: Any = parameter(default=(0.0, 0.0, 0.0))

    def __check_init__(self) -> None:
        check_shape(self, "point", (3,))
        if not callable(self.wrench):
            check_shape(self, "wrench", (6,))

    def __call__(self, mechanism: Mechanism, t: Real, y: JointState) -> Float[Array, " nv"]:
        body = mechanism.topology.body(self.body)
        wrench: Any = self.wrench(t, y) if callable(self.wrench) else self.wrench
        if jnp.shape(wrench) != (6,):
            raise ValueError(
                f"The wrench on body {self.body!r} has shape {jnp.shape(wrench)}, expected (6,): torque, then force."
            )
        return times(mechanism.jacobian(y.q, body, self.point), wrench)
