"""Equations of motion, as simulators."""

from ._dynamics import AbstractDynamics as AbstractDynamics, Dynamics as Dynamics
from ._langevin import Langevin as Langevin
from ._verlet import VelocityVerlet as VelocityVerlet, Yoshida4 as Yoshida4, Yoshida6 as Yoshida6
