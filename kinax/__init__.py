"""kinax: differentiable simulators on JAX, and the tools to fit them to data.

The three packages are `kinax.solvers` (stepping, integrating, differentiating, ensembles, fitting),
`kinax.physics` (mechanics and ready-made systems) and `kinax.md` (molecular dynamics).
"""

from . import md as md, physics as physics, solvers as solvers

__version__ = "0.1.0"
