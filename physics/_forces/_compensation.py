"""Weight that is carried."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float

from ...solvers import parameter
from .._mechanism import JointState, Mechanism
from .._mechanism._dynamics import joint_forces
from .._mechanism._tables import apply, SKEW
from .._state import Real
from ._force import AbstractForce
from ._points import placed
from ._sizes import check_number_or


class GravityCompensation(AbstractForce):
    r"""The force $-\alpha\, m\, g$ at the center of mass of each body; $\alpha$ = 1 carries its whole weight.

    `fraction` $\alpha$: one number or (nb,).
    """

    fraction: Any = parameter(default=1.0)

    def __call__(self, mechanism: Mechanism, t: Real, y: JointState) -> Float[Array, " nv"]:
        check_number_or(self, "fraction", mechanism.topology.nb)
        found, nb = placed(mechanism, y.q), mechanism.topology.nb
        up = -mechanism.gravity[:, None] * jnp.broadcast_to(self.fraction, (nb,))[None]
        wrench = jnp.concatenate([apply(SKEW(found.ten[1:4]), up), found.ten[:1] * up])  # of first moments and masses
        return joint_forces(found, mechanism.masks, wrench)
