"""Forces on mechanisms."""

from ._activation import (
    AbstractActivation as AbstractActivation,
    ExactFilter as ExactFilter,
    Filter as Filter,
    Integrator as Integrator,
)
from ._actuator import (
    AbstractActuator as AbstractActuator,
    Affine as Affine,
    FixedTendon as FixedTendon,
    Law as Law,
    Motor as Motor,
    PD as PD,
    PositionServo as PositionServo,
    VelocityServo as VelocityServo,
)
from ._actuators import Actuators as Actuators
from ._clamp import Clamp as Clamp
from ._compensation import GravityCompensation as GravityCompensation
from ._drag import inertia_box_drag as inertia_box_drag, InertiaBoxDrag as InertiaBoxDrag
from ._force import AbstractForce as AbstractForce
from ._friction import DryFriction as DryFriction
from ._limits import SoftLimits as SoftLimits
from ._point_spring import PointSpring as PointSpring
from ._residual import Residual as Residual
from ._wire import actuators as actuators
from ._wrench import Wrench as Wrench
