"""How a pair potential ends at its cutoff."""

import abc
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ...solvers import parameter
from ...solvers._tree import is_concrete

Curve = Callable[[Any], Any]


class AbstractCutoff(eqx.Module):
    """What becomes of an energy curve u(r) so that it ends at `radius` [length], a float leaf."""

    radius: eqx.AbstractVar[Any]

    @abc.abstractmethod
    def inside(self, curve: Curve, r2: Any) -> Any:
        """The energy at a squared distance below radius²; `curve` takes the squared distance too."""

    def __call__(self, curve: Curve, r2: Any) -> Any:
        """The energy at any squared distance: `inside` the radius, 0 beyond."""
        within = r2 < self.radius**2
        # Beyond, the curve is taken at the radius: whatever it does far out can harm neither values nor derivatives.
        return jnp.where(within, self.inside(curve, jnp.where(within, r2, self.radius**2)), 0)


class Truncated(AbstractCutoff):
    """u(r), dropped to 0 at the radius: the energy jumps there."""

    radius: Any = parameter()

    def __check_init__(self) -> None:
        check_radii(self, "radius")

    def inside(self, curve: Curve, r2: Any) -> Any:
        """u(r)."""
        return curve(r2)


class Shifted(AbstractCutoff):
    """u(r) - u(radius): the energy is continuous, the force jumps."""

    radius: Any = parameter()

    def __check_init__(self) -> None:
        check_radii(self, "radius")

    def inside(self, curve: Curve, r2: Any) -> Any:
        """u(r) - u(radius)."""
        return curve(r2) - curve(self.radius**2)


class ForceShifted(AbstractCutoff):
    """u(r) - u(radius) - (r - radius) u'(radius): energy and force are continuous.

    Source: S. Toxvaerd and J. C. Dyre, J. Chem. Phys. 134, 081102 (2011), doi:10.1063/1.3558787.
    """

    radius: Any = parameter()

    def __check_init__(self) -> None:
        check_radii(self, "radius")

    def inside(self, curve: Curve, r2: Any) -> Any:
        """u(r) minus its tangent at the radius."""
        end, slope = jax.jvp(lambda radius: curve(radius**2), (self.radius,), (jnp.ones_like(self.radius),))
        return curve(r2) - end - (jnp.sqrt(r2) - self.radius) * slope


class OpenMMSwitch(AbstractCutoff):
    r"""u(r) S(x) with $S = 1 - 10x^3 + 15x^4 - 6x^5$, $x = (r - r_{on}) / (r_c - r_{on})$ from `onset` on.

    Energy, force and its derivative are continuous. Source: the OpenMM user guide, "Lennard-Jones interaction".
    """

    radius: Any = parameter()
    onset: Any = parameter()

    def __check_init__(self) -> None:
        check_radii(self, "radius", "onset")
        _check_onset(self)

    def inside(self, curve: Curve, r2: Any) -> Any:
        """u(r) S(x)."""
        late = r2 > self.onset**2
        r = jnp.sqrt(jnp.where(late, r2, self.radius**2))
        x = (r - self.onset) / (self.radius - self.onset)
        return curve(r2) * jnp.where(late, 1 - x**3 * (10 - x * (15 - 6 * x)), 1)


class CHARMMSwitch(AbstractCutoff):
    r"""u(r) S(r) with $S = (r_c^2 - r^2)^2 (r_c^2 + 2r^2 - 3r_{on}^2) / (r_c^2 - r_{on}^2)^3$ from `onset` on.

    Energy and force are continuous. Source: B. R. Brooks et al., J. Comput. Chem. 4, 187 (1983),
    doi:10.1002/jcc.540040211.
    """

    radius: Any = parameter()
    onset: Any = parameter()

    def __check_init__(self) -> None:
        check_radii(self, "radius", "onset")
        _check_onset(self)

    def inside(self, curve: Curve, r2: Any) -> Any:
        """u(r) S(r)."""
        return curve(r2) * _smooth(r2, self.radius**2, self.onset**2)


class HOOMDSwitch(AbstractCutoff):
    """HOOMD-blue's `xplor` mode: the polynomial of `CHARMMSwitch`, but `Shifted` where onset >= radius.

    Source: the HOOMD-blue documentation, `hoomd.md.pair.Pair.mode`.
    """

    radius: Any = parameter()
    onset: Any = parameter()

    def __check_init__(self) -> None:
        check_radii(self, "radius", "onset")

    def inside(self, curve: Curve, r2: Any) -> Any:
        """u(r) S(r), or u(r) - u(radius)."""
        switched = self.onset < self.radius
        onset = jnp.where(switched, self.onset, 0)
        return jnp.where(switched, curve(r2) * _smooth(r2, self.radius**2, onset**2), curve(r2) - curve(self.radius**2))


def _smooth(r2: Any, end: Any, start: Any) -> Any:
    return jnp.where(r2 > start, (end - r2) ** 2 * (end + 2 * r2 - 3 * start) / (end - start) ** 3, 1)


def check_radii(module: eqx.Module, *names: str) -> None:
    """These fields are single positive numbers, as far as they are known."""
    for name in names:
        value = getattr(module, name)
        title = f"{type(module).__name__}.{name}"
        if jnp.shape(value) != ():
            raise ValueError(f"{title} has shape {jnp.shape(value)}, expected one number.")
        if not isinstance(value, Tracer) and not 0 < np.asarray(value) < np.inf:
            raise ValueError(f"{title} must be positive and finite, got {value}.")


def _check_onset(cutoff: Any) -> None:
    if is_concrete((cutoff.radius, cutoff.onset)) and not np.asarray(cutoff.onset) < np.asarray(cutoff.radius):
        name = type(cutoff).__name__
        raise ValueError(f"{name}.onset must be below radius, got {cutoff.onset} and {cutoff.radius}.")
