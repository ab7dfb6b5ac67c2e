"""How mass is spread over a body: ten numbers, and coordinates in which every value is physical."""

import abc
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike

from ...solvers import compiled, parameter
from ...solvers._host import namespace, on_host
from ...solvers._tree import is_concrete
from ...solvers._types import inexact_asarray
from ._quaternion import matrix_of
from ._vectors import cross3, dot3, matmul, unit

TEN = ("mass", "mass x", "mass y", "mass z", "xx", "xy", "yy", "xz", "yz", "zz")
_ROWS, _COLUMNS = (0, 1, 1, 2, 2, 2), (0, 0, 1, 0, 1, 2)  # xx, xy, yy, xz, yz, zz


class AbstractInertia(eqx.Module):
    """The mass distribution of a rigid body, or of many with a first axis that counts them."""

    @abc.abstractmethod
    def ten(self) -> Array:
        r"""$(m, m c, \bar I_{xx}, \bar I_{xy}, \bar I_{yy}, \bar I_{xz}, \bar I_{yz}, \bar I_{zz})$, shape (10, ...).

        The dynamics are linear in them: mass [kg], first moment [kg m], moments of inertia about the body's origin
        [kg m²], all in the body's axes.
        """


class Inertia(AbstractInertia):
    r"""Mass [kg], center of mass [m], and moments of inertia about the center [kg m²], in the body's axes.

    `moments` are stored as (xx, xy, yy, xz, yz, zz). Give three numbers for principal axes along the body's own,
    or a symmetric matrix (3, 3), or those six; `orientation`, a quaternion, turns them. Whatever is left out is
    zero: `Inertia(mass=1.0)` is a point mass at the origin. Refused if no body can have it: a negative mass, moments
    that are negative or larger than the sum of the two others.
    """

    mass: Any = parameter()
    center: Any = parameter()
    moments: Any = parameter()

    def __init__(
        self,
        mass: ArrayLike,
        center: Any = (0.0, 0.0, 0.0),
        moments: Any = (0.0, 0.0, 0.0),
        *,
        orientation: Any = (1.0, 0.0, 0.0, 0.0),
    ) -> None:
        self.mass = inexact_asarray(mass)
        dtype = jnp.result_type(self.mass)
        self.center = on_host(center, dtype)
        self.moments = _six(on_host(moments, dtype), on_host(orientation, dtype))
        if jnp.shape(self.center) != (3,) or jnp.shape(self.mass) != ():
            raise ValueError(
                f"An Inertia is of one body: mass of shape () and center of shape (3,), not {jnp.shape(self.mass)} and "
                f"{jnp.shape(self.center)}."
            )
        reason = why_not_physical(self)
        if reason is not None:
            raise ValueError(f"No rigid body has this inertia: {reason}")

    @compiled
    def ten(self) -> Array:
        center, moments = jnp.moveaxis(self.center, -1, 0), jnp.moveaxis(self.moments, -1, 0)
        return jnp.concatenate([self.mass[None], self.mass[None] * center, moments + self.mass[None] * _square(center)])


class LogCholesky(AbstractInertia):
    r"""Ten real numbers $\theta$ of which every choice is a physical inertia: for fits without bounds.

    The pseudo-inertia $\int \rho\, (x, 1)(x, 1)^T$ is $U U^T$ with the triangular matrix
    $U = e^{\alpha} \begin{pmatrix} e^{d_1} & s_{12} & s_{13} & t_1 \\ & e^{d_2} & s_{23} & t_2 \\ & & e^{d_3} & t_3 \\
    & & & 1 \end{pmatrix}$, $\theta = (\alpha, d_1, d_2, d_3, s_{12}, s_{23}, s_{13}, t_1, t_2, t_3)$.
    `LogCholesky.of(inertia)` converts; the mass is $e^{2\alpha}$ and the center $(t_1, t_2, t_3)$.

    Source: C. Rucker, P. M. Wensing, IEEE Robot. Autom. Lett. 7, 2770 (2022), doi:10.1109/LRA.2022.3144517.
    """

    theta: Any = parameter()

    @staticmethod
    @compiled
    def of(inertia: AbstractInertia) -> "LogCholesky":
        """The same inertia in these coordinates; NaN if it is that of a point, a line or a disk without thickness."""
        ten = inertia.ten()
        second = _full(_second_moments(ten))
        column = jnp.concatenate([ten[1:4], ten[:1]])
        pseudo = jnp.concatenate([jnp.concatenate([second, ten[None, 1:4]]), column[:, None]], axis=1)
        flipped = jnp.moveaxis(pseudo[::-1, ::-1], (0, 1), (-2, -1))
        upper = jnp.moveaxis(jnp.linalg.cholesky(flipped), (-2, -1), (0, 1))[::-1, ::-1]
        alpha = jnp.log(upper[3, 3])
        u = upper / upper[3, 3][None, None]
        theta = [
            alpha,
            jnp.log(u[0, 0]),
            jnp.log(u[1, 1]),
            jnp.log(u[2, 2]),
            u[0, 1],
            u[1, 2],
            u[0, 2],
            u[0, 3],
            u[1, 3],
            u[2, 3],
        ]
        return LogCholesky(jnp.stack(theta, axis=-1))

    @compiled
    def ten(self) -> Array:
        alpha, d1, d2, d3, s12, s23, s13, t1, t2, t3 = jnp.moveaxis(self.theta, -1, 0)
        one, zero = jnp.ones_like(alpha), jnp.zeros_like(alpha)
        rows = [
            jnp.stack([jnp.exp(d1), s12, s13, t1]),
            jnp.stack([zero, jnp.exp(d2), s23, t2]),
            jnp.stack([zero, zero, jnp.exp(d3), t3]),
            jnp.stack([zero, zero, zero, one]),
        ]
        scale = jnp.exp(2 * alpha)
        product = lambda i, j: scale * jnp.sum(rows[i] * rows[j], axis=0)
        xx, yy, zz = product(0, 0), product(1, 1), product(2, 2)
        moments = [yy + zz, -product(1, 0), xx + zz, -product(2, 0), -product(2, 1), xx + yy]
        return jnp.stack([product(3, 3), product(0, 3), product(1, 3), product(2, 3), *moments])


def inertia_of_ten(ten: Array) -> Inertia:
    """The mass, center and moments of ten parameters (10, ...); a massless body has its center at the origin."""
    return stored(*_about_center(ten))


@compiled
def _about_center(ten: Array) -> tuple[Array, Array, Array]:
    mass = ten[0]
    some = mass != 0
    center = jnp.where(some[None], ten[1:4] / jnp.where(some, mass, 1)[None], 0)
    moments = ten[4:] - mass[None] * _square(center)
    return mass, jnp.moveaxis(center, 0, -1), jnp.moveaxis(moments, 0, -1)


def stored(mass: Array, center: Array, moments: Array) -> Inertia:
    """An `Inertia` of arrays as they are stored, for one body or many; nothing is checked."""
    made = object.__new__(Inertia)
    for name, value in (("mass", mass), ("center", center), ("moments", moments)):
        object.__setattr__(made, name, value)
    return made


def apply_inertia(ten: Array, twist: Array) -> Array:
    r"""The momentum $(\bar I \omega + h \times v,\; m v + \omega \times h)$ of a body that moves with `twist`."""
    first, angular, linear = ten[1:4], twist[:3], twist[3:]
    turning = symmetric_product(ten[4:], angular) + cross3(first, linear)
    return jnp.concatenate([turning, ten[:1] * linear + cross3(angular, first)])


def symmetric_product(six: Array, vector: Array) -> Array:
    """S x with S as (xx, xy, yy, xz, yz, zz)."""
    xx, xy, yy, xz, yz, zz = six
    x, y, z = vector
    return jnp.stack([xx * x + xy * y + xz * z, xy * x + yy * y + yz * z, xz * x + yz * y + zz * z])


def moved_ten(ten: Array, rotation: Array, shift: Array) -> Array:
    """Ten parameters in the axes of the parent, about a point from which the body's origin is at `shift`."""
    mass, first = ten[:1], jnp.sum(rotation * ten[None, 1:4], axis=1)
    half = jnp.stack([symmetric_product(ten[4:], rotation[i]) for i in range(3)])  # rows of R S
    turned = jnp.stack([dot3(half[i], rotation[j]) for i, j in zip(_ROWS, _COLUMNS, strict=True)])
    along = 2 * dot3(shift, first) + mass[0] * dot3(shift, shift)
    cross = jnp.stack(
        [
            (along if i == j else 0) - (shift[i] * first[j] + shift[j] * first[i] + mass[0] * shift[i] * shift[j])
            for i, j in zip(_ROWS, _COLUMNS, strict=True)
        ]
    )
    return jnp.concatenate([mass, first + mass * shift, turned + cross])


def why_not_physical(inertia: Inertia) -> str | None:
    """What is wrong with a body's numbers, as far as they are known."""
    if not is_concrete(inertia):
        return None
    mass, center, moments = (np.asarray(x, dtype=float) for x in (inertia.mass, inertia.center, inertia.moments))
    if not all(np.isfinite(x).all() for x in (mass, center, moments)):
        return "it holds NaN or infinity."
    if mass < 0:
        return f"its mass is {mass}; a mass is not negative."
    principal = np.linalg.eigvalsh(np.asarray(_full(moments)))
    slack = 1e-6 * max(principal[-1], 0)
    if principal[0] < -slack:
        return f"its principal moments are {principal}; none may be negative."
    if principal[2] > principal[0] + principal[1] + slack:
        return (
            f"its principal moments are {principal}; the largest may not exceed the sum of the others (triangle "
            "inequality). Are they about the center of mass, as they must be?"
        )
    if mass == 0 and principal[-1] > 0:
        return "it has moments of inertia, but no mass."
    return None


def _six(moments: Any, orientation: Any) -> Any:
    """(xx, xy, yy, xz, yz, zz) of three principal moments, six numbers or a matrix, turned by a quaternion."""
    if moments.shape == (3,):
        moments = namespace(moments).diag(moments)
    elif moments.shape == (6,):
        moments = _full(moments)
    if moments.shape != (3, 3):
        raise ValueError(
            f"moments must be 3 principal ones, 6 numbers or a matrix (3, 3), not of shape {moments.shape}."
        )
    if is_concrete(moments):
        known = np.asarray(moments)
        if not np.allclose(known, known.T, rtol=0, atol=1e-6 * np.abs(known).max(initial=0), equal_nan=True):
            raise ValueError(f"moments must be a symmetric matrix, not {known.tolist()}.")
    xp = namespace(moments, orientation)
    turn = matrix_of(unit(orientation))
    turned = matmul(matmul(turn, moments), turn.T)
    return xp.stack([(turned[i, j] + turned[j, i]) / 2 for i, j in zip(_ROWS, _COLUMNS, strict=True)])


def _full(six: Any) -> Any:
    xx, xy, yy, xz, yz, zz = six
    xp = namespace(six)
    return xp.stack([xp.stack([xx, xy, xz]), xp.stack([xy, yy, yz]), xp.stack([xz, yz, zz])])


def _square(c: Array) -> Array:
    """|c|² 1 - c cᵀ as six numbers: what a point mass of 1 kg at c adds."""
    x, y, z = c
    return jnp.stack([y * y + z * z, -x * y, x * x + z * z, -x * z, -y * z, x * x + y * y])


def _second_moments(ten: Array) -> Array:
    """The integral of x xᵀ: half the trace minus the moments of inertia."""
    xx, xy, yy, xz, yz, zz = ten[4:]
    half = (xx + yy + zz) / 2
    return jnp.stack([half - xx, -xy, half - yy, -xz, -yz, half - zz])
