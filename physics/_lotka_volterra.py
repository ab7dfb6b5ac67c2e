"""Predators and their prey."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp

from ..solvers import compiled, parameter
from ._check import check_scalars, check_state
from ._state import Real


class LotkaVolterra(eqx.Module):
    r"""Predators and prey: $\dot u = \alpha u - \beta u v$, $\dot v = \delta u v - \gamma v$.

    $u$ is the prey and $v$ the predator, both positive, in any unit of population (say thousands of pelts). With
    time in years, the growth rate `alpha` and the death rate `gamma` are in 1/yr, the predation rate `beta` and the
    yield `delta` in 1/(yr population).

    Source: A. J. Lotka, Elements of Physical Biology (1925); V. Volterra, Nature 118, 558 (1926),
    doi:10.1038/118558a0.
    """

    class State(NamedTuple):
        """Sizes of the two populations."""

        prey: Real
        predator: Real

    alpha: Real = parameter()
    beta: Real = parameter()
    gamma: Real = parameter()
    delta: Real = parameter()

    def __check_init__(self) -> None:
        check_scalars(self)

    @compiled
    def __call__(self, t: Any, y: State, args: Any = None) -> State:
        """Rate of change of both populations; `t` and `args` are not used."""
        check_state(self, y, LotkaVolterra.State(prey=(), predator=()))
        encounters = y.prey * y.predator
        return LotkaVolterra.State(
            prey=self.alpha * y.prey - self.beta * encounters,
            predator=self.delta * encounters - self.gamma * y.predator,
        )

    @compiled
    def first_integral(self, y: State) -> Real:
        r"""Constant along every orbit: $\delta u - \gamma \ln u + \beta v - \alpha \ln v$ [1/yr]."""
        return (
            self.delta * y.prey
            - self.gamma * jnp.log(y.prey)
            + self.beta * y.predator
            - self.alpha * jnp.log(y.predator)
        )

    @compiled
    def equilibrium(self) -> State:
        r"""Where both populations rest: $u = \gamma/\delta$, $v = \alpha/\beta$."""
        return LotkaVolterra.State(prey=self.gamma / self.delta, predator=self.alpha / self.beta)
