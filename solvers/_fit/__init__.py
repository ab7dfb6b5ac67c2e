from ._fit import fit as fit
from ._parameter import Parameter as Parameter
from ._result import FitResult as FitResult
from ._transform import AbstractTransform as AbstractTransform, Identity as Identity, Log as Log
