"""Potentials that are sums over pairs."""

from ._cutoff import (
    AbstractCutoff as AbstractCutoff,
    CHARMMSwitch as CHARMMSwitch,
    ForceShifted as ForceShifted,
    HOOMDSwitch as HOOMDSwitch,
    OpenMMSwitch as OpenMMSwitch,
    Shifted as Shifted,
    Truncated as Truncated,
)
from ._engine import stretched as stretched
from ._mixing import (
    AbstractMixing as AbstractMixing,
    Geometric as Geometric,
    geometric_mean as geometric_mean,
    lookup as lookup,
    LorentzBerthelot as LorentzBerthelot,
)
from ._pair import (
    AbstractCurve as AbstractCurve,
    AbstractPair as AbstractPair,
    check_tables as check_tables,
    count_species as count_species,
)
from ._potentials import (
    Buckingham as Buckingham,
    DampedCoulomb as DampedCoulomb,
    Gaussian as Gaussian,
    LennardJones as LennardJones,
    Mie as Mie,
    Morse as Morse,
    SoftSphere as SoftSphere,
    Spline as Spline,
    WCA as WCA,
    Yukawa as Yukawa,
)
