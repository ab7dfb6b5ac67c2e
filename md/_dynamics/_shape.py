"""How a box may change under pressure, and what integrators with a moving box share."""

import abc
from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp

from ...solvers._tree import is_concrete
from .._space import Triclinic
from .._system import System


class AbstractShape(eqx.Module):
    """Which strains of the box are allowed: a linear space of symmetric (3, 3) matrices with so many `modes`."""

    modes: eqx.AbstractClassVar[int]

    @abc.abstractmethod
    def allowed(self, matrix: Any) -> Any:
        """The allowed strain (3, 3) that is nearest to the matrix."""


class Isotropic(AbstractShape):
    """The box keeps its shape: for liquids."""

    modes: ClassVar[int] = 1

    def allowed(self, matrix: Any) -> Any:
        """A third of the trace in each direction."""
        return jnp.trace(matrix) / 3 * jnp.eye(3, dtype=matrix.dtype)


class Anisotropic(AbstractShape):
    """The box stretches along x, y and z on their own: for crystals in a rectangular box."""

    modes: ClassVar[int] = 3

    def allowed(self, matrix: Any) -> Any:
        """The diagonal."""
        return jnp.diag(jnp.diagonal(matrix))


class Flexible(AbstractShape):
    """The box stretches and shears, without turning: for crystals; needs a `Triclinic` box."""

    modes: ClassVar[int] = 6

    def allowed(self, matrix: Any) -> Any:
        """The symmetric part."""
        return (matrix + matrix.T) / 2


def exponential(matrix: Any) -> Any:
    """Of a (3, 3) matrix that is small, as the strain of one step is; the derivatives are right at 0, too."""
    unit = jnp.eye(3, dtype=matrix.dtype)
    product = lambda a, b: jnp.matmul(a, b, precision="highest")
    square = product(matrix, matrix)
    cube = product(square, matrix)
    return unit + matrix + square / 2 + product(cube, unit / 6 + matrix / 24 + square / 120 + cube / 720)


def motion_tensor(system: System) -> Any:
    r"""$\sum_i m_i v_i \otimes v_i$ (3, 3) [energy], twice the kinetic energy along each direction."""
    return jnp.matmul(system.velocity.T, system.mass[:, None] * system.velocity, precision="highest")


def check_box(dynamics: Any, system: System) -> None:
    """The box is one that can change as asked, and its shape is known; numbers are numbers."""
    name, space = type(dynamics).__name__, system.space
    if not all(space.axes):
        raise ValueError(f"{name} needs a box that is periodic along all three axes, not {type(space).__name__}.")
    if isinstance(dynamics.shape, Flexible) and not isinstance(space, Triclinic):
        raise ValueError(f"{name} with Flexible() needs a box that can shear: Triclinic(cell=space.cell).")


def check_pressure(dynamics: Any) -> None:
    """`pressure` is one number and `shape` an object."""
    name, pressure = type(dynamics).__name__, dynamics.pressure
    if jnp.shape(pressure) != () or (is_concrete(pressure) and not jnp.isfinite(pressure)):
        raise ValueError(f"{name}.pressure must be one finite number, not {pressure}.")
    if not isinstance(dynamics.shape, AbstractShape):
        raise ValueError(f"{name}.shape must be Isotropic(), Anisotropic() or Flexible(), not {dynamics.shape!r}.")
