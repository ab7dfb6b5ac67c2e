"""The drag of a fluid on bodies taken as boxes."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

from ...solvers import parameter
from ...solvers._types import as_parameter
from .._check import check_not_negative, check_shape
from .._mechanism import JointState, Mechanism
from .._mechanism._geometry import compose
from .._mechanism._tables import apply, SKEW
from .._spatial import Inertia, inertia_of_ten, normalized, quaternion_of_matrix, rotation_matrix
from .._state import Real
from ._force import AbstractForce
from ._points import placed, pushed, twists

_TINY = 1e-15  # kg m² and kg: thinner boxes and lighter bodies are as MuJoCo takes them


class InertiaBoxDrag(AbstractForce):
    r"""Drag and lift by a fluid at rest or in a wind, on each body taken as the box with the same inertia.

    With the box's sides $s_i = \sqrt{6 (I_j + I_k - I_i) / m}$ along its axes, and the velocity $v$ of the center of
    mass against the fluid and the angular velocity $\omega$ along them, the force and the torque at the center are

    $f_i = -\frac12 \rho\, s_j s_k |v_i| v_i - 3 \pi \beta d\, v_i$,

    $g_i = -\frac1{64} \rho\, s_i (s_j^4 + s_k^4) |\omega_i| \omega_i - \pi \beta d^3 \omega_i$, $d$ the mean side.

    - `axes` (nb, 4): how each box is turned in its body's frame; `inertia_box_drag(mechanism, ...)` finds them. They
      are parameters of their own, because where two moments are equal the inertia does not say how the box lies. The
      sides follow the mechanism's live inertia, projected on these axes.
    - `density` $\rho$ [kg/m³], `viscosity` $\beta$ [Pa s], `wind` (3,) [m/s] along the world's axes.

    The slope is continuous, also at rest. A box thinner than rounding has a side of about zero that does not change
    with the inertia (there its square root has no slope); bodies without mass feel nothing.

    Source: MuJoCo's documentation, chapter Computation, "Inertia model".
    """

    axes: Any = parameter()
    density: Any = parameter(default=0.0)
    viscosity: Any = parameter(default=0.0)
    wind: Any = parameter(default=(0.0, 0.0, 0.0))

    def __check_init__(self) -> None:
        check_shape(self, "wind", (3,))
        for name in ("density", "viscosity"):
            check_shape(self, name, ())
        check_not_negative(self, "density", "viscosity")

    def __call__(self, mechanism: Mechanism, t: Real, y: JointState) -> Float[Array, " nv"]:
        check_shape(self, "axes", (mechanism.topology.nb, 4))
        found, own = placed(mechanism, y.q), _at_centers(mechanism)
        body, box = found.pose[:3, :3], rotation_matrix(normalized(self.axes.T))
        center = found.position + apply(body, own.center.T)
        twist = twists(mechanism, found, y.v)
        against = twist[3:] - apply(SKEW(center), twist[:3]) - self.wind[:, None]
        turn = compose(body, box)
        back = jnp.swapaxes(turn, 0, 1)
        torque, force = self._on_boxes(_sides(own, box), apply(back, twist[:3]), apply(back, against))
        massive = (own.mass > _TINY)[None]
        torque, force = (apply(turn, jnp.where(massive, x, 0)) for x in (torque, force))
        return pushed(mechanism, found, center, torque, force)

    def _on_boxes(self, sides: Array, omega: Array, v: Array) -> tuple[Array, Array]:
        """The torque and the force (3, nb) along the boxes' axes."""
        mean = jnp.mean(sides, axis=0)[None]
        fourth = sides**4
        others = jnp.stack([sides[1] * sides[2], sides[2] * sides[0], sides[0] * sides[1]])
        levers = sides * (jnp.sum(fourth, axis=0)[None] - fourth)
        torque = -self.density / 64 * levers * jnp.abs(omega) * omega - jnp.pi * self.viscosity * mean**3 * omega
        force = -self.density / 2 * others * jnp.abs(v) * v - 3 * jnp.pi * self.viscosity * mean * v
        return torque, force


def inertia_box_drag(
    mechanism: Mechanism, *, density: Any = 0.0, viscosity: Any = 0.0, wind: Any = (0.0, 0.0, 0.0)
) -> InertiaBoxDrag:
    """An `InertiaBoxDrag` whose boxes lie along the principal axes of the bodies' inertias.

    Where moments are equal, the axes that are turned least from the body's. Raises ValueError for a mechanism that is
    being traced: give `InertiaBoxDrag` the axes then, for example those of a mechanism made outside.
    """
    moments = _at_centers(mechanism).moments
    if isinstance(moments, Tracer):
        raise ValueError(
            "inertia_box_drag needs a mechanism whose inertias are known numbers; under jit, grad or vmap make the "
            "force outside, or write InertiaBoxDrag(axes=...)."
        )
    turns = np.stack([_principal_axes(six) for six in np.asarray(moments)], axis=-1)
    axes = quaternion_of_matrix(as_parameter(np.asarray(turns, moments.dtype)))  # one column for each body
    return InertiaBoxDrag(np.asarray(axes).T, density=density, viscosity=viscosity, wind=wind)


def _principal_axes(six: np.ndarray) -> np.ndarray:
    """Columns that diagonalize, by Jacobi's rotations: they leave alone what is diagonal, and equal moments too."""
    xx, xy, yy, xz, yz, zz = np.asarray(six, np.float64)
    matrix, axes = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]), np.eye(3)
    small = 4 * np.finfo(six.dtype).eps * np.abs(matrix).max()
    for _ in range(100):
        i, j = max(((0, 1), (0, 2), (1, 2)), key=lambda pair: abs(matrix[pair]))
        if abs(matrix[i, j]) <= small:
            break
        half = np.arctan2(2 * matrix[i, j], matrix[i, i] - matrix[j, j]) / 2
        half -= np.pi / 2 * np.round(half / (np.pi / 2))  # the smaller of the rotations that do it
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(half)
        turn[j, i], turn[i, j] = np.sin(half), -np.sin(half)
        matrix, axes = turn.T @ matrix @ turn, axes @ turn
    return axes


def _sides(own: Inertia, box: Array) -> Array:
    """(3, nb) [m]; `box` (3, 3, nb) has the axes as columns."""
    matrix = own.moments.T[np.array([[0, 1, 3], [1, 2, 4], [3, 4, 5]])]
    moments = jnp.sum(compose(matrix, box) * box, axis=0)
    thickness = jnp.sum(moments, axis=0)[None] - 2 * moments
    mass = jnp.where(own.mass > _TINY, own.mass, 1)[None]
    return jnp.sqrt(6 * jnp.maximum(thickness, _TINY) / mass)


def _at_centers(mechanism: Mechanism) -> Inertia:
    """Masses, centers and moments; as they are stored, if they are, because a detour by the origin loses digits."""
    own = mechanism.inertia
    return own if isinstance(own, Inertia) else inertia_of_ten(own.ten())
