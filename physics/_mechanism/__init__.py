"""Trees of rigid bodies."""

from ._build import Body as Body, mechanism as mechanism
from ._configuration import (
    Chart as Chart,
    chart_rate as chart_rate,
    chart_velocity as chart_velocity,
    rate as rate,
    retract as retract,
    tangent as tangent,
)
from ._derivatives import Slopes as Slopes
from ._family import family as family
from ._joint import (
    AbstractJoint as AbstractJoint,
    BALL as BALL,
    Ball as Ball,
    Element as Element,
    Fixed as Fixed,
    Free as Free,
    Hinge as Hinge,
    Passive as Passive,
    Planar as Planar,
    Screw as Screw,
    SLIDE as SLIDE,
    Slide as Slide,
    Universal as Universal,
)
from ._mechanism import Mechanism as Mechanism, Momentum as Momentum
from ._sizes import check_quaternions as check_quaternions, check_size as check_size
from ._solve import factorized as factorized
from ._state import JointState as JointState
from ._topology import JointPlace as JointPlace, Masks as Masks, plan as plan, Topology as Topology
