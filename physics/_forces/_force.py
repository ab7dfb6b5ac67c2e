"""What acts on a mechanism, as forces along its degrees of freedom."""

import abc

import equinox as eqx
from jaxtyping import Array, Float

from .._mechanism import JointState, Mechanism
from .._state import Real


class AbstractForce(eqx.Module):
    """A force law. Write your own as a module whose parameters are declared by `parameter()`; a network is one too."""

    @abc.abstractmethod
    def __call__(self, mechanism: Mechanism, t: Real, y: JointState) -> Float[Array, " nv"]:
        """The generalized forces (nv,) at time `t` in the state `y`."""
