"""The epidemic by lmfit on SciPy's LSODA; Python floats in the field, which are faster there than arrays."""

from typing import Any

import lmfit
import numpy as np
from scipy.integrate import solve_ivp

DAYS = np.arange(1.0, 15.0)


def field(t, y, contact, recovery):
    """Healthy and infected of 763."""
    healthy, infected = y
    infections = contact * healthy * infected / 763
    return -infections, infections - recovery * infected


def residuals(parameters, data):
    """Ill boys, day by day."""
    rates = parameters["contact"].value, parameters["recovery"].value
    run = solve_ivp(field, (0.0, 14.0), (762.0, 1.0), "LSODA", DAYS, args=rates, rtol=1e-6, atol=1e-8)
    return run.y[1] - data


def fitted(data):
    """The values; lmfit computes standard errors with them."""
    parameters = lmfit.Parameters()
    parameters.add("contact", value=1.0, min=0)
    parameters.add("recovery", value=0.3, min=0)
    found: Any = lmfit.minimize(residuals, parameters, args=(data,))
    return np.array([found.params["contact"].value, found.params["recovery"].value])
