"""Lorenz's model of convection, the first strange attractor."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp

from ..solvers import compiled, parameter
from ._check import check_scalars, check_state
from ._state import Real


class Lorenz(eqx.Module):
    r"""Convection in three modes: $\dot x = \sigma (y - x)$, $\dot y = x (\rho - z) - y$, $\dot z = x y - \beta z$.

    All quantities are dimensionless: `sigma` is the Prandtl number, `rho` the Rayleigh number over its critical
    value, `beta` the aspect ratio of the rolls. The default values give the well-known attractor, on which neighbors
    separate as $e^{0.906 t}$: gradients through long simulations grow just as fast.

    Source: E. N. Lorenz, J. Atmos. Sci. 20, 130 (1963), doi:10.1175/1520-0469(1963)020<0130:DNF>2.0.CO;2.
    """

    class State(NamedTuple):
        """Amplitudes: `x` of the flow, `y` and `z` of the temperature."""

        x: Real
        y: Real
        z: Real

    sigma: Real = parameter(default=10.0)
    rho: Real = parameter(default=28.0)
    beta: Real = parameter(default=8 / 3)

    def __check_init__(self) -> None:
        check_scalars(self)

    @compiled
    def __call__(self, t: Any, y: State, args: Any = None) -> State:
        """Rate of change of the three amplitudes; `t` and `args` are not used."""
        check_state(self, y, Lorenz.State(x=(), y=(), z=()))
        return Lorenz.State(
            x=self.sigma * (y.y - y.x),
            y=y.x * (self.rho - y.z) - y.y,
            z=y.x * y.y - self.beta * y.z,
        )

    @compiled
    def equilibria(self) -> tuple[State, State, State]:
        r"""Rest, and rolls either way: $x = y = \pm\sqrt{\beta (\rho - 1)}$, $z = \rho - 1$ (NaN if `rho` < 1)."""
        zero, roll = jnp.zeros_like(self.rho), jnp.sqrt(self.beta * (self.rho - 1))
        return (
            Lorenz.State(x=zero, y=zero, z=zero),
            Lorenz.State(x=roll, y=roll, z=self.rho - 1),
            Lorenz.State(x=-roll, y=-roll, z=self.rho - 1),
        )
