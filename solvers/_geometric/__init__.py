"""Structure-preserving simulators: splittings, compositions, collocation, motion in a heat bath."""

from ._composition import Composition as Composition, Repeated as Repeated, yoshida4 as yoshida4, yoshida6 as yoshida6
from ._gauss import GaussLegendre as GaussLegendre, ImplicitMidpoint as ImplicitMidpoint
from ._langevin import BAOAB as BAOAB, LangevinState as LangevinState, OBABO as OBABO
from ._stages import StageFixedPoint as StageFixedPoint, StageNewton as StageNewton
from ._strang import RESPA as RESPA, Strang as Strang
from ._verlet import PositionVerlet as PositionVerlet, VelocityVerlet as VelocityVerlet
