from ._lmfit import to_lmfit as to_lmfit
from ._numpyro import to_numpyro as to_numpyro
from ._pandas import (
    experiments_from_pandas as experiments_from_pandas,
    fit_table as fit_table,
    from_pandas as from_pandas,
    to_pandas as to_pandas,
)
from ._petab import from_petab as from_petab, PetabModel as PetabModel
from ._scipy import ScipyProblem as ScipyProblem, to_scipy as to_scipy
from ._xarray import from_xarray as from_xarray, to_xarray as to_xarray
