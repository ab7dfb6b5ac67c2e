"""Equations of motion, as simulators."""

from ._andersen import Andersen as Andersen
from ._cell_rescaling import CellRescaling as CellRescaling
from ._dynamics import AbstractDynamics as AbstractDynamics, Dynamics as Dynamics
from ._langevin import Brownian as Brownian, Langevin as Langevin
from ._martyna import MartynaTobiasKlein as MartynaTobiasKlein
from ._nose_hoover import NoseHoover as NoseHoover
from ._rescaling import VelocityRescaling as VelocityRescaling
from ._respa import RESPA as RESPA
from ._shape import (
    AbstractShape as AbstractShape,
    Anisotropic as Anisotropic,
    Flexible as Flexible,
    Isotropic as Isotropic,
)
from ._verlet import VelocityVerlet as VelocityVerlet, Yoshida4 as Yoshida4, Yoshida6 as Yoshida6
