"""Dry friction."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ...solvers import parameter
from .._check import check_positive
from .._mechanism import JointState, Mechanism
from .._state import Real
from ._force import AbstractForce
from ._sizes import check_number_or


class DryFriction(AbstractForce):
    r"""Coulomb's friction in the joints, made smooth: $\tau = -f \tanh(v / v_s)$.

    $f$ is `mechanism.friction` (`Passive(friction=...)`, [N] or [N m]); `slip` $v_s$ [m/s or rad/s], one number or
    (nv,), is the velocity at which 76 % of it act. Below, the joint creeps as with a damper $f / v_s$, and never
    quite stops. Right with its derivatives at rest. An explicit step must be shorter than $2 m v_s / f$.
    """

    slip: Any = parameter()

    def __check_init__(self) -> None:
        check_positive(self, "slip")

    def __call__(self, mechanism: Mechanism, t: Real, y: JointState) -> Float[Array, " nv"]:
        check_number_or(self, "slip", mechanism.topology.nv)
        return -mechanism.friction * jnp.tanh(y.v / self.slip)
