"""Van der Pol's oscillator in its two usual scalings."""

from typing import Any

import equinox as eqx

from ..solvers import compiled, parameter
from ._check import check_positive, check_scalars, check_state
from ._state import Motion, Real


class VanDerPol(eqx.Module):
    r"""Self-excited oscillator: $\ddot q = \mu (1 - q^2) \dot q - q$; all quantities dimensionless.

    `mu` = 0 is the harmonic oscillator; for large `mu` the limit cycle relaxes slowly (a period near
    $(3 - 2 \ln 2) \mu$) and jumps within a time of order $1/\mu$: the problem is then stiff, see `ScaledVanDerPol`.

    Source: B. van der Pol, Phil. Mag. 2, 978 (1926), doi:10.1080/14786442608564127.
    """

    State = Motion

    mu: Real = parameter()

    def __check_init__(self) -> None:
        check_scalars(self)

    @compiled
    def __call__(self, t: Any, y: Motion, args: Any = None) -> Motion:
        """Velocity and acceleration; `t` and `args` are not used."""
        check_state(self, y, Motion(q=(), v=()))
        return Motion(q=y.v, v=self.mu * (1 - y.q**2) * y.v - y.q)


class ScaledVanDerPol(eqx.Module):
    r"""Van der Pol on the time scale of its relaxation: $\dot q = v$, $\varepsilon \dot v = (1 - q^2) v - q$.

    Time and velocity are those of `VanDerPol` divided and multiplied by `mu`, and `eps` $= 1/\mu^2$, so one period
    takes about 1.6 for every small `eps`. With `eps` = 1e-6 and the initial state (2, 0) this is the stiff test
    problem VDPOL.

    Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.10,
    doi:10.1007/978-3-642-05221-7.
    """

    State = Motion

    eps: Real = parameter()

    def __check_init__(self) -> None:
        check_scalars(self)
        check_positive(self, "eps")

    @compiled
    def __call__(self, t: Any, y: Motion, args: Any = None) -> Motion:
        """Velocity and acceleration; `t` and `args` are not used."""
        check_state(self, y, Motion(q=(), v=()))
        return Motion(q=y.v, v=((1 - y.q**2) * y.v - y.q) / self.eps)
