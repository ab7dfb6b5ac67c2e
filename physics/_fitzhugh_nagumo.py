"""FitzHugh and Nagumo's excitable neuron."""

from typing import Any, NamedTuple

import equinox as eqx
import jax.numpy as jnp

from ..solvers import compiled, parameter
from ._check import check_scalars, check_state
from ._state import Real, Reals


class FitzHughNagumo(eqx.Module):
    r"""Excitable neuron: $\dot v = v - v^3/3 - w + I$, $\tau \dot w = v + a - b w$; all quantities dimensionless.

    $v$ is the fast membrane potential and $w$ the slow recovery. With the default `a`, `b` and `tau` the neuron rests
    for a `current` below 0.33, fires repeatedly up to 1.42, and rests again above.

    Source: R. FitzHugh, Biophys. J. 1, 445 (1961), doi:10.1016/S0006-3495(61)86902-6; J. Nagumo, S. Arimoto,
    S. Yoshizawa, Proc. IRE 50, 2061 (1962), doi:10.1109/JRPROC.1962.288235.
    """

    class State(NamedTuple):
        """Membrane potential `v` and recovery `w`."""

        v: Real
        w: Real

    current: Real = parameter(default=0.5)
    a: Real = parameter(default=0.7)
    b: Real = parameter(default=0.8)
    tau: Real = parameter(default=12.5)

    def __check_init__(self) -> None:
        check_scalars(self)

    @compiled
    def __call__(self, t: Any, y: State, args: Any = None) -> State:
        """Rate of change of potential and recovery; `t` and `args` are not used."""
        check_state(self, y, FitzHughNagumo.State(v=(), w=()))
        return FitzHughNagumo.State(v=self.cubic_nullcline(y.v) - y.w, w=(y.v + self.a - self.b * y.w) / self.tau)

    @compiled
    def cubic_nullcline(self, v: Reals) -> Reals:
        r"""The `w` at which the potential rests: $v - v^3/3 + I$."""
        return v - v**3 / 3 + self.current

    @compiled
    def linear_nullcline(self, v: Reals) -> Reals:
        r"""The `w` at which the recovery rests: $(v + a)/b$."""
        return (v + self.a) / self.b

    @compiled
    def equilibrium(self) -> State:
        r"""Where the nullclines cross: the root of $v^3 + 3 p v + 2 r = 0$, $p = 1/b - 1$, $r = \frac32 (a/b - I)$.

        Needs 0 < `b` < 1, where there is exactly one crossing; NaN otherwise.
        """
        root = jnp.sqrt(1 / self.b - 1)
        v = -2 * root * jnp.sinh(jnp.arcsinh(1.5 * (self.a / self.b - self.current) / root**3) / 3)
        return FitzHughNagumo.State(v=v, w=self.linear_nullcline(v))
