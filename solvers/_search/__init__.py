from ._levenberg_marquardt import LevenbergMarquardt as LevenbergMarquardt
from ._method import (
    AbstractMethod as AbstractMethod,
    advance as advance,
    FailureLog as FailureLog,
    SearchState as SearchState,
    Standing as Standing,
)
from ._objective import AbstractObjective as AbstractObjective, Evaluation as Evaluation, Linearization as Linearization
