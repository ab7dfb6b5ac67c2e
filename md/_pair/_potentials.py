"""Pair potentials with closed forms."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from ...solvers import parameter
from ._cutoff import AbstractCutoff
from ._mixing import AbstractMixing, lookup, LorentzBerthelot
from ._pair import AbstractCurve, AbstractPair, check_tables


class LennardJones(AbstractCurve):
    r"""$u = 4 \varepsilon [(\sigma/r)^{12} - (\sigma/r)^6]$: zero at $\sigma$, depth $\varepsilon$ at $2^{1/6} \sigma$.

    `epsilon` [energy], `sigma` [length]. Source: J. E. Jones, Proc. R. Soc. A 106, 463 (1924),
    doi:10.1098/rspa.1924.0082.
    """

    tables: ClassVar = ("epsilon", "sigma")

    cutoff: AbstractCutoff
    epsilon: Any = parameter(default=1.0)
    sigma: Any = parameter(default=1.0)
    mixing: AbstractMixing = LorentzBerthelot()

    def __check_init__(self) -> None:
        check_tables(self, positive=("sigma",))

    def curve(self, r2: Any, a: Any, b: Any) -> Any:
        """The formula."""
        sigma = lookup(self.sigma, self.mixing.length, a, b)
        sixth = (sigma**2 / r2) ** 3
        return 4 * lookup(self.epsilon, self.mixing.strength, a, b) * (sixth**2 - sixth)


class WCA(AbstractPair):
    r"""$u = 4 \varepsilon [(\sigma/r)^{12} - (\sigma/r)^6] + \varepsilon$ up to the minimum, $2^{1/6} \sigma$, then 0.

    `epsilon` [energy], `sigma` [length]. Source: J. D. Weeks, D. Chandler, H. C. Andersen, J. Chem. Phys. 54, 5237
    (1971), doi:10.1063/1.1674820.
    """

    tables: ClassVar = ("epsilon", "sigma")

    epsilon: Any = parameter(default=1.0)
    sigma: Any = parameter(default=1.0)
    mixing: AbstractMixing = LorentzBerthelot()

    def __check_init__(self) -> None:
        check_tables(self, positive=("sigma",))

    @property
    def reach(self) -> Any:
        """The minimum of the largest species."""
        return 2 ** (1 / 6) * jnp.max(self.sigma)

    def energy(self, r2: Any, a: Any, b: Any) -> Any:
        """The formula."""
        epsilon = lookup(self.epsilon, self.mixing.strength, a, b)
        square = lookup(self.sigma, self.mixing.length, a, b) ** 2
        within = r2 < 2 ** (1 / 3) * square
        sixth = (square / jnp.where(within, r2, square)) ** 3
        return jnp.where(within, 4 * epsilon * (sixth**2 - sixth) + epsilon, 0)


class Mie(AbstractCurve):
    r"""$u = C \varepsilon [(\sigma/r)^n - (\sigma/r)^m]$, $C = \frac{n}{n-m} (n/m)^{m/(n-m)}$: depth $\varepsilon$.

    `epsilon` [energy], `sigma` [length], exponents `n` > `m`, one of each, floats that can be fitted; 12 and 6 make
    Lennard-Jones. Source: G. Mie, Ann. Phys. 316, 657 (1903), doi:10.1002/andp.19033160802.
    """

    tables: ClassVar = ("epsilon", "sigma", "n", "m")

    cutoff: AbstractCutoff
    epsilon: Any = parameter(default=1.0)
    sigma: Any = parameter(default=1.0)
    n: Any = parameter(default=12.0)
    m: Any = parameter(default=6.0)
    mixing: AbstractMixing = LorentzBerthelot()

    def __check_init__(self) -> None:
        check_tables(self, positive=("sigma", "n", "m"))

    def curve(self, r2: Any, a: Any, b: Any) -> Any:
        """The formula."""
        n, m = (lookup(x, self.mixing.strength, a, b) for x in (self.n, self.m))
        ratio = jnp.log(lookup(self.sigma, self.mixing.length, a, b) ** 2 / r2) / 2
        scale = n / (n - m) * jnp.exp(m / (n - m) * jnp.log(n / m))
        return lookup(self.epsilon, self.mixing.strength, a, b) * scale * (jnp.exp(n * ratio) - jnp.exp(m * ratio))


class Morse(AbstractCurve):
    r"""$u = D [(1 - e^{-\alpha (r - r_0)})^2 - 1]$: depth $D$ at $r_0$.

    `depth` [energy], `alpha` [1/length], `center` $r_0$ [length]. Source: P. M. Morse, Phys. Rev. 34, 57 (1929),
    doi:10.1103/PhysRev.34.57.
    """

    tables: ClassVar = ("depth", "alpha", "center")

    cutoff: AbstractCutoff
    depth: Any = parameter(default=1.0)
    alpha: Any = parameter(default=5.0)
    center: Any = parameter(default=1.0)
    mixing: AbstractMixing = LorentzBerthelot()

    def __check_init__(self) -> None:
        check_tables(self)

    def curve(self, r2: Any, a: Any, b: Any) -> Any:
        """The formula."""
        alpha = lookup(self.alpha, self.mixing.strength, a, b)
        decay = jnp.exp(-alpha * (jnp.sqrt(r2) - lookup(self.center, self.mixing.length, a, b)))
        return lookup(self.depth, self.mixing.strength, a, b) * decay * (decay - 2)


class Buckingham(AbstractCurve):
    r"""$u = A e^{-r/\rho} - C/r^6$. Below its maximum the attraction wins: keep atoms out of there.

    `A` [energy], `rho` [length], `C` [energy length⁶]. Source: R. A. Buckingham, Proc. R. Soc. A 168, 264 (1938),
    doi:10.1098/rspa.1938.0173.
    """

    tables: ClassVar = ("A", "rho", "C")

    cutoff: AbstractCutoff
    A: Any = parameter()
    rho: Any = parameter()
    C: Any = parameter()
    mixing: AbstractMixing = LorentzBerthelot()

    def __check_init__(self) -> None:
        check_tables(self, positive=("rho",))

    def curve(self, r2: Any, a: Any, b: Any) -> Any:
        """The formula."""
        rho = lookup(self.rho, self.mixing.length, a, b)
        repulsion = lookup(self.A, self.mixing.strength, a, b) * jnp.exp(-jnp.sqrt(r2) / rho)
        return repulsion - lookup(self.C, self.mixing.strength, a, b) / r2**3


class SoftSphere(AbstractPair):
    r"""$u = \frac{\varepsilon}{\alpha} (1 - r/\sigma)^\alpha$ up to $\sigma$, then 0: spheres that may overlap.

    `epsilon` [energy], `sigma` [length], `alpha`: 2 for springs, 5/2 for Hertzian contact, above 1. Source: C. S.
    O'Hern et al., Phys. Rev. E 68, 011306 (2003), doi:10.1103/PhysRevE.68.011306.
    """

    tables: ClassVar = ("epsilon", "sigma", "alpha")

    epsilon: Any = parameter(default=1.0)
    sigma: Any = parameter(default=1.0)
    alpha: Any = parameter(default=2.0)
    mixing: AbstractMixing = LorentzBerthelot()

    def __check_init__(self) -> None:
        check_tables(self, positive=("sigma", "alpha"))

    @property
    def reach(self) -> Any:
        """The largest sigma."""
        return jnp.max(self.sigma)

    def energy(self, r2: Any, a: Any, b: Any) -> Any:
        """The formula."""
        alpha = lookup(self.alpha, self.mixing.strength, a, b)
        sigma = lookup(self.sigma, self.mixing.length, a, b)
        overlap = 1 - jnp.sqrt(r2) / sigma
        within = overlap > 0
        power = jnp.where(within, overlap, 1) ** alpha
        return jnp.where(within, lookup(self.epsilon, self.mixing.strength, a, b) / alpha * power, 0)


class Yukawa(AbstractCurve):
    r"""$u = A e^{-\kappa r} / r$: screened charges.

    `A` [energy length], `kappa` [1/length]. Source: H. Yukawa, Proc. Phys.-Math. Soc. Japan 17, 48 (1935).
    """

    tables: ClassVar = ("A", "kappa")

    cutoff: AbstractCutoff
    A: Any = parameter(default=1.0)
    kappa: Any = parameter(default=1.0)
    mixing: AbstractMixing = LorentzBerthelot()

    def __check_init__(self) -> None:
        check_tables(self)

    def curve(self, r2: Any, a: Any, b: Any) -> Any:
        """The formula."""
        r = jnp.sqrt(r2)
        kappa = lookup(self.kappa, self.mixing.strength, a, b)
        return lookup(self.A, self.mixing.strength, a, b) * jnp.exp(-kappa * r) / r


class Gaussian(AbstractCurve):
    r"""$u = \varepsilon e^{-r^2 / (2 \sigma^2)}$: a core that atoms can pass through; smooth at r = 0.

    `epsilon` [energy], `sigma` [length]. Source: F. H. Stillinger, J. Chem. Phys. 65, 3968 (1976),
    doi:10.1063/1.432891.
    """

    tables: ClassVar = ("epsilon", "sigma")

    cutoff: AbstractCutoff
    epsilon: Any = parameter(default=1.0)
    sigma: Any = parameter(default=1.0)
    mixing: AbstractMixing = LorentzBerthelot()

    def __check_init__(self) -> None:
        check_tables(self, positive=("sigma",))

    def curve(self, r2: Any, a: Any, b: Any) -> Any:
        """The formula."""
        sigma = lookup(self.sigma, self.mixing.length, a, b)
        return lookup(self.epsilon, self.mixing.strength, a, b) * jnp.exp(-r2 / (2 * sigma**2))


class DampedCoulomb(AbstractCurve):
    r"""$u = k q_a q_b \, \mathrm{erfc}(\alpha r) / r$; with the cutoff `ForceShifted` the damped shifted force (DSF).

    `charge` (species,) [charge], `alpha` the damping [1/length], `constant` $k$ [energy length / charge²]. The pair
    part alone: the DSF's constant self energy of each charge is not in it. Source: C. J. Fennell and J. D. Gezelter,
    J. Chem. Phys. 124, 234104 (2006), doi:10.1063/1.2206581.
    """

    tables: ClassVar = ("charge",)

    cutoff: AbstractCutoff
    charge: Any = parameter()
    alpha: Any = parameter(default=0.2)
    constant: Any = parameter(default=1.0)

    def __check_init__(self) -> None:
        check_tables(self)
        if jnp.ndim(self.charge) == 2:
            raise ValueError("DampedCoulomb.charge holds one charge per species, not a matrix.")

    def curve(self, r2: Any, a: Any, b: Any) -> Any:
        """The formula."""
        r = jnp.sqrt(r2)
        square = lookup(self.charge, jnp.multiply, a, b) if self.charge.ndim else self.charge**2
        return self.constant * square * jax.scipy.special.erfc(self.alpha * r) / r


class Spline(AbstractCurve):
    r"""A natural cubic spline through `values` [energy] (m,) at evenly spaced distances from `start` to `end` [length].

    The values are float leaves: a curve of free form to be fitted. Below `start` the first cubic goes on, beyond `end`
    the last. One curve for all species.
    """

    tables: ClassVar = ()

    cutoff: AbstractCutoff
    values: Any = parameter()
    start: Any = parameter()
    end: Any = parameter()

    def __check_init__(self) -> None:
        if jnp.ndim(self.values) != 1 or jnp.size(self.values) < 3:
            raise ValueError(f"Spline.values has shape {jnp.shape(self.values)}, expected (m,) with m at least 3.")

    def curve(self, r2: Any, a: Any, b: Any) -> Any:
        """The cubic of the interval."""
        y, m = self.values, self.values.size
        h = (self.end - self.start) / (m - 1)
        inverse = np.linalg.inv(4 * np.eye(m - 2) + np.eye(m - 2, k=1) + np.eye(m - 2, k=-1))
        bends = jnp.pad(jnp.asarray(inverse, y.dtype) @ (y[2:] - 2 * y[1:-1] + y[:-2]), 1)
        t = (jnp.sqrt(r2) - self.start) / h
        k = jnp.clip(jax.lax.stop_gradient(t), 0, m - 2).astype(jnp.int32)
        t = t - k.astype(t.dtype)
        pick = lambda x, k: x.at[k].get(mode="promise_in_bounds")
        line = (1 - t) * pick(y, k) + t * pick(y, k + 1)
        return line + ((1 - t) ** 3 - (1 - t)) * pick(bends, k) + (t**3 - t) * pick(bends, k + 1)
