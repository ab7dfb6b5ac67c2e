"""Parameters as lmfit has them."""

import keyword
import re
from typing import Any, TYPE_CHECKING

import numpy as np

from .._problem import Problem
from .._report import rows_of

if TYPE_CHECKING:
    from .._fit import FitResult


def to_lmfit(source: "Problem | FitResult") -> Any:
    """`lmfit.Parameters` with values, bounds, and, of a result, standard errors and correlations.

    Names become Python names, as lmfit requires: `rate[0]` is `rate_0`; `user_data` keeps the original one. Fixed and
    tied parameters do not vary (a tie is a function, which lmfit's expressions cannot hold). Needs lmfit:
    `pip install kinax[interop]`.
    """
    try:
        import lmfit
    except ImportError as error:
        raise ImportError("to_lmfit needs lmfit: pip install kinax[interop]") from error
    parameters = lmfit.Parameters()
    for row in rows_of(source):
        name = _python_name(row.name, parameters)
        parameters.add(name, row.value, vary=row.vary, min=row.lower, max=row.upper)
        parameters[name].init_value = row.initial
        parameters[name].user_data = row.name
        if np.isfinite(row.standard_error):
            parameters[name].stderr = row.standard_error
    if not isinstance(source, Problem):
        matrix = np.asarray(source.correlation)
        varied = [p for p in parameters.values() if p.vary]
        for i, p in enumerate(varied):
            p.correl = {
                q.name: float(matrix[i, j]) for j, q in enumerate(varied) if np.isfinite(matrix[i, j]) and i != j
            }
    return parameters


def _python_name(name: str, taken: Any) -> str:
    """A Python name that is not taken yet."""
    base = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "p"
    if base[0].isdigit() or keyword.iskeyword(base):
        base = f"p_{base}"
    found, number = base, 2
    while found in taken:
        found, number = f"{base}_{number}", number + 1
    return found
