"""Energies of bonds, angles and torsions among listed atoms; restraints; exclusions."""

from ._angles import (
    HarmonicAngle as HarmonicAngle,
    HarmonicTorsion as HarmonicTorsion,
    PeriodicTorsion as PeriodicTorsion,
    RyckaertBellemans as RyckaertBellemans,
)
from ._bonds import FENEBond as FENEBond, HarmonicBond as HarmonicBond, MorseBond as MorseBond
from ._exclusions import Excluding as Excluding, ListedPairs as ListedPairs
from ._restraint import Restraint as Restraint
from ._terms import AbstractTerms as AbstractTerms, check_listed as check_listed
