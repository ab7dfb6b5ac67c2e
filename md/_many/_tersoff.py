"""The potential of Tersoff."""

from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...solvers import parameter
from .._neighbors import AbstractNeighbors
from .._pair import check_tables, geometric_mean, lookup
from .._potential import AbstractPotential, ManyBody
from .._system import System
from ._embedded import pick


class Tersoff(AbstractPotential):
    r"""Covalent solids: $\frac12 \sum_{i \ne j} f_C(r_{ij}) [A e^{-\lambda_1 r} - b_{ij} \chi B e^{-\lambda_2 r}]$.

    $b_{ij} = (1 + (\beta \zeta_{ij})^n)^{-1/2n}$,
    $\zeta_{ij} = \sum_k f_C(r_{ik}) g(\theta_{ijk}) e^{\lambda_3^3 (r_{ij} - r_{ik})^3}$,
    $g = 1 + c^2/d^2 - c^2/(d^2 + (h - \cos\theta)^2)$; $f_C$ falls like a sine from 1 at `inner` to 0 at `outer`.
    The defaults are silicon in ångström and eV.

    All are one number or one per species (s,). Those of a pair (`A`, `B`, `inner`, `outer` by the geometric mean,
    `lambda1`, `lambda2` by the arithmetic) may also be a symmetric matrix (s, s), as the factor `chi` is if not 1.
    `most`: the most neighbors within `outer` that an atom may have; with more the energy is NaN.

    Source: J. Tersoff, Phys. Rev. B 39, 5566 (1989), doi:10.1103/PhysRevB.39.5566; $\lambda_3$: Phys. Rev. B 37, 6991
    (1988), doi:10.1103/PhysRevB.37.6991.
    """

    tables: ClassVar = (
        *("A", "B", "lambda1", "lambda2", "lambda3", "beta", "n", "c", "d", "h", "inner", "outer", "chi"),
    )

    A: Any = parameter(default=1830.8)
    B: Any = parameter(default=471.18)
    lambda1: Any = parameter(default=2.4799)
    lambda2: Any = parameter(default=1.7322)
    lambda3: Any = parameter(default=0.0)
    beta: Any = parameter(default=1.1e-6)
    n: Any = parameter(default=0.78734)
    c: Any = parameter(default=1.0039e5)
    d: Any = parameter(default=16.217)
    h: Any = parameter(default=-0.59825)
    inner: Any = parameter(default=2.7)
    outer: Any = parameter(default=3.0)
    chi: Any = parameter(default=1.0)
    most: int = eqx.field(static=True, default=24)

    def __check_init__(self) -> None:
        check_tables(self, positive=("n", "d", "inner", "outer"))
        for name in ("lambda3", "beta", "n", "c", "d", "h"):
            if jnp.ndim(getattr(self, name)) > 1:
                raise ValueError(f"Tersoff.{name} belongs to an atom: one number or one per species, not a matrix.")

    @property
    def reach(self) -> Any:
        """The largest `outer`."""
        return jnp.max(self.outer)

    def total(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Sum over the atoms."""
        return self._summed().total(system, neighbors)

    def force(self, system: System, neighbors: AbstractNeighbors) -> Array:
        """Minus the gradient of the sum."""
        return self._summed().force(system, neighbors)

    def _summed(self) -> ManyBody:
        return ManyBody(energy_of=self.atom_energy, cutoff=self.reach)

    def atom_energy(self, vectors: Any, a: Any, b: Any, present: Any) -> Any:
        """Energy of one atom, with the vectors (k, 3) to its neighbors."""
        r2 = jnp.sum(vectors**2, axis=1)
        near = present & (r2 < self.reach**2)
        crowded = jnp.sum(near) > self.most
        if vectors.shape[0] > self.most:
            distance = jnp.where(near, jax.lax.stop_gradient(r2), jnp.inf)
            nearest = jax.lax.top_k(-distance, self.most)[1]
            vectors, b, r2, near = pick((vectors, b, r2, near), nearest)
        r = jnp.sqrt(jnp.where(near, r2, self.reach**2))
        ends = self._ends(r, a, b)
        ends = jnp.where(near, ends, 0)
        order = self._order(vectors / r[:, None], r, ends, a)
        pair = lambda table, rule: lookup(table, rule, a, b)
        repulsion = pair(self.A, geometric_mean) * jnp.exp(-pair(self.lambda1, _mean) * r)
        strength = pair(self.chi, geometric_mean) * pair(self.B, geometric_mean)
        attraction = strength * jnp.exp(-pair(self.lambda2, _mean) * r)
        return jnp.sum(ends * (repulsion - order * attraction)) / 2 * jnp.where(crowded, jnp.nan, 1)

    def _ends(self, r, a, b):
        """f_C."""
        inner, outer = lookup(self.inner, geometric_mean, a, b), lookup(self.outer, geometric_mean, a, b)
        x = jnp.clip((r - inner) / (outer - inner), 0, 1)
        return (1 + jnp.cos(jnp.pi * x)) / 2

    def _order(self, units, r, ends, a):
        """b for each neighbor."""
        own = lambda table: pick(table, a) if jnp.ndim(table) else table
        c2, d2 = own(self.c) ** 2, own(self.d) ** 2
        cosine = jnp.matmul(units, units.T, precision="highest")
        gap = (own(self.h) - cosine) ** 2
        angular = 1 + c2 / d2 * (gap / (d2 + gap))  # as a difference, c is lost to rounding
        lag = (own(self.lambda3) * (r[:, None] - r[None, :])) ** 3
        others = jnp.asarray(~np.eye(r.size, dtype=bool))
        zeta = jnp.sum(jnp.where(others, ends[None, :] * angular * jnp.exp(lag), 0), axis=1)
        n, beta = own(self.n), own(self.beta)
        bonded = zeta > 0  # the power has no derivative at 0
        return jnp.where(bonded, (1 + (beta * jnp.where(bonded, zeta, 1)) ** n) ** (-1 / (2 * n)), 1)


def _mean(first: Any, second: Any) -> Any:
    return (first + second) / 2
