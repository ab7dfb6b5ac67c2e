"""Radau IIA methods for stiff and differential-algebraic equations."""

from ._banded import Banded as Banded, banded as banded
from ._collocation import Collocation as Collocation
from ._consistent import consistent_start as consistent_start
from ._equation import constant as constant, unwrapped as unwrapped
from ._jacobian import AbstractJacobian as AbstractJacobian, Dense as Dense
from ._radau import Radau as Radau
from ._terms import (
    AbstractImplicitTerm as AbstractImplicitTerm,
    MassTerm as MassTerm,
    ResidualTerm as ResidualTerm,
)
