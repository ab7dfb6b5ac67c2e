"""Data sets of two populations, prey and predators: ten times, of Lotka and Volterra's equations with 5 % scatter."""

import numpy as np
from scipy.integrate import solve_ivp

TS = np.linspace(0.0, 18.0, 11)
START = 1.0, 0.5
DELTA = 1.1
TRUTH = 0.6, 1.3, 0.9
GUESS = 0.5, 1.0, 1.0


def field(t, y, alpha, beta, gamma):
    """The growth of both, in Python floats, which are faster in SciPy than arrays."""
    prey, predator = y
    return alpha * prey - beta * prey * predator, DELTA * prey * predator - gamma * predator


def data_set(number: int) -> np.ndarray:
    """The logarithms of both at the times after the start, of this number."""
    run = solve_ivp(field, (0.0, 18.0), START, "LSODA", TS[1:], args=TRUTH, rtol=1e-9, atol=1e-9)
    return np.log(run.y.T) + 0.05 * np.random.default_rng(number).normal(size=(10, 2))
