"""A spring between two points."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ...solvers import parameter
from .._check import check_not_negative, check_shape
from .._mechanism import JointState, Mechanism
from .._spatial import dot3, matmul
from .._state import Real
from ._force import AbstractForce
from ._points import placed, point_of, times


class PointSpring(AbstractForce):
    r"""A spring with a damper between points of two bodies: the tension $k (l - l_0) + c\, \dot l$ along the line.

        PointSpring("rod", [0, 0, -1], "world", [1, 0, 0], stiffness=20.0, rest_length=0.5)

    - `body_a`, `body_b`: names of bodies, or "world"; `point_a`, `point_b` [m]: in their frames.
    - `stiffness` $k$ [N/m], `rest_length` $l_0$ [m], `damping` $c$ [N s/m].

    Where the points meet the line has no direction: only what is left without one, $k$ times the vector between them,
    acts, with its derivatives; those are right if $l_0 = c = 0$.
    """

    body_a: str = eqx.field(static=True)
    point_a: Any = parameter()
    body_b: str = eqx.field(static=True)  # pyright: ignore[reportGeneralTypeIssues]
    point_b: Any = parameter()
    stiffness: Any = parameter()
    rest_length: Any = parameter(default=0.0)
    damping: Any = parameter(default=0.0)

    def __check_init__(self) -> None:
        for name in ("point_a", "point_b"):
            check_shape(self, name, (3,))
        for name in ("stiffness", "rest_length", "damping"):
            check_shape(self, name, ())
        check_not_negative(self, "stiffness", "rest_length", "damping")
        if self.body_a == self.body_b:
            raise ValueError(f"A PointSpring joins two bodies; both ends are on {self.body_a!r}.")

    def __call__(self, mechanism: Mechanism, t: Real, y: JointState) -> Float[Array, " nv"]:
        found = placed(mechanism, y.q)
        first = point_of(mechanism, found, self.body_a, self.point_a)
        last = point_of(mechanism, found, self.body_b, self.point_b)
        apart, jacobian = last.position - first.position, last.jacobian - first.jacobian
        along = _direction(apart)
        pull = self.damping * dot3(along, matmul(jacobian, y.v)) - self.stiffness * self.rest_length
        return -times(jacobian, self.stiffness * apart + pull * along)


def _direction(vector: Array) -> Array:
    """The unit vector; zero, with zero derivatives, for a vector so short that derivatives would overflow."""
    square = dot3(vector, vector)
    some = square > jnp.finfo(vector.dtype).tiny ** 0.5
    return jnp.where(some, vector * jax.lax.rsqrt(jnp.where(some, square, 1)), 0)
