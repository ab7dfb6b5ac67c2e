"""The contract of layer 1: a simulator is a callable PyTree that advances a state by one step."""

import abc
from typing import Any, Generic, TYPE_CHECKING

import equinox as eqx
from jaxtyping import Array

from ._results import RESULTS
from ._types import Scalar, State

if TYPE_CHECKING:  # a checker takes an abstract field for an argument
    from typing import ClassVar as AbstractVar
else:
    from equinox import AbstractVar


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


class AbstractCautious(AbstractSimulator[State]):
    """A simulator that can tell a state it cannot start from; `rollout` asks it where values are known."""

    @abc.abstractmethod
    def check(self, state: State) -> None:
        """Raise a ValueError that says what is wrong with the state."""


class AbstractMaintained(AbstractSimulator[State]):
    r"""A simulator with work that is due every few steps, and with arrays whose sizes may prove too small.

    `rollout` calls `refresh` at its start and then at least every `every(state)` steps, without a condition in each
    step; the state keeps account of whether that was enough, and `verify` reads it at the end. Called with known
    values, `rollout` runs in segments, and repeats one that failed from a state made by `grow`; traced (under `jit`,
    `vmap`, `grad`) it returns the verdict as the `result`, and raises it unless `throw=False`.
    """

    @abc.abstractmethod
    def every(self, state: State) -> int:
        """At most so many steps may lie between two refreshes; a part of the state's static structure."""

    @abc.abstractmethod
    def refresh(self, state: State) -> State:
        """The same physical state, its lists made anew."""

    @abc.abstractmethod
    def verify(self, state: State) -> RESULTS:
        """Whether all steps up to this state were right, as far as lists and sizes are concerned."""

    @abc.abstractmethod
    def grow(self, state: State, failed: State) -> State | None:
        """`state`, a segment's start, with what `failed`, its end, lacked; on the host; None if nothing would help."""

    @abc.abstractmethod
    def facts(self, state: State) -> dict[str, Array]:
        """What to add to `Solution.stats`: numbers that a user should see, about failures above all."""

    @abc.abstractmethod
    def view(self, state: State) -> Any:
        """What of a state to save when `observe` is not given: the physics, not the lists."""
