from ._levenberg_marquardt import LevenbergMarquardt as LevenbergMarquardt
from ._method import (
    AbstractMethod as AbstractMethod,
    advance as advance,
    FailureLog as FailureLog,
    SearchState as SearchState,
    Standing as Standing,
)
from ._objective import (
    AbstractDivisible as AbstractDivisible,
    AbstractObjective as AbstractObjective,
    Evaluation as Evaluation,
    Linearization as Linearization,
)
from ._opaque import OpaqueMinimiser as OpaqueMinimiser
from ._optax import Minibatch as Minibatch, Optax as Optax
from ._optimistix import OneTrialSolver as OneTrialSolver, Optimistix as Optimistix
from ._unconstrained import Unconstrained as Unconstrained
