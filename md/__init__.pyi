"""kinax.md: molecular dynamics."""

from ._bonded import (
    AbstractTerms as AbstractTerms,
    Excluding as Excluding,
    FENEBond as FENEBond,
    HarmonicAngle as HarmonicAngle,
    HarmonicBond as HarmonicBond,
    HarmonicTorsion as HarmonicTorsion,
    ListedPairs as ListedPairs,
    MorseBond as MorseBond,
    PeriodicTorsion as PeriodicTorsion,
    Restraint as Restraint,
    RyckaertBellemans as RyckaertBellemans,
)
from ._dynamics import (
    AbstractDynamics as AbstractDynamics,
    AbstractShape as AbstractShape,
    Andersen as Andersen,
    Anisotropic as Anisotropic,
    Brownian as Brownian,
    CellRescaling as CellRescaling,
    Dynamics as Dynamics,
    Flexible as Flexible,
    Isotropic as Isotropic,
    Langevin as Langevin,
    MartynaTobiasKlein as MartynaTobiasKlein,
    NoseHoover as NoseHoover,
    RESPA as RESPA,
    VelocityRescaling as VelocityRescaling,
    VelocityVerlet as VelocityVerlet,
    Yoshida4 as Yoshida4,
    Yoshida6 as Yoshida6,
)
from ._interop import (
    AbstractTrajectoryFile as AbstractTrajectoryFile,
    calculator as calculator,
    ExtXYZ as ExtXYZ,
    from_atoms as from_atoms,
    H5MD as H5MD,
    read_h5md as read_h5md,
    read_restart as read_restart,
    record as record,
    to_atoms as to_atoms,
    view as view,
    write_restart as write_restart,
)
from ._lattice import diamond as diamond, fcc as fcc, repeat as repeat, simple_cubic as simple_cubic
from ._many import (
    AbstractEmbedded as AbstractEmbedded,
    BehlerParrinello as BehlerParrinello,
    EAM as EAM,
    read_funcfl as read_funcfl,
    read_setfl as read_setfl,
    StillingerWeber as StillingerWeber,
    Tersoff as Tersoff,
)
from ._measure import (
    energy as energy,
    forces as forces,
    pressure as pressure,
    stress as stress,
    tail_energy as tail_energy,
    tail_pressure as tail_pressure,
    virial as virial,
)
from ._minima import (
    AbstractDescent as AbstractDescent,
    born_constants as born_constants,
    elastic_constants as elastic_constants,
    FIRE as FIRE,
    LBFGS as LBFGS,
    minimize as minimize,
    Minimum as Minimum,
)
from ._neighbors import (
    AbstractNeighbors as AbstractNeighbors,
    AllPairs as AllPairs,
    neighbor_list as neighbor_list,
    NeighborList as NeighborList,
)
from ._observables import (
    angle_distribution as angle_distribution,
    Average as Average,
    average as average,
    configurational_temperature as configurational_temperature,
    Curve as Curve,
    diffusion as diffusion,
    green_kubo_diffusion as green_kubo_diffusion,
    green_kubo_viscosity as green_kubo_viscosity,
    mean_square_displacement as mean_square_displacement,
    radial_distribution as radial_distribution,
    structure_factor as structure_factor,
    velocity_autocorrelation as velocity_autocorrelation,
)
from ._pair import (
    AbstractCurve as AbstractCurve,
    AbstractCutoff as AbstractCutoff,
    AbstractMixing as AbstractMixing,
    AbstractPair as AbstractPair,
    Buckingham as Buckingham,
    CHARMMSwitch as CHARMMSwitch,
    DampedCoulomb as DampedCoulomb,
    ForceShifted as ForceShifted,
    Gaussian as Gaussian,
    Geometric as Geometric,
    HOOMDSwitch as HOOMDSwitch,
    LennardJones as LennardJones,
    LorentzBerthelot as LorentzBerthelot,
    Mie as Mie,
    Morse as Morse,
    OpenMMSwitch as OpenMMSwitch,
    Shifted as Shifted,
    SoftSphere as SoftSphere,
    Spline as Spline,
    Truncated as Truncated,
    WCA as WCA,
    Yukawa as Yukawa,
)
from ._phonons import band_path as band_path, Bands as Bands, Phonons as Phonons, phonons as phonons
from ._potential import (
    AbstractPotential as AbstractPotential,
    External as External,
    ManyBody as ManyBody,
)
from ._second_virial import second_virial as second_virial
from ._space import (
    AbstractSpace as AbstractSpace,
    Free as Free,
    Periodic as Periodic,
    Triclinic as Triclinic,
)
from ._system import draw_velocities as draw_velocities, System as System
from ._units import METAL as METAL, NANO as NANO, REAL as REAL, REDUCED as REDUCED, SI as SI, Units as Units
