"""Open space, orthorhombic and triclinic boxes: displacements, images, strain."""

import abc
from typing import Any, TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ...solvers import compiled, parameter
from ...solvers._host import as_array, namespace_of

if TYPE_CHECKING:  # pyright counts an eqx.AbstractVar as a constructor argument
    from typing import ClassVar as AbstractVar
else:
    from equinox import AbstractVar

Axes = tuple[bool, bool, bool]
Vector = tuple[Any, Any, Any]


class AbstractSpace(eqx.Module):
    r"""A cell with the vectors $h_1, h_2, h_3$ (rows of `cell`), repeated along the `axes` that are periodic.

    Position plus any whole number of periodic cell vectors is the same place. The cell is a float leaf, so energies
    have derivatives by it; a strain $\varepsilon$ takes $x$ to $x (1 + \varepsilon)$ and $h$ to $h (1 + \varepsilon)$.
    """

    axes: AbstractVar[Axes]
    cell: AbstractVar[Any]  # (3, 3) [length]; for open space the identity, which stands for nothing

    @abc.abstractmethod
    def strained(self, strain: Any) -> "AbstractSpace":
        r"""The space with cell $h (1 + \varepsilon)$; `strain` (3, 3) need not be symmetric."""

    @abc.abstractmethod
    def deformed(self, matrix: Any) -> "AbstractSpace":
        r"""A space of the same kind with cell $h F$, of the `matrix` (3, 3) F; a rectangular box takes its diagonal."""

    @property
    @compiled
    def volume(self) -> Any:
        """Volume of the cell [length³]; infinite unless all three axes are periodic."""
        volume = triple_product(self.cell)
        return volume if all(self.axes) else jnp.full_like(volume, jnp.inf)

    @property
    def widths(self) -> Any:
        """Distances between opposite faces of the cell (3,) [length]; infinite along open axes."""
        xp = namespace_of(self.cell)
        widths = 1 / xp.sqrt(xp.sum(inverse(self.cell) ** 2, axis=0))
        return xp.where(xp.asarray(self.axes), widths, xp.inf)

    @compiled
    def displacement(self, a: Any, b: Any) -> Any:
        """The shortest image of a - b (3,), for one pair.

        In a tilted cell this holds where that image is at most half the smallest of `widths` long; a longer answer
        may not be the shortest.
        """
        d = a - b
        return jnp.stack(self.nearest((d[0], d[1], d[2])))

    @abc.abstractmethod
    def nearest(self, d: Vector) -> Vector:
        """Components of displacements, arrays of any one shape, to those of the nearest images; as `displacement`."""

    def wrap(self, position: Any) -> tuple[Any, Any]:
        """The position (..., 3) inside the cell, and the image (..., 3) int32: given = inside + image @ cell."""
        fraction = times(position, inverse(self.cell))
        xp = namespace_of(fraction)
        fraction = fraction if xp is np else jax.lax.stop_gradient(fraction)
        image = xp.floor(fraction) * xp.broadcast_to(xp.asarray(self.axes, fraction.dtype), fraction.shape)
        return position - times(image, self.cell), image.astype(jnp.int32)


class Free(AbstractSpace):
    """Open space: nothing is periodic."""

    axes: Axes = eqx.field(static=True)
    unit: Any

    def __init__(self) -> None:
        self.axes = (False, False, False)
        self.unit = as_array(np.eye(3), jnp.result_type(float))

    @property
    def cell(self) -> Any:
        """The identity."""
        return self.unit

    def nearest(self, d: Vector) -> Vector:
        """As they are."""
        return d

    def strained(self, strain: Any) -> "Free":
        """Itself."""
        return self

    def deformed(self, matrix: Any) -> "Free":
        """Itself."""
        return self


class Periodic(AbstractSpace):
    """A rectangular box with edges of `lengths` (3,) [length], periodic along `axes`; along the others it is open."""

    lengths: Any = parameter()
    axes: Axes = eqx.field(static=True, default=(True, True, True))

    def __check_init__(self) -> None:
        if jnp.shape(self.lengths) != (3,):
            raise ValueError(f"Periodic.lengths has shape {jnp.shape(self.lengths)}, expected (3,): one for each axis.")
        _check_axes(self.axes)
        lengths = _value(self.lengths)
        if lengths is not None and not (np.isfinite(lengths).all() and (lengths > 0).all()):
            raise ValueError(f"Periodic.lengths must be positive and finite, got {lengths}.")

    @property
    def cell(self) -> Any:
        """The diagonal matrix of `lengths`."""
        return namespace_of(self.lengths).diag(self.lengths)

    @property
    def widths(self) -> Any:
        """The lengths."""
        xp = namespace_of(self.lengths)
        return xp.where(xp.asarray(self.axes), self.lengths, xp.inf)

    def nearest(self, d: Vector) -> Vector:
        """By rounding each axis on its own."""
        lengths = (self.lengths[0], self.lengths[1], self.lengths[2])
        images = (jnp.round(jax.lax.stop_gradient(x / length)) for x, length in zip(d, lengths, strict=True))
        moved = (x - n * length for x, n, length in zip(d, images, lengths, strict=True))
        return tuple(m if periodic else x for m, x, periodic in zip(moved, d, self.axes, strict=True))  # pyright: ignore

    def strained(self, strain: Any) -> "Triclinic":
        """A triclinic box: strain may shear."""
        return Triclinic(cell=self.cell + times(self.cell, strain), axes=self.axes)

    def deformed(self, matrix: Any) -> "Periodic":
        """Each length times its factor."""
        return Periodic(lengths=self.lengths * jnp.diagonal(matrix), axes=self.axes)


class Triclinic(AbstractSpace):
    """A box spanned by the rows of `cell` (3, 3) [length], right-handed, periodic along `axes` of these vectors."""

    cell: Any = parameter()
    axes: Axes = eqx.field(static=True, default=(True, True, True))

    def __check_init__(self) -> None:
        if jnp.shape(self.cell) != (3, 3):
            raise ValueError(f"Triclinic.cell has shape {jnp.shape(self.cell)}, expected (3, 3): rows are the vectors.")
        _check_axes(self.axes)
        cell = _value(self.cell)
        if cell is None:
            return
        if not np.isfinite(cell).all():
            raise ValueError(f"Triclinic.cell must be finite, got {cell.tolist()}.")
        volume, bound = np.linalg.det(cell), np.prod(np.linalg.norm(cell, axis=1))
        if abs(volume) <= 1e-6 * bound:
            raise ValueError(f"Triclinic.cell is degenerate: its vectors {cell.tolist()} (nearly) lie in one plane.")
        if volume < 0:
            raise ValueError(f"Triclinic.cell is left-handed: swap two of its vectors, or negate one. {cell.tolist()}")

    def nearest(self, d: Vector) -> Vector:
        """By rounding coordinates along the cell vectors."""
        into = jax.lax.stop_gradient(inverse(self.cell))
        images = [_nearest_whole([jax.lax.stop_gradient(d[m]) * into[m, k] for m in range(3)]) for k in range(3)]
        shift = lambda m: sum(images[k] * self.cell[k, m] for k in range(3) if self.axes[k])
        return d[0] - shift(0), d[1] - shift(1), d[2] - shift(2)

    def strained(self, strain: Any) -> "Triclinic":
        """The cell times 1 + strain."""
        return Triclinic(cell=self.cell + times(self.cell, strain), axes=self.axes)

    def deformed(self, matrix: Any) -> "Triclinic":
        """The cell times the matrix."""
        return Triclinic(cell=times(self.cell, matrix), axes=self.axes)


_PARTS = 1 << 17


def _nearest_whole(terms: Any) -> Any:
    """The whole number nearest to a sum, by whole numbers of 2^-17; NaN beyond 2^13.

    The compiler computes it anew for each component of a vector, and contracts sums of floats differently each time.
    Half way between two images, where the last digit decides, the vector would be a mixture of both: not so here.
    """
    total = sum(jnp.round(x * _PARTS).astype(jnp.int32) for x in terms)
    whole = jax.lax.shift_right_arithmetic(total + _PARTS // 2, jnp.full_like(total, 17)).astype(terms[0].dtype)
    return jnp.where(sum(jnp.abs(x) for x in terms) < 1 << 13, whole, jnp.nan)


def times(rows: Any, matrix: Any) -> Any:
    """Row vectors times a matrix, in full precision: accelerators round matrix products of float32 by default."""
    if namespace_of(rows, matrix) is np:
        return np.matmul(rows, matrix)
    return jnp.matmul(rows, matrix, precision="highest")


def triple_product(m: Any) -> Any:
    """The determinant of a (3, 3) matrix."""
    xp = namespace_of(m)
    return xp.sum(m[0] * xp.cross(m[1], m[2]))


def inverse(m: Any) -> Any:
    """The inverse of a (3, 3) matrix, in closed form: it compiles faster than a general one."""
    xp = namespace_of(m)
    return xp.stack([xp.cross(m[1], m[2]), xp.cross(m[2], m[0]), xp.cross(m[0], m[1])], axis=1) / triple_product(m)


def _value(x: Any) -> np.ndarray | None:
    return None if isinstance(x, Tracer) or not eqx.is_array_like(x) else np.asarray(x)


def _check_axes(axes: Any) -> None:
    if not (isinstance(axes, tuple) and len(axes) == 3 and all(isinstance(a, bool) for a in axes)):
        raise ValueError(f"axes must be three booleans, such as (True, True, False) for a slab, not {axes!r}.")
    if not any(axes):
        raise ValueError("A box that is periodic along no axis is open space: use Free().")
