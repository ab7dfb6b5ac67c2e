"""The potential of Stillinger and Weber."""

from typing import Any, ClassVar

import jax.numpy as jnp

from ...solvers import parameter
from .._pair import AbstractMixing, check_tables, lookup, LorentzBerthelot
from ._embedded import AbstractEmbedded, pick


class StillingerWeber(AbstractEmbedded):
    r"""Tetrahedral solids: $\sum_{i<j} u(r_{ij}) + \sum_i \sum_{j<k} K_{ijk} g_{ij} g_{ik} (\cos\theta_{jik} - c_0)^2$.

    $u = A \varepsilon [B (\sigma/r)^p - (\sigma/r)^q] e^{\sigma/(r - a\sigma)}$,
    $g = e^{\gamma\sigma/(r - a\sigma)}$, both 0 from $a\sigma$ on, and
    $K_{ijk} = \lambda_{ijk} \sqrt{\varepsilon_{ij} \varepsilon_{ik}}$. The defaults are silicon in ångström and eV.

    `epsilon` [energy], `sigma` [length], and the numbers `A`, `B`, `p`, `q`, `a`, `gamma`: one for all, one per
    species (mixed by `mixing`) or one per pair. `lam` $\lambda$ and `cosine` $c_0$: one, or (s, s, s) for the species
    of the central atom and of its two neighbors, symmetric in these two. The square of the cosine is a product of
    moments of the directions, so that the cost is that of a pair potential.

    Source: F. H. Stillinger and T. A. Weber, Phys. Rev. B 31, 5262 (1985), doi:10.1103/PhysRevB.31.5262.
    """

    tables: ClassVar = ("epsilon", "sigma", "A", "B", "p", "q", "a", "gamma", "lam", "cosine")

    epsilon: Any = parameter(default=2.1683)
    sigma: Any = parameter(default=2.0951)
    A: Any = parameter(default=7.049556277)
    B: Any = parameter(default=0.6022245584)
    p: Any = parameter(default=4.0)
    q: Any = parameter(default=0.0)
    a: Any = parameter(default=1.8)
    gamma: Any = parameter(default=1.2)
    lam: Any = parameter(default=21.0)
    cosine: Any = parameter(default=-1 / 3)
    mixing: AbstractMixing = LorentzBerthelot()

    def __check_init__(self) -> None:
        check_tables(self, positive=("epsilon", "sigma", "a"), triples=("lam", "cosine"))

    @property
    def reach(self) -> Any:
        r"""The largest $a \sigma$."""
        return jnp.max(self.a) * jnp.max(self.sigma)

    def densities(self, d: Any, a: Any, b: Any) -> tuple[Any, ...]:
        """The energy of the pair, less what the moments count that is no pair of neighbors; then the moments."""
        r, u, g = self._radial(d, a, b)
        x, y, z = (c / r for c in d)
        products = (x, y, z, x * x, y * y, z * z, y * z, x * z, x * y)
        shares = [g if self._kinds == 1 else jnp.where(b == kind, g, 0) for kind in range(self._kinds)]
        return (u - self._alone(g, a, b)) / 2, *(m for g in shares for m in (g, *(g * p for p in products)))

    def shared(self, d: Any, a: Any, b: Any, mine: tuple[Any, ...], theirs: tuple[Any, ...]) -> Any:
        """The same for both atoms: even moments add, odd ones subtract, and the radial parts are one."""
        r, u, g = self._radial(d, a, b)
        x, y, z = (c / r for c in d)
        m, n = self._of_kind(mine, b), self._of_kind(theirs, a)
        even, odd = (lambda k: m[k] + n[k]), (lambda k: m[k] - n[k])
        angular = even(0) + x * (odd(1) + even(4) * x + even(9) * y)
        angular += y * (odd(2) + even(5) * y + even(7) * z) + z * (odd(3) + even(6) * z + even(8) * x)
        alone = mine[0] * self._alone(g, a, b) + theirs[0] * self._alone(g, b, a)
        return ((mine[0] + theirs[0]) * u - alone) / 2 + g * angular

    def embed(self, densities: tuple[Any, ...], a: Any) -> Any:
        """Energy of one atom from the moments by the species of its neighbors."""
        own, kinds = densities[0], self._kinds
        moments = [densities[1 + 10 * kind : 11 + 10 * kind] for kind in range(kinds)]
        for b in range(kinds):
            for c in range(kinds):
                strength = jnp.sqrt(self._strength(a, b) * self._strength(a, c)) if b != c else self._strength(a, b)
                cosine = _of_triple(self.cosine, a, b, c)
                angles = _squares(moments[b], moments[c], cosine)
                own = own + _of_triple(self.lam, a, b, c) * strength * angles / 2
        return own

    def _radial(self, d, a, b):
        """The distance, the energy of the pair, and the weight g of its direction."""
        pair = lambda table: lookup(table, self.mixing.length, a, b)
        sigma, r = pair(self.sigma), jnp.sqrt(d[0] * d[0] + d[1] * d[1] + d[2] * d[2])
        end = pair(self.a) * sigma
        within = r < end
        gap = jnp.where(within, r - end, -end)
        log = jnp.log(sigma / jnp.where(within, r, end))
        u = (
            pair(self.A)
            * self._strength(a, b)
            * (pair(self.B) * jnp.exp(pair(self.p) * log) - jnp.exp(pair(self.q) * log))
        )
        u, g = u * jnp.exp(sigma / gap), jnp.exp(pair(self.gamma) * sigma / gap)
        return r, jnp.where(within, u, 0), jnp.where(within, g, 0)

    def _alone(self, g, a, b):
        """What a neighbor would have with itself, if it were two."""
        return _of_triple(self.lam, a, b, b) * self._strength(a, b) * ((1 - _of_triple(self.cosine, a, b, b)) * g) ** 2

    def _strength(self, a, b):
        return lookup(self.epsilon, self.mixing.strength, a, b)

    def _of_kind(self, sums, kind):
        """The ten moments of neighbors of this species."""
        chosen = sums[1:11]
        for k in range(1, self._kinds):
            chosen = tuple(jnp.where(kind == k, x, y) for x, y in zip(sums[1 + 10 * k :], chosen, strict=False))
        return chosen

    @property
    def _kinds(self) -> int:
        return max((jnp.shape(getattr(self, name)) or (1,))[0] for name in self.tables)


def _squares(m: Any, n: Any, cosine: Any) -> Any:
    """The sum of g g' (u . u' - cosine)² over neighbors with the moments m and n."""
    first = m[1] * n[1] + m[2] * n[2] + m[3] * n[3]
    second = m[4] * n[4] + m[5] * n[5] + m[6] * n[6] + 2 * (m[7] * n[7] + m[8] * n[8] + m[9] * n[9])
    return second - 2 * cosine * first + cosine**2 * m[0] * n[0]


def _of_triple(table: Any, a: Any, b: Any, c: Any) -> Any:
    if jnp.ndim(table) == 0:
        return table
    kinds = table.shape[0]
    return pick(table.reshape(-1), (a * kinds + b) * kinds + c)
