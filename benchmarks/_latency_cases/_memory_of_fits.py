"""How much fits grow the process after the first.

Arguments: how many; "parameters" (each has new functions in its `Parameter`s) or "residuals" (and a new residual
function).
"""

import pathlib
import resource
import sys

from _clock import report
from _data import data_set
from _epidemic import fitted, parameters, residuals


def resident() -> float:
    """MB that the process holds."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def residuals_of_all():
    """The same function each time."""
    return residuals


def own_residuals():
    """One that is a new object each time."""
    return lambda model, data: residuals(model, data)


n, kind = int(sys.argv[1]), sys.argv[2]
functions = {"parameters": residuals_of_all, "residuals": own_residuals}[kind]
fitted(data_set(0), parameters(), functions())
first = resident()
for number in range(1, n):
    fitted(data_set(number), parameters(), functions())
report({"first": first, "growth": resident() - first})
