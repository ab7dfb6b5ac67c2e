"""A force that is learned."""

from collections.abc import Callable

import jax.numpy as jnp
from jaxtyping import Array, Float

from .._mechanism import JointState, Mechanism
from .._state import Real
from ._force import AbstractForce


class Residual(AbstractForce):
    """What the other forces leave out, by a network of the vector (q, v): `network` maps (nq + nv,) to (nv,).

        Residual(eqx.nn.MLP(mechanism.topology.nq + mechanism.topology.nv, mechanism.topology.nv, 32, 2, key=key))

    Its float leaves are parameters. For anything that needs the time, the mechanism or the activations no class is
    needed: any callable (mechanism, t, y: JointState) -> (nv,) is a force.
    """

    network: Callable[[Array], Array]

    def __call__(self, mechanism: Mechanism, t: Real, y: JointState) -> Float[Array, " nv"]:
        topology = mechanism.topology
        force = self.network(jnp.concatenate([y.q, y.v]))
        if jnp.shape(force) != (topology.nv,):
            raise ValueError(
                f"The network of a Residual returned the shape {jnp.shape(force)}, expected ({topology.nv},): for this "
                f"mechanism it maps {topology.nq + topology.nv} numbers (q, v) to {topology.nv}."
            )
        return force
