"""What all shapes share: a pose in the body's frame, a color, and for solids a mass distribution."""

import abc
from typing import Any, TYPE_CHECKING

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike

from ...solvers import compiled
from ...solvers._host import namespace
from ...solvers._types import as_parameter, inexact_asarray
from .._check import check_positive, check_shape
from .._spatial import Inertia, inertia_of_ten, matmul, normalized, rotate, rotation_matrix

if TYPE_CHECKING:  # pyright counts an eqx.AbstractVar as a constructor argument
    from typing import ClassVar as AbstractVar
else:
    from equinox import AbstractVar


class AbstractShape(eqx.Module):
    """A piece of geometry, fixed to a body.

    - `position` (3,) [m] and `orientation` (unit quaternion, scalar first): of the shape's frame in the body's.
    - `color`: red, green and blue from 0 to 1, and an opacity if you like; None lets the viewer choose.

    Sizes, positions and orientations are parameters: derivatives of whatever follows from them can be taken.
    """

    position: AbstractVar[Any]
    orientation: AbstractVar[Any]
    color: AbstractVar[Any]

    def __check_init__(self):
        check_shape(self, "position", (3,))
        check_shape(self, "orientation", (4,))
        name = type(self).__name__
        for field in ("position", "orientation"):
            _refuse_not_finite(getattr(self, field), f"{name}.{field}")
        if not isinstance(self.orientation, Tracer):
            length = np.linalg.norm(np.asarray(self.orientation))
            if abs(length - 1) > 1e-3:
                raise ValueError(
                    f"{name}.orientation is {np.asarray(self.orientation)}, of length {length:.6g}: a quaternion "
                    "(w, x, y, z) that describes a rotation has length 1."
                )
        if self.color is not None and not (
            len(self.color) in (3, 4) and all(isinstance(c, float) and 0 <= c <= 1 for c in self.color)
        ):
            raise ValueError(
                f"{name}.color is {self.color}: give red, green, blue (and opacity) between 0 and 1, or None."
            )


class AbstractSolid(AbstractShape):
    """A shape that encloses a volume, which mass can fill evenly."""

    @abc.abstractmethod
    def volume(self) -> Array:
        """[m³]."""

    @abc.abstractmethod
    def spread(self) -> tuple[Array, Array]:
        """The center of mass (3,) [m], and the moments of inertia (3, 3) of 1 kg about it [m²], in the shape's axes."""

    def inertia(self, mass: ArrayLike) -> Inertia:
        """Of the body that the shape is, if `mass` [kg] fills it evenly; in the body's axes.

        $c = p + R c_0$, $I = m R I_1 R^T$ with the shape's pose (p, R), and center and moments per mass of `spread`.
        """
        mass = inexact_asarray(mass)
        return Inertia(mass, *_in_body((self.position, self.orientation), mass, *self.spread()))

    def inertia_of_density(self, density: ArrayLike) -> Inertia:
        """Of the body that the shape is, filled with `density` [kg/m³]: the mass follows from the sizes."""
        return self.inertia(inexact_asarray(density) * self.volume())


@compiled
def _in_body(shape: tuple[Array, Array], mass: Any, center: Array, moments: Array) -> tuple[Array, Array]:
    """Center and moments in the body's axes, of those per mass in the axes of a shape with this pose."""
    position, turn = shape[0], normalized(shape[1])
    matrix = rotation_matrix(turn)
    turned = matmul(matmul(matrix, moments), matrix.T)
    return position + rotate(turn, center), mass * turned


def inertia_of(*shapes: Any, density: ArrayLike = 1000.0) -> Inertia:
    """Of a body that consists of several solids with one density [kg/m³], water's by default.

    Each fills its volume; where two overlap the mass counts twice. For parts with densities of their own, add up
    `part.inertia_of_density(d).ten()` and so on, and take `inertia_of_ten` of the sum.
    """
    for shape in shapes:
        if not isinstance(shape, AbstractSolid):
            raise ValueError(f"inertia_of takes solid shapes; {type(shape).__name__} encloses no volume.")
    if not shapes:
        raise ValueError("inertia_of needs at least one shape.")
    tens = [shape.inertia_of_density(density).ten() for shape in shapes]
    return inertia_of_ten(as_parameter(namespace(tens).stack(tens).sum(axis=0)))


def color(value: Any) -> tuple[float, ...] | None:
    """Any sequence of numbers as a tuple of floats, which can be hashed."""
    return None if value is None else tuple(float(c) for c in value)


def check_sizes(shape: AbstractShape, expected: tuple[int, ...], *names: str) -> None:
    """The sizes have this shape, and are positive and finite as far as their values are known."""
    for name in names:
        check_shape(shape, name, expected)
        check_positive(shape, name)
        _refuse_not_finite(getattr(shape, name), f"{type(shape).__name__}.{name}")


def diagonal(x: Any, y: Any, z: Any) -> Array:
    """A matrix (3, 3) of three numbers."""
    return jnp.diag(jnp.stack([x, y, z]))


def _refuse_not_finite(value: Any, what: str) -> None:
    if not isinstance(value, Tracer) and not np.isfinite(np.asarray(value)).all():
        raise ValueError(f"{what} holds NaN or infinity: {np.asarray(value)}.")
