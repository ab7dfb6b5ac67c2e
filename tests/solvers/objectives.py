"""Objectives to test search methods on."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from kinax.solvers._search import AbstractObjective, advance, Evaluation, Linearization


class Residuals(AbstractObjective):
    """Half the sum of the squares of `function(z, args)`, plus `slope @ z`; one experiment, failed where not finite."""

    function: Any = eqx.field(static=True)
    args: Any
    lower: Any
    upper: Any
    slope: Any

    def __init__(
        self, function: Any, z: Any, args: Any = None, *, lower: Any = -np.inf, upper: Any = np.inf, slope: Any = 0.0
    ):
        spread = lambda x: jnp.broadcast_to(jnp.asarray(x, z.dtype), z.shape)
        self.function, self.args = function, args
        self.lower, self.upper, self.slope = spread(lower), spread(upper), spread(slope)

    def evaluate(self, z):
        cost = jnp.sum(self.function(z, self.args) ** 2) / 2 + self.slope @ z
        return Evaluation(cost=cost, verdicts=jnp.zeros(1, jnp.int32))

    def examine(self, z):
        residuals = self.function(z, self.args)
        jacobian = jax.jacfwd(self.function)(z, self.args)
        return self.evaluate(z), Linearization(residuals=residuals, jacobian=jacobian, slope=self.slope)

    def gradient(self, z):
        return jax.grad(lambda z: self.evaluate(z).cost)(z)


@eqx.filter_jit
def search(method, objective, z, max_steps=1000):
    """Where the search stands at its end."""
    return advance(method, objective, method.init(objective, z), max_steps).standing
