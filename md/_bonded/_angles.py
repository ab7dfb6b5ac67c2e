"""Energies of bond angles and torsions."""

from typing import Any, ClassVar

import jax.numpy as jnp
import numpy as np

from ...solvers import parameter
from ._bonds import norm
from ._terms import AbstractTerms, check_terms, numbers


class HarmonicAngle(AbstractTerms):
    r"""$\frac{k}{2} (\theta - \theta_0)^2$ for the angle at the second of three atoms: `atoms` (m, 3).

    `stiffness` $k$ [energy/radian²], `angle` $\theta_0$ [radian]. With $\theta_0 = \pi$ all derivatives are right at
    three atoms in a row. With another $\theta_0$ the energy has a cusp there, no force can be right, and it is 0.
    """

    values: ClassVar = ("stiffness", "angle")

    atoms: Any = numbers()
    stiffness: Any = parameter()
    angle: Any = parameter()

    def __check_init__(self) -> None:
        check_terms(self, 3)

    def energy(self, *steps: Any) -> Any:
        """The formula, in the deviation from a straight line, whose square is smooth there."""
        bend, square = _bend(*steps)
        rest = jnp.asarray(np.pi, self.angle.dtype) - self.angle
        return self.stiffness / 2 * (square - 2 * rest * bend + rest**2)


class PeriodicTorsion(AbstractTerms):
    r"""$k [1 + \cos(n \phi - \phi_0)]$ for the dihedral angle of four atoms, trans at $\pi$: `atoms` (m, 4).

    `stiffness` $k$ [energy], `count` $n$ whole, `phase` $\phi_0$ [radian]. For any torsion: where three of the atoms
    are in a row, the angle is undefined, and is taken as 0 with force 0.
    """

    values: ClassVar = ("stiffness", "count", "phase")

    atoms: Any = numbers()
    count: Any = numbers()
    stiffness: Any = parameter()
    phase: Any = parameter(default=0.0)

    def __check_init__(self) -> None:
        check_terms(self, 4)

    def energy(self, *steps: Any) -> Any:
        """The formula."""
        phi = _dihedral(*steps)
        return self.stiffness * (1 + jnp.cos(self.count.astype(phi.dtype) * phi - self.phase))


class RyckaertBellemans(AbstractTerms):
    r"""$\sum_{n=0}^5 c_n \cos^n \psi$, $\psi = \phi - \pi$, 0 in the trans conformation: `atoms` (m, 4), `c0`...`c5`.

    [energy]. Source: J.-P. Ryckaert and A. Bellemans, Chem. Phys. Lett. 30, 123 (1975),
    doi:10.1016/0009-2614(75)85513-8.
    """

    values: ClassVar = ("c0", "c1", "c2", "c3", "c4", "c5")

    atoms: Any = numbers()
    c0: Any = parameter(default=0.0)
    c1: Any = parameter(default=0.0)
    c2: Any = parameter(default=0.0)
    c3: Any = parameter(default=0.0)
    c4: Any = parameter(default=0.0)
    c5: Any = parameter(default=0.0)

    def __check_init__(self) -> None:
        check_terms(self, 4)

    def energy(self, *steps: Any) -> Any:
        """The polynomial."""
        x = -jnp.cos(_dihedral(*steps))
        return self.c0 + x * (self.c1 + x * (self.c2 + x * (self.c3 + x * (self.c4 + x * self.c5))))


class HarmonicTorsion(AbstractTerms):
    r"""$\frac{k}{2} (\phi - \phi_0)^2$, the difference between $-\pi$ and $\pi$; for impropers too: `atoms` (m, 4).

    `stiffness` $k$ [energy/radian²], `angle` $\phi_0$ [radian].
    """

    values: ClassVar = ("stiffness", "angle")

    atoms: Any = numbers()
    stiffness: Any = parameter()
    angle: Any = parameter()

    def __check_init__(self) -> None:
        check_terms(self, 4)

    def energy(self, *steps: Any) -> Any:
        """The formula."""
        turn = _dihedral(*steps) - self.angle
        turn = turn - 2 * np.pi * jnp.round(turn / (2 * np.pi))
        return self.stiffness / 2 * turn**2


# arctan(x)^2 / x^2 in powers of x^2; with x^2 < 1e-3 it ends below 1e-15
_SERIES = (1, -2 / 3, 23 / 45, -44 / 105, 563 / 1575)


def _bend(first: Any, second: Any) -> tuple[Any, Any]:
    """The angle between two steps, and its square; at 0 the square has derivatives, the angle has none and gives 0."""
    cross = jnp.cross(first, second)
    sine2, cosine = jnp.sum(cross**2), jnp.vdot(first, second)
    eps = jnp.finfo(cosine.dtype).eps
    turned = sine2 > (eps * cosine) ** 2
    angle = jnp.arctan2(jnp.sqrt(jnp.where(turned, sine2, 1)), jnp.where(turned, cosine, 1))
    angle = jnp.where(turned, angle, jnp.where(cosine > 0, 0, np.pi))
    small = (cosine > 0) & (sine2 < 1e-3 * cosine**2)
    tangent2 = jnp.where(small, sine2, 0) / jnp.where(small, cosine, 1) ** 2
    square = jnp.zeros_like(tangent2)
    for factor in reversed(_SERIES):
        square = factor + tangent2 * square
    return angle, jnp.where(small, tangent2 * square, angle**2)


def _dihedral(first: Any, second: Any, third: Any) -> Any:
    """The dihedral angle, between -pi and pi; 0 with derivative 0 where it is undefined."""
    left, right = jnp.cross(first, second), jnp.cross(second, third)
    eps = jnp.finfo(left.dtype).eps
    sizes = [norm(x) for x in (first, second, third)]
    bent = (norm(left) > eps * sizes[0] * sizes[1]) & (norm(right) > eps * sizes[1] * sizes[2])
    sine = sizes[1] * jnp.vdot(first, right)
    return jnp.arctan2(jnp.where(bent, sine, 0), jnp.where(bent, jnp.vdot(left, right), 1))
