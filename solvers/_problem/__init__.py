from ._experiments import Experiments as Experiments, stacked as stacked
from ._fingerprint import fingerprint as fingerprint
from ._layout import view as view
from ._loss import (
    AbstractLoss as AbstractLoss,
    Cauchy as Cauchy,
    Huber as Huber,
    SoftL1 as SoftL1,
    Squares as Squares,
    StudentTLoss as StudentTLoss,
)
from ._measurement import (
    best_line as best_line,
    best_offset as best_offset,
    best_scale as best_scale,
    best_sd as best_sd,
    Observed as Observed,
    TimeSeries as TimeSeries,
)
from ._parameter import Parameter as Parameter, PerExperiment as PerExperiment, Tied as Tied
from ._problem import Problem as Problem
from ._terms import is_outcome as is_outcome
from ._transform import AbstractTransform as AbstractTransform, Identity as Identity, Log as Log, Logit as Logit
