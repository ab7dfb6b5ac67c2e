"""kinax.solvers: stepping, integrating, differentiating, ensembles, fitting. Knows no physics."""

from ._adjoint import (
    AbstractAdjoint as AbstractAdjoint,
    Checkpointed as Checkpointed,
    Forward as Forward,
    Unrolled as Unrolled,
)
from ._check import check_gradient as check_gradient, GradientReport as GradientReport, LeafGradient as LeafGradient
from ._checkpoint import Checkpoint as Checkpoint
from ._distributions import (
    AbstractDistribution as AbstractDistribution,
    AbstractNoise as AbstractNoise,
    Beta as Beta,
    Gamma as Gamma,
    HalfNormal as HalfNormal,
    Laplace as Laplace,
    LogNormal as LogNormal,
    LogUniform as LogUniform,
    Normal as Normal,
    StudentT as StudentT,
    Uniform as Uniform,
)
from ._ensemble import (
    ensemble as ensemble,
    EnsembleResult as EnsembleResult,
    Pilot as Pilot,
    read_store as read_store,
    StoredEnsemble as StoredEnsemble,
)
from ._explain import (
    explain as explain,
    Explanation as Explanation,
    Growth as Growth,
    lyapunov_exponent as lyapunov_exponent,
    LyapunovExponent as LyapunovExponent,
    Way as Way,
)
from ._fit import (
    AbstractStarts as AbstractStarts,
    Estimate as Estimate,
    estimate as estimate,
    Failure as Failure,
    fit as fit,
    fit_each as fit_each,
    FitRecord as FitRecord,
    FitResult as FitResult,
    Fits as Fits,
    LatinHypercube as LatinHypercube,
    load_fit as load_fit,
    Optimum as Optimum,
    Sobol as Sobol,
    StartTable as StartTable,
    UserStarts as UserStarts,
)
from ._fixed_step import FixedStep as FixedStep
from ._geometric import (
    BAOAB as BAOAB,
    Composition as Composition,
    GaussLegendre as GaussLegendre,
    ImplicitMidpoint as ImplicitMidpoint,
    LangevinState as LangevinState,
    OBABO as OBABO,
    PositionVerlet as PositionVerlet,
    Repeated as Repeated,
    RESPA as RESPA,
    StageFixedPoint as StageFixedPoint,
    StageNewton as StageNewton,
    Strang as Strang,
    VelocityVerlet as VelocityVerlet,
    yoshida4 as yoshida4,
    yoshida6 as yoshida6,
)
from ._holonomic import Holonomic as Holonomic, Projected as Projected
from ._hybrid import (
    AbstractGuarded as AbstractGuarded,
    AbstractScheduled as AbstractScheduled,
    AbstractTransition as AbstractTransition,
    Crossing as Crossing,
    Doses as Doses,
    Events as Events,
    hybrid as hybrid,
    Schedule as Schedule,
    Stop as Stop,
)
from ._implicit import Implicit as Implicit
from ._integrate import integrate as integrate
from ._interop import (
    experiments_from_pandas as experiments_from_pandas,
    fit_table as fit_table,
    from_pandas as from_pandas,
    from_petab as from_petab,
    from_xarray as from_xarray,
    PetabModel as PetabModel,
    ScipyProblem as ScipyProblem,
    to_lmfit as to_lmfit,
    to_numpyro as to_numpyro,
    to_pandas as to_pandas,
    to_scipy as to_scipy,
    to_xarray as to_xarray,
)
from ._loop import Recording as Recording
from ._manifold import (
    AbstractLieGroup as AbstractLieGroup,
    CommutatorFree as CommutatorFree,
    Euclidean as Euclidean,
    RATTLE as RATTLE,
    RungeKuttaMuntheKaas as RungeKuttaMuntheKaas,
    SE3 as SE3,
    SO3 as SO3,
    UnitQuaternion as UnitQuaternion,
)
from ._presets import auto as auto, nonstiff as nonstiff, StepwiseChord as StepwiseChord, stiff as stiff
from ._problem import (
    AbstractLoss as AbstractLoss,
    AbstractTransform as AbstractTransform,
    best_line as best_line,
    best_offset as best_offset,
    best_scale as best_scale,
    best_sd as best_sd,
    Cauchy as Cauchy,
    Experiments as Experiments,
    Huber as Huber,
    Identity as Identity,
    Log as Log,
    Logit as Logit,
    Observed as Observed,
    Parameter as Parameter,
    PerExperiment as PerExperiment,
    Problem as Problem,
    SoftL1 as SoftL1,
    Squares as Squares,
    StudentTLoss as StudentTLoss,
    Tied as Tied,
    TimeSeries as TimeSeries,
)
from ._programs import compiled as compiled
from ._radau import (
    AbstractJacobian as AbstractJacobian,
    Banded as Banded,
    banded as banded,
    consistent_start as consistent_start,
    Dense as Dense,
    MassTerm as MassTerm,
    Radau as Radau,
    ResidualTerm as ResidualTerm,
)
from ._report import Plots as Plots
from ._results import RESULTS as RESULTS
from ._rollout import rollout as rollout
from ._search import (
    AbstractMethod as AbstractMethod,
    AbstractObjective as AbstractObjective,
    Evaluation as Evaluation,
    FailureLog as FailureLog,
    LevenbergMarquardt as LevenbergMarquardt,
    Linearization as Linearization,
    Minibatch as Minibatch,
    Optax as Optax,
    Optimistix as Optimistix,
    SearchState as SearchState,
    Standing as Standing,
)
from ._simulator import (
    AbstractCautious as AbstractCautious,
    AbstractMaintained as AbstractMaintained,
    AbstractSimulator as AbstractSimulator,
)
from ._solution import Solution as Solution, TimeState as TimeState
from ._stall import StallGuard as StallGuard
from ._switching import Switching as Switching
from ._times import pad_times as pad_times
from ._types import parameter as parameter
from ._uncertainty import (
    calibrate as calibrate,
    Calibration as Calibration,
    Diagnostics as Diagnostics,
    Identifiability as Identifiability,
    identifiability as identifiability,
    laplace as laplace,
    LaplacePosterior as LaplacePosterior,
    Posterior as Posterior,
    Profile as Profile,
    profile as profile,
    Profiles as Profiles,
    sample as sample,
)
