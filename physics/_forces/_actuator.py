"""Single actuators, as they are named to `actuators(...)`."""

import abc
from typing import Any, NamedTuple, TYPE_CHECKING

import equinox as eqx
import jax.numpy as jnp

from ...solvers import parameter
from ...solvers._host import on_host
from .._check import check_not_negative, check_shape
from ._activation import AbstractActivation
from ._clamp import check_limits

if TYPE_CHECKING:  # pyright counts an eqx.AbstractVar as a constructor argument
    from typing import ClassVar as AbstractVar
else:
    from equinox import AbstractVar


class FixedTendon(eqx.Module):
    """A cable whose length is a sum of joint coordinates with constant coefficients, in place of a joint's name.

    FixedTendon(("hip", "knee"), (1.0, -0.5))
    """

    joints: tuple[str, ...] = eqx.field(static=True)
    coefficients: Any = parameter()

    def __check_init__(self) -> None:
        check_shape(self, "coefficients", (len(self.joints),))
        if not self.joints or len(set(self.joints)) < len(self.joints):
            raise ValueError(f"A FixedTendon runs over one joint or more, each named once; got {self.joints}.")


class Law(NamedTuple):
    r"""The force $(g_0 + g_1 l + g_2 \dot l)\, u + b_0 + b_1 l + b_2 \dot l$; `label` tells several of one apart."""

    gain: tuple[Any, Any, Any]
    bias: tuple[Any, Any, Any]
    label: str = ""


class AbstractActuator(eqx.Module):
    """What pulls at a joint or a tendon. In all of them

    - `joint`: a joint's name, or a `FixedTendon`; its length $l$ is the coordinate [m or rad] times the gear;
    - `gear`: one number, or for a joint of several degrees of freedom one for each;
    - `control_limits`, `force_limits`: (lower, upper) between which the control and the force are clamped;
    - `activation`: `Filter(time_constant)`, `ExactFilter(time_constant)` or `Integrator()`; none by default;
    - `name`: by default that of the joint.
    """

    joint: AbstractVar[Any]
    gear: AbstractVar[Any]
    control_limits: AbstractVar[Any]
    force_limits: AbstractVar[Any]
    activation: AbstractVar[Any]
    name: AbstractVar[str | None]

    @abc.abstractmethod
    def laws(self) -> tuple[Law, ...]:
        """The force law of each control that the actuator has."""


class Motor(AbstractActuator):
    """The control is the force (before the gear)."""

    joint: Any
    gear: Any = parameter(default=1.0)
    control_limits: Any = parameter(default=None)
    force_limits: Any = parameter(default=None)
    activation: Any = None
    name: str | None = eqx.field(default=None, static=True)

    def __check_init__(self) -> None:
        check_actuator(self)

    def laws(self) -> tuple[Law, ...]:
        return (Law((1.0, 0.0, 0.0), (0.0, 0.0, 0.0)),)


class PositionServo(AbstractActuator):
    r"""The control is the wanted length: $k (u - l) - d\, \dot l$."""

    joint: Any
    stiffness: Any = parameter()
    damping: Any = parameter(default=0.0)
    gear: Any = parameter(default=1.0)
    control_limits: Any = parameter(default=None)
    force_limits: Any = parameter(default=None)
    activation: Any = None
    name: str | None = eqx.field(default=None, static=True)

    def __check_init__(self) -> None:
        check_actuator(self, "stiffness", "damping")

    def laws(self) -> tuple[Law, ...]:
        return (Law((self.stiffness, 0.0, 0.0), (0.0, -self.stiffness, -self.damping)),)


class VelocityServo(AbstractActuator):
    r"""The control is the wanted velocity: $k (u - \dot l)$ with `gain` $k$."""

    joint: Any
    gain: Any = parameter()
    gear: Any = parameter(default=1.0)
    control_limits: Any = parameter(default=None)
    force_limits: Any = parameter(default=None)
    activation: Any = None
    name: str | None = eqx.field(default=None, static=True)

    def __check_init__(self) -> None:
        check_actuator(self, "gain")

    def laws(self) -> tuple[Law, ...]:
        return (Law((self.gain, 0.0, 0.0), (0.0, 0.0, -self.gain)),)


class PD(AbstractActuator):
    r"""Two controls, the wanted length and velocity: $k (u_1 - l) + d (u_2 - \dot l)$.

    Limits and activation would hold for each of the two terms: for a motor whose sum is limited, give a `Motor` with
    `control_limits` a control that is this formula.
    """

    joint: Any
    stiffness: Any = parameter()
    damping: Any = parameter()
    gear: Any = parameter(default=1.0)
    control_limits: Any = parameter(default=None)
    force_limits: Any = parameter(default=None)
    activation: Any = None
    name: str | None = eqx.field(default=None, static=True)

    def __check_init__(self) -> None:
        check_actuator(self, "stiffness", "damping")

    def laws(self) -> tuple[Law, ...]:
        position = Law((self.stiffness, 0.0, 0.0), (0.0, -self.stiffness, 0.0), " position")
        return position, Law((self.damping, 0.0, 0.0), (0.0, 0.0, -self.damping), " velocity")


class Affine(AbstractActuator):
    r"""Any force $(g_0 + g_1 l + g_2 \dot l)\, u + b_0 + b_1 l + b_2 \dot l$: MuJoCo's affine gain and bias.

    `gain` and `bias` are (3,). A damper that the control opens is `gain=(0, 0, -d)`.
    """

    joint: Any
    gain: Any = parameter(default=(1.0, 0.0, 0.0))
    bias: Any = parameter(default=(0.0, 0.0, 0.0))
    gear: Any = parameter(default=1.0)
    control_limits: Any = parameter(default=None)
    force_limits: Any = parameter(default=None)
    activation: Any = None
    name: str | None = eqx.field(default=None, static=True)

    def __check_init__(self) -> None:
        check_actuator(self)
        check_shape(self, "gain", (3,))
        check_shape(self, "bias", (3,))

    def laws(self) -> tuple[Law, ...]:
        gain, bias = (tuple(on_host(x, x.dtype)) for x in (self.gain, self.bias))
        return (Law(gain, bias),)


def check_actuator(actuator: Any, *not_negative: str) -> None:
    """The limits are in order, the coefficients single numbers, the activation one of the three."""
    check_limits(actuator, "control_limits")
    check_limits(actuator, "force_limits")
    for name in not_negative:
        check_shape(actuator, name, ())
    check_not_negative(actuator, *not_negative)
    if not isinstance(actuator.joint, str | FixedTendon):
        raise ValueError(
            f"{type(actuator).__name__}: `joint` is a joint's name or a FixedTendon, not {actuator.joint!r}."
        )
    if isinstance(actuator.joint, FixedTendon) and jnp.shape(actuator.gear) != ():
        raise ValueError(f"{type(actuator).__name__}: a FixedTendon has one gear, not {jnp.shape(actuator.gear)}.")
    if not (actuator.activation is None or isinstance(actuator.activation, AbstractActivation)):
        raise ValueError(
            f"{type(actuator).__name__}: `activation` is Filter(...), ExactFilter(...), Integrator() or None, not "
            f"{actuator.activation!r}."
        )
