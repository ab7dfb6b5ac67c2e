"""The contract of layer 1: a simulator is a callable PyTree that advances a state by one step."""

import abc
from typing import Generic

import equinox as eqx

from ._types import AbstractVar, Scalar, State


class AbstractSimulator(eqx.Module, Generic[State]):
    r"""One time step, $s_{k+1} = f_\theta(s_k)$: parameters $\theta$ inside, state $s$ outside.

    Parameters are the float array leaves of the module (declare them with `parameter`), structure is static, and
    everything that the next step needs is in the state; a stochastic simulator carries its PRNG key there. Write for
    one system: a batch is `jax.vmap` outside.
    """

    dt: AbstractVar[Scalar]

    @abc.abstractmethod
    def __call__(self, state: State) -> State:
        """Advance `state` by `dt`; the result has the same structure, shapes and dtypes."""
