"""Lie groups as objects: what a method needs of them in order to stay on them."""

import abc

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .._exact import exact
from ._series import cosine, cotangent_rest, cotangent_slope, sinc, sine_rest, versine


class AbstractLieGroup(eqx.Module):
    r"""A group whose elements g move by $\dot g = g\, \hat a$: a is a velocity in the axes of the moving body.

    A velocity is an element of the algebra in coordinates, for rotations the angular velocity in the body (rad per
    unit of time). With $g(t) = g_0 \exp u(t)$ it is $\dot u = \mathrm{dexp}^{-1}_{-u} a$, which `dexpinv` gives.
    All functions are right with all their derivatives at $u = 0$.
    """

    @abc.abstractmethod
    def exp(self, u: PyTree) -> PyTree:
        """The element reached from the identity in a unit of time with the constant velocity u."""

    @abc.abstractmethod
    def product(self, g: PyTree, h: PyTree) -> PyTree:
        """The element h, given in the frame g."""

    @abc.abstractmethod
    def dexpinv(self, u: PyTree, a: PyTree) -> PyTree:
        r"""The rate of u at which $\exp u(t)$ has the velocity a; linear in a, in closed form."""

    @abc.abstractmethod
    def project(self, g: PyTree) -> PyTree:
        """An element next to g, equal to g if that is one; NaN where there is none."""

    @abc.abstractmethod
    def zero(self, g: PyTree) -> PyTree:
        """The velocity zero at g; a ValueError if the shapes of g are not those of an element."""


class Euclidean(AbstractLieGroup):
    """Ordinary unknowns, any PyTree of float arrays: velocities are rates of change, elements are added."""

    def exp(self, u: PyTree) -> PyTree:
        """u."""
        return u

    def product(self, g: PyTree, h: PyTree) -> PyTree:
        """g + h."""
        return jax.tree.map(jnp.add, g, h)

    def dexpinv(self, u: PyTree, a: PyTree) -> PyTree:
        """a."""
        return a

    def project(self, g: PyTree) -> PyTree:
        """g."""
        return g

    def zero(self, g: PyTree) -> PyTree:
        """Zeros like g."""
        return jax.tree.map(jnp.zeros_like, g)


class SO3(AbstractLieGroup):
    """Rotation matrices (3, 3) whose columns are the body's axes seen from outside; velocities (3,)."""

    def exp(self, u: Array) -> Array:
        r"""$1 + \frac{\sin\theta}{\theta} \hat u + \frac{1 - \cos\theta}{\theta^2} \hat u^2$, $\theta = |u|$."""
        square, once = _dot(u, u), _skew(u)
        return jnp.eye(3, dtype=u.dtype) + sinc(square) * once + versine(square) * exact(once, once)

    def product(self, g: Array, h: Array) -> Array:
        """The matrix product."""
        return exact(g, h)

    def dexpinv(self, u: Array, a: Array) -> Array:
        r"""$a + \frac12 u \times a + k(|u|^2)\, u \times (u \times a)$."""
        return _dexpinv(u, a)

    def project(self, g: Array) -> Array:
        """The rotation with the first column along that of g, and its plane with the second."""
        x, z = _unit(g[:, 0]), _unit(_cross(g[:, 0], g[:, 1]))
        return jnp.stack([x, _cross(z, x), z], axis=1)

    def zero(self, g: PyTree) -> Array:
        """Three zeros."""
        return _zero(self, g, [(3, 3)], 3, "a rotation matrix (3, 3)")


class UnitQuaternion(AbstractLieGroup):
    """Rotations as unit quaternions (4,), scalar first, that turn vectors of the body outwards; velocities (3,)."""

    def exp(self, u: Array) -> Array:
        r"""$(\cos\frac\theta2,\; \frac{\sin(\theta/2)}{\theta} u)$, $\theta = |u|$."""
        return _quaternion_exp(u)

    def product(self, g: Array, h: Array) -> Array:
        """Hamilton's product."""
        return _quaternion_product(g, h)

    def dexpinv(self, u: Array, a: Array) -> Array:
        """As for `SO3`."""
        return _dexpinv(u, a)

    def project(self, g: Array) -> Array:
        """g / |g|."""
        return _unit(g)

    def zero(self, g: PyTree) -> Array:
        """Three zeros."""
        return _zero(self, g, [(4,)], 3, "a quaternion (4,), scalar first")


class SE3(AbstractLieGroup):
    r"""Poses: pairs of a position (3,) and a unit quaternion (4,), scalar first; velocities are twists (6,).

    A twist $(\omega, v)$ has the angular part first, both in the axes of the moving frame: $\dot p = R v$. An element
    may be a tuple or a NamedTuple; the result has the type of the element that is moved.
    """

    def exp(self, u: Array) -> PyTree:
        r"""$(J_l(\omega)\, v,\; \exp\omega)$ with $J_l(\omega) = \int_0^1 e^{s \hat\omega} \mathrm{d}s$."""
        rotation, shift = u[:3], u[3:]
        square, once = _dot(rotation, rotation), _cross(rotation, shift)
        position = shift + versine(square) * once + sine_rest(square) * _cross(rotation, once)
        return position, _quaternion_exp(rotation)

    def product(self, g: PyTree, h: PyTree) -> PyTree:
        """The pose h, given in the frame g."""
        (p, q), (s, r) = jax.tree.leaves(g), jax.tree.leaves(h)
        twice = 2 * _cross(q[1:], s)
        moved = p + s + q[0] * twice + _cross(q[1:], twice)
        return jax.tree.unflatten(jax.tree.structure(g), [moved, _quaternion_product(q, r)])

    def dexpinv(self, u: Array, a: Array) -> Array:
        r"""$a + \frac12 [u, a] + (k - x k') [u, [u, a]] - k' [u, [u, [u, [u, a]]]]$ at $x = |\omega|^2$.

        The brackets have the eigenvalues $0, \pm i\theta$, each of them twice, so that a polynomial of degree 4 that
        agrees with the power series and its derivative there is equal to it. `SO3.dexpinv` defines k.
        Source: F. Bullo, R. M. Murray, Proportional derivative control on the Euclidean group, ECC (1995).
        """
        square = _dot(u[:3], u[:3])
        slope = cotangent_slope(square)
        once = _bracket(u, a)
        twice = _bracket(u, once)
        fourth = _bracket(u, _bracket(u, twice))
        return a + once / 2 + (cotangent_rest(square) - square * slope) * twice - slope * fourth

    def project(self, g: PyTree) -> PyTree:
        """The quaternion divided by its norm."""
        position, orientation = jax.tree.leaves(g)
        return jax.tree.unflatten(jax.tree.structure(g), [position, _unit(orientation)])

    def zero(self, g: PyTree) -> Array:
        """Six zeros."""
        return _zero(self, g, [(3,), (4,)], 6, "a pair of a position (3,) and a quaternion (4,), scalar first")


_LEVI_CIVITA = np.zeros((3, 3, 3))  # first index that of the vector, of $\\hat a_{jk} = -\\epsilon_{ijk} a_i$
for _i, _j, _k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
    _LEVI_CIVITA[_i, _j, _k], _LEVI_CIVITA[_i, _k, _j] = -1, 1


def _zero(group: AbstractLieGroup, g: PyTree, shapes: list[tuple[int, ...]], size: int, words: str) -> Array:
    leaves = jax.tree.leaves(g)
    found = [jnp.shape(leaf) for leaf in leaves]
    if found != shapes:
        raise ValueError(f"An element of {type(group).__name__} is {words}, not arrays of the shapes {found}.")
    return jnp.zeros(size, jnp.result_type(*leaves))


def _dot(a: Array, b: Array) -> Array:
    return jnp.sum(a * b)


def _cross(a: Array, b: Array) -> Array:
    return _turned(a * _turned(b) - _turned(a) * b)


def _turned(a: Array) -> Array:
    """The components y, z, x: few operations, so that derivatives compile fast."""
    return jnp.concatenate([a[1:], a[:1]])


def _skew(a: Array) -> Array:
    return jnp.tensordot(a, jnp.asarray(_LEVI_CIVITA, a.dtype), 1, precision=jax.lax.Precision.HIGHEST)


def _unit(a: Array) -> Array:
    """a / |a|; NaN for zero."""
    return a / jnp.sqrt(_dot(a, a))


def _quaternion_exp(u: Array) -> Array:
    quarter = _dot(u, u) / 4
    return jnp.concatenate([cosine(quarter)[None], sinc(quarter) * u / 2])


def _quaternion_product(a: Array, b: Array) -> Array:
    vector = a[0] * b[1:] + b[0] * a[1:] + _cross(a[1:], b[1:])
    return jnp.concatenate([(a[0] * b[0] - _dot(a[1:], b[1:]))[None], vector])


def _dexpinv(u: Array, a: Array) -> Array:
    once = _cross(u, a)
    return a + once / 2 + cotangent_rest(_dot(u, u)) * _cross(u, once)


def _bracket(u: Array, a: Array) -> Array:
    r"""$[(\omega, v), (\alpha, w)] = (\omega \times \alpha,\; \omega \times w + v \times \alpha)$."""
    return jnp.concatenate([_cross(u[:3], a[:3]), _cross(u[:3], a[3:]) + _cross(u[3:], a[:3])])
