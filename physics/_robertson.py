"""Robertson's autocatalytic reaction, the classic stiff problem."""

from typing import Any, NamedTuple

import equinox as eqx

from ..solvers import compiled, parameter
from ._check import check_scalars, check_state
from ._state import Real


class Robertson(eqx.Module):
    r"""Three reactions, nine decades of rates: $A \to B$, $B + B \to B + C$, $B + C \to A + C$.

    $\dot a = -k_1 a + k_3 b c$, $\dot b = k_1 a - k_3 b c - k_2 b^2$, $\dot c = k_2 b^2$, with mole fractions $a$,
    $b$, $c$ and rates in 1/s. Stiff: use `integrate(..., solver=stiff())`. Started from (1, 0, 0), $b$ stays below
    4e-5, so `atol` has to be far smaller than that.

    Source: H. H. Robertson, in Numerical Analysis: An Introduction (ed. J. Walsh, 1966), 178; the test problem ROBER
    of E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), doi:10.1007/978-3-642-05221-7.
    """

    class State(NamedTuple):
        """Mole fractions of the three species."""

        a: Real
        b: Real
        c: Real

    k1: Real = parameter(default=0.04)
    k2: Real = parameter(default=3e7)
    k3: Real = parameter(default=1e4)

    def __check_init__(self) -> None:
        check_scalars(self)

    @compiled
    def __call__(self, t: Any, y: State, args: Any = None) -> State:
        """Rate of change of the three species [1/s]; `t` and `args` are not used."""
        check_state(self, y, Robertson.State(a=(), b=(), c=()))
        decay = self.k1 * y.a
        conversion = self.k2 * y.b * y.b
        recovery = self.k3 * y.b * y.c
        return Robertson.State(a=recovery - decay, b=decay - recovery - conversion, c=conversion)

    @compiled
    def mass(self, y: State) -> Real:
        """Sum of the three species, constant in time."""
        return y.a + y.b + y.c
