"""kinax.physics: mechanics and ready-made systems."""

from ._files import (
    Keyframe as Keyframe,
    read_mjcf as read_mjcf,
    read_urdf as read_urdf,
    Robot as Robot,
    urdf_shapes as urdf_shapes,
    write_mjcf as write_mjcf,
)
from ._fitzhugh_nagumo import FitzHughNagumo as FitzHughNagumo
from ._forces import (
    AbstractActivation as AbstractActivation,
    AbstractActuator as AbstractActuator,
    AbstractForce as AbstractForce,
    Actuators as Actuators,
    actuators as actuators,
    Affine as Affine,
    Clamp as Clamp,
    DryFriction as DryFriction,
    ExactFilter as ExactFilter,
    Filter as Filter,
    FixedTendon as FixedTendon,
    GravityCompensation as GravityCompensation,
    inertia_box_drag as inertia_box_drag,
    InertiaBoxDrag as InertiaBoxDrag,
    Integrator as Integrator,
    Law as Law,
    Motor as Motor,
    PD as PD,
    PointSpring as PointSpring,
    PositionServo as PositionServo,
    Residual as Residual,
    SoftLimits as SoftLimits,
    VelocityServo as VelocityServo,
    Wrench as Wrench,
)
from ._gravity import Kepler as Kepler, NBody as NBody
from ._hamiltonian import Hamiltonian as Hamiltonian
from ._lagrangian import Lagrangian as Lagrangian
from ._lorenz import Lorenz as Lorenz
from ._lotka_volterra import LotkaVolterra as LotkaVolterra
from ._mechanism import (
    AbstractJoint as AbstractJoint,
    Ball as Ball,
    Body as Body,
    family as family,
    Fixed as Fixed,
    Free as Free,
    Hinge as Hinge,
    JointState as JointState,
    Mechanism as Mechanism,
    mechanism as mechanism,
    Momentum as Momentum,
    Passive as Passive,
    Planar as Planar,
    Screw as Screw,
    Slide as Slide,
    Slopes as Slopes,
    Topology as Topology,
    Universal as Universal,
)
from ._pendulum import DoublePendulum as DoublePendulum, Pendulum as Pendulum
from ._robertson import Robertson as Robertson
from ._shapes import (
    AbstractShape as AbstractShape,
    AbstractSolid as AbstractSolid,
    Box as Box,
    Capsule as Capsule,
    Cylinder as Cylinder,
    Ellipsoid as Ellipsoid,
    inertia_of as inertia_of,
    Mesh as Mesh,
    Plane as Plane,
    Sphere as Sphere,
)
from ._spatial import (
    about as about,
    AbstractInertia as AbstractInertia,
    compose as compose,
    euler as euler,
    Inertia as Inertia,
    inverse as inverse,
    LogCholesky as LogCholesky,
    move_twist as move_twist,
    move_wrench as move_wrench,
    Pose as Pose,
    quaternion_exp as quaternion_exp,
    quaternion_inverse as quaternion_inverse,
    quaternion_log as quaternion_log,
    quaternion_of_matrix as quaternion_of_matrix,
    quaternion_product as quaternion_product,
    rotate as rotate,
    rotation_matrix as rotation_matrix,
    se3_exp as se3_exp,
    se3_log as se3_log,
    so3_exp as so3_exp,
    so3_log as so3_log,
    twist_cross as twist_cross,
    wrench_cross as wrench_cross,
)
from ._state import Motion as Motion, Phase as Phase
from ._stepping import (
    ImplicitFast as ImplicitFast,
    Multibody as Multibody,
    MuntheKaas as MuntheKaas,
    RungeKutta4 as RungeKutta4,
    SemiImplicitEuler as SemiImplicitEuler,
    Variational as Variational,
)
from ._van_der_pol import ScaledVanDerPol as ScaledVanDerPol, VanDerPol as VanDerPol
from ._view import Film as Film, plot_energy as plot_energy, plot_phase as plot_phase, view as view
