"""Minima of the energy, and how stiff they are."""

from ._elastic import born_constants as born_constants, elastic_constants as elastic_constants
from ._methods import AbstractDescent as AbstractDescent, FIRE as FIRE, LBFGS as LBFGS
from ._minimize import minimize as minimize, Minimum as Minimum
