"""kinax: differentiable simulators on JAX, and the tools to fit them to data.

The three packages are `kinax.solvers` (stepping, integrating, differentiating, ensembles, fitting),
`kinax.physics` (mechanics and ready-made systems) and `kinax.md` (molecular dynamics).
"""

import importlib
from typing import Any, TYPE_CHECKING

if TYPE_CHECKING:
    from . import md as md, physics as physics, solvers as solvers

__version__ = "0.1.0"
__all__ = ["md", "physics", "solvers"]


def __getattr__(name: str) -> Any:
    """Packages are imported when they are first used (PEP 562): who fits equations need not wait for the atoms."""
    if name in __all__:
        return importlib.import_module(f"kinax.{name}")
    raise AttributeError(f"module 'kinax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
