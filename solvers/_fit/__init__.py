from ._covariance import spectrum as spectrum
from ._each import fit_each as fit_each, Fits as Fits
from ._estimate import Estimate as Estimate, estimate as estimate
from ._fit import fit as fit
from ._load import FitRecord as FitRecord, load_fit as load_fit
from ._result import FitResult as FitResult
from ._start_table import Failure as Failure, Optimum as Optimum, StartTable as StartTable
from ._starts import (
    AbstractStarts as AbstractStarts,
    LatinHypercube as LatinHypercube,
    prior_draws as prior_draws,
    Sobol as Sobol,
    UserStarts as UserStarts,
)
