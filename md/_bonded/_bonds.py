"""Energies of bonds."""

from typing import Any, ClassVar

import jax.numpy as jnp

from ...solvers import parameter
from ._terms import AbstractTerms, check_terms, numbers


class HarmonicBond(AbstractTerms):
    r"""$\frac{k}{2} (r - r_0)^2$: `stiffness` $k$ [energy/length²], `length` $r_0$ [length]; `atoms` (m, 2).

    With the factor 1/2, as in OpenMM and GROMACS; LAMMPS's and AMBER's constants are half of these. At r = 0, where
    there is no direction, the force is 0.
    """

    values: ClassVar = ("stiffness", "length")

    atoms: Any = numbers()
    stiffness: Any = parameter()
    length: Any = parameter()

    def __check_init__(self) -> None:
        check_terms(self, 2)

    def energy(self, *steps: Any) -> Any:
        """The formula."""
        return self.stiffness / 2 * (norm(steps[0]) - self.length) ** 2


class MorseBond(AbstractTerms):
    r"""$D (1 - e^{-\alpha (r - r_0)})^2$: 0 at `length` $r_0$, the `depth` $D$ far out; `atoms` (m, 2).

    Source: P. M. Morse, Phys. Rev. 34, 57 (1929), doi:10.1103/PhysRev.34.57.
    """

    values: ClassVar = ("depth", "alpha", "length")

    atoms: Any = numbers()
    depth: Any = parameter()
    alpha: Any = parameter()
    length: Any = parameter()

    def __check_init__(self) -> None:
        check_terms(self, 2)

    def energy(self, *steps: Any) -> Any:
        """The formula."""
        return self.depth * (1 - jnp.exp(-self.alpha * (norm(steps[0]) - self.length))) ** 2


class FENEBond(AbstractTerms):
    r"""$-\frac{k}{2} R_0^2 \ln(1 - r^2/R_0^2)$ plus Lennard-Jones cut at its minimum and raised to 0; `atoms` (m, 2).

    `stiffness` $k$ [energy/length²], `extent` $R_0$ [length], `epsilon` and `sigma` of the repulsion; the defaults are
    the usual 30, 1.5, 1, 1. NaN from $R_0$ on: a bond that has broken must not go unnoticed. Where bonded atoms also
    repel each other as a pair, use `Excluding`, or `epsilon=0` here.

    Source: K. Kremer and G. S. Grest, J. Chem. Phys. 92, 5057 (1990), doi:10.1063/1.458541.
    """

    values: ClassVar = ("stiffness", "extent", "epsilon", "sigma")

    atoms: Any = numbers()
    stiffness: Any = parameter(default=30.0)
    extent: Any = parameter(default=1.5)
    epsilon: Any = parameter(default=1.0)
    sigma: Any = parameter(default=1.0)

    def __check_init__(self) -> None:
        check_terms(self, 2, positive=("extent", "sigma"))

    def energy(self, *steps: Any) -> Any:
        """The formula."""
        r2 = jnp.sum(steps[0] ** 2)
        r2 = r2 * jnp.where(r2 < self.extent**2, 1, jnp.nan)  # so that the force is NaN too
        stretch = -self.stiffness / 2 * self.extent**2 * jnp.log1p(-r2 / self.extent**2)
        close = ~(r2 >= 2 ** (1 / 3) * self.sigma**2)
        sixth = (self.sigma**2 / jnp.where(close, r2, self.sigma**2)) ** 3
        return stretch + jnp.where(close, 4 * self.epsilon * (sixth**2 - sixth) + self.epsilon, 0)


def norm(d: Any) -> Any:
    """The length of a vector, with derivative 0 where it is 0."""
    square = jnp.sum(d**2)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
