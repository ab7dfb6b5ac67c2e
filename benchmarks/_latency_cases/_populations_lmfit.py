"""The populations by lmfit on SciPy's LSODA."""

from typing import Any

import lmfit
import numpy as np
from _populations import field, GUESS, START, TS
from scipy.integrate import solve_ivp

NAMES = "alpha", "beta", "gamma"


def residuals(parameters, data):
    """In units of 5 %."""
    rates = tuple(parameters[name].value for name in NAMES)
    run = solve_ivp(field, (TS[0], TS[-1]), START, "LSODA", TS[1:], args=rates, rtol=1e-6, atol=1e-8)
    return ((np.log(run.y.T) - data) / 0.05).ravel()


def fitted(data):
    """The values; lmfit computes standard errors with them."""
    parameters = lmfit.Parameters()
    for name, value in zip(NAMES, GUESS, strict=True):
        parameters.add(name, value=value, min=0)
    found: Any = lmfit.minimize(residuals, parameters, args=(data,))
    return np.array([found.params[name].value for name in NAMES])
