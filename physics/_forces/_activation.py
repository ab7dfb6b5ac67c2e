"""What lies between the control of an actuator and its force."""

from typing import Any, TYPE_CHECKING

import equinox as eqx

from ...solvers import parameter
from .._check import check_positive, check_scalars
from ._clamp import check_limits

if TYPE_CHECKING:  # pyright counts an eqx.AbstractVar as a constructor argument
    from typing import ClassVar as AbstractVar
else:
    from equinox import AbstractVar


class AbstractActivation(eqx.Module):
    """A state $a$ of an actuator that follows its control $u$ and takes its place in the force.

    `limits` (lower, upper) hold for $a$ after each step, and wherever the force is computed.
    """

    limits: AbstractVar[Any]


class Integrator(AbstractActivation):
    r"""$\dot a = u$."""

    limits: Any = parameter(default=None)

    def __check_init__(self) -> None:
        check_limits(self, "limits")


class Filter(AbstractActivation):
    r"""$\dot a = (u - a) / T$ with the time constant $T$ [s]; stepped as the integrator of the motion steps."""

    time_constant: Any = parameter()
    limits: Any = parameter(default=None)

    def __check_init__(self) -> None:
        _check_time(self)


class ExactFilter(AbstractActivation):
    r"""$\dot a = (u - a) / T$, stepped exactly for a control that is constant during the step (`advance`)."""

    time_constant: Any = parameter()
    limits: Any = parameter(default=None)

    def __check_init__(self) -> None:
        _check_time(self)


def _check_time(activation: Any) -> None:
    check_limits(activation, "limits")
    check_scalars(eqx.tree_at(lambda a: a.limits, activation, 0.0, is_leaf=lambda x: x is None))
    check_positive(activation, "time_constant")
