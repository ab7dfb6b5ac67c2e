"""How much 300 fits, each with `Parameter`s of its own, grow the process after the first."""

import pathlib
import resource

from _clock import report
from _data import data_set
from _epidemic import fitted, parameters


def resident() -> float:
    """MB that the process holds."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


fitted(data_set(0), parameters())
first = resident()
for number in range(1, 300):
    fitted(data_set(number), parameters())
report({"first": first, "growth": resident() - first})
