"""Any conservative system, given as its energy."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ..solvers import compiled
from ._check import check_scalar_function, check_twins
from ._state import Phase, Real


class Hamiltonian(eqx.Module):
    r"""Hamilton's equations $\dot q = \partial H/\partial p$, $\dot p = -\partial H/\partial q$ of any $H(q, p)$.

    `hamiltonian(q, p)` is any callable that JAX can differentiate; `q` and `p` are arrays or PyTrees of one structure.
    Make it an `equinox.Module` with fields declared by `parameter()` to fit it, a neural network included:

        Hamiltonian(lambda q, p: p**2 / 2 + q**4 / 4)

    $H$ is constant along every trajectory. Where it is not differentiable, the derivatives are those of `jax.grad`.

    Source: H. Goldstein, C. Poole, J. Safko, Classical Mechanics (2002), chapter 8.
    """

    State = Phase

    hamiltonian: Callable[[Any, Any], Real]

    @compiled
    def __call__(self, t: Any, y: Phase, args: Any = None) -> Phase:
        """Rate of change of position and momentum; `t` and `args` are not used."""
        check_twins(self, y, Phase)
        check_scalar_function(self, self.hamiltonian, y)
        gradient_q, gradient_p = jax.grad(self.hamiltonian, argnums=(0, 1))(y.q, y.p)
        return Phase(q=gradient_p, p=jax.tree.map(jnp.negative, gradient_q))

    @compiled
    def energy(self, y: Phase) -> Real:
        """$H(q, p)$, constant in time."""
        return self.hamiltonian(y.q, y.p)
