"""kinax.solvers: stepping, integrating, differentiating, ensembles, fitting. Knows no physics."""

from ._adjoint import (
    AbstractAdjoint as AbstractAdjoint,
    Checkpointed as Checkpointed,
    Forward as Forward,
    Unrolled as Unrolled,
)
from ._check import check_gradient as check_gradient, GradientReport as GradientReport, LeafGradient as LeafGradient
from ._ensemble import (
    ensemble as ensemble,
    EnsembleResult as EnsembleResult,
    Pilot as Pilot,
    read_store as read_store,
    StoredEnsemble as StoredEnsemble,
)
from ._fit import (
    AbstractTransform as AbstractTransform,
    fit as fit,
    FitResult as FitResult,
    Identity as Identity,
    Log as Log,
    Parameter as Parameter,
)
from ._fixed_step import FixedStep as FixedStep
from ._implicit import Implicit as Implicit
from ._integrate import integrate as integrate
from ._loop import Recording as Recording
from ._presets import nonstiff as nonstiff, StepwiseChord as StepwiseChord, stiff as stiff
from ._results import RESULTS as RESULTS
from ._rollout import rollout as rollout
from ._simulator import AbstractSimulator as AbstractSimulator
from ._solution import Solution as Solution, TimeState as TimeState
from ._stall import StallGuard as StallGuard
from ._times import pad_times as pad_times
from ._types import parameter as parameter
