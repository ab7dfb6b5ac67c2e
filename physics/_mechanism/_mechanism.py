"""A tree of rigid bodies."""

from typing import Any, NamedTuple, TYPE_CHECKING

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...solvers import compiled, parameter
from ...solvers._host import on_host
from ...solvers._types import as_parameter
from .._spatial import (
    AbstractInertia,
    apply_inertia,
    cross3,
    matmul,
    Pose,
    quaternion_of_matrix,
    twist_cross,
    wrench_cross,
)
from .._state import Motion
from . import _dynamics, _rules
from ._configuration import chart_rate, difference, padded, rate, retract, tangent
from ._derivatives import inverse_dynamics_slopes, Slopes
from ._geometry import Geometry, geometry, moved_ten
from ._sizes import check_size
from ._topology import Masks, Plan, plan, Topology

if TYPE_CHECKING:
    AnyTopology = Topology
else:
    AnyTopology = Any  # of a family: its sizes


class Momentum(NamedTuple):
    """Of all bodies: `linear` [kg m/s], `angular` [kg m²/s] about the common center of mass."""

    linear: Array
    angular: Array


class Mechanism(eqx.Module):
    r"""Rigid bodies on a tree of joints: $M(q)\, a + h(q, v) = \tau$.

    All float fields are parameters, with the body, the joint's element or the degree of freedom as first axis; make a
    mechanism with `mechanism(Body(...), ...)`, `read_urdf` or `read_mjcf`. Units are SI; the world's z axis points up
    if `gravity` is the default.

    | field | shape | |
    |---|---|---|
    | `inertia` | bodies | mass, center and moments of each body, in its own axes |
    | `position`, `orientation` | (nb, 3), (nb, 4) | of a body's frame in its parent's, at rest |
    | `hinge_axis`, `slide_axis` | (.., 3) | directions in the body's frame, of any length |
    | `anchor` | (.., 3) | points that hinges and balls turn about, hinges first |
    | `pitch` | (..) | of screws [m/rad] |
    | `rest` | (nq,) | the coordinates in which bodies are where `position` and `orientation` say |
    | `armature`, `damping`, `friction` | (nv,) | see `Passive` |
    | `stiffness`, `springref` | (..) | of joints with springs, in their order; where these are relaxed |
    | `lower`, `upper` | (..) | of joints with limits, in their order |
    | `gravity` | (3,) | acceleration [m/s²] |
    | `shapes` | by body | geometry of the bodies that have one, and of the "world" |
    | `padding` | | of a `family`: the masks of its members |

    Coordinates `q` (nq,) and velocities `v`, accelerations `a`, forces `tau` (nv,) follow the joints in the order of
    the bodies; a ball has four coordinates (unit quaternion, scalar first) and three velocities. First derivatives of
    `inverse_dynamics` and `forward_dynamics` with respect to q, v, a, tau are closed formulas that `jacfwd`, `jacrev`
    and `grad` take. A quaternion is normalized where it is used: its length changes nothing.
    """

    topology: AnyTopology = eqx.field(static=True)
    inertia: AbstractInertia
    position: Any = parameter()
    orientation: Any = parameter()
    hinge_axis: Any = parameter()
    slide_axis: Any = parameter()
    anchor: Any = parameter()
    pitch: Any = parameter()
    rest: Any = parameter()
    armature: Any = parameter()
    damping: Any = parameter()
    stiffness: Any = parameter()
    friction: Any = parameter()
    springref: Any = parameter()
    lower: Any = parameter()
    upper: Any = parameter()
    gravity: Any = parameter()
    shapes: dict[str, tuple[Any, ...]] = eqx.field(default_factory=dict)

    padding: Masks | None = None

    State = Motion

    # configurations

    @compiled
    def retract(self, q: Array, change: Array) -> Array:
        r"""$q \oplus u$: the configuration reached with the velocity u in a unit of time."""
        self._check(q=q, v=change)
        return retract(self.masks.chart, q, change)

    @compiled
    def difference(self, q: Array, start: Array) -> Array:
        r"""$q \ominus q_0$, (nv,): the velocity that leads from `start` to `q` in a unit of time."""
        self._check(q=q)
        self._check(q=start)
        return difference(self.masks.chart, q, start)

    @compiled
    def rate(self, q: Array, v: Array) -> Array:
        r"""$\dot q$, (nq,)."""
        self._check(q=q, v=v)
        return rate(self.masks.chart, q, v)

    @compiled
    def tangent(self, q: Array, dq: Array) -> Array:
        """The velocity (nv,) that a rate of change `dq` (nq,) of the coordinates is."""
        self._check(q=q)
        self._check(q=dq)
        return tangent(self.masks.chart, q, dq)

    # kinematics

    @compiled
    def poses(self, q: Array) -> Pose:
        """Where the bodies are: positions (nb, 3) [m] of their frames and orientations (nb, 4), seen from the world."""
        found = self._geometry(q)
        turn = quaternion_of_matrix(found.pose[:3, :3])
        return Pose((found.position + found.start).T, turn.T)

    @compiled
    def twists(self, q: Array, v: Array) -> Array:
        """(nb, 6) angular velocity of each body and velocity of its frame's origin, along the world's axes."""
        found = self._geometry(q, v=v)
        return _at_origins(found, _dynamics.moving(found, self.masks, v).twist).T

    @compiled
    def accelerations(self, q: Array, v: Array, a: Array) -> Array:
        """(nb, 6) angular acceleration of each body and acceleration of its frame's origin, along the world's axes."""
        found = self._geometry(q, v=v, a=a)
        motion = _dynamics.moving(found, self.masks, v)
        spatial = _dynamics.loads(found, self.masks, motion, v, a, jnp.zeros_like(self.gravity)).acceleration
        twist, moved = _at_origins(found, motion.twist), _at_origins(found, spatial)
        return jnp.concatenate([moved[:3], moved[3:] + cross3(twist[:3], twist[3:])]).T

    def jacobian(self, q: Array, body: str | int, point: Any = (0.0, 0.0, 0.0)) -> Array:
        """(6, nv): v -> angular velocity of a body and velocity of `point` [m], given in its frame; world's axes."""
        return self._jacobian(q, *self._place(body, point))

    def jacobian_rate(self, q: Array, v: Array, body: str | int, point: Any = (0.0, 0.0, 0.0)) -> Array:
        """The time derivative (6, nv) of `jacobian` along the motion: the acceleration is J a + dJ/dt v."""
        return self._jacobian_rate(q, v, *self._place(body, point))

    # dynamics

    @compiled
    def mass_matrix(self, q: Array) -> Array:
        """M(q), (nv, nv), with the armature on its diagonal."""
        found = self._geometry(q)
        return _dynamics.mass_matrix(found, self.masks, _dynamics.subtree_sums(self.masks, found.ten), self.armature)

    @compiled
    def bias(self, q: Array, v: Array) -> Array:
        """(nv,): Coriolis, centrifugal and gravity terms; what the joints must give so that a = 0."""
        return self.inverse_dynamics(q, v, jnp.zeros_like(v))

    @compiled
    def inverse_dynamics(self, q: Array, v: Array, a: Array) -> Array:
        r"""$\tau = M(q)\, a + h(q, v)$, (nv,)."""
        self._check(q=q, v=v, a=a)
        return _rules.inverse_dynamics(self, q, v, a)

    @compiled
    def inverse_dynamics_derivatives(self, q: Array, v: Array, a: Array) -> Slopes:
        r"""$\partial\tau/\partial q$ (for small changes of $q$), $\partial\tau/\partial v$ and $M$, each (nv, nv)."""
        return inverse_dynamics_slopes(self, self._plan, self._geometry(q, v=v, a=a), v, a)

    @compiled
    def forward_dynamics(self, q: Array, v: Array, tau: Array, added: Array | None = None) -> Array:
        r"""$a = (M(q) + E)^{-1} (\tau - h(q, v))$, (nv,); NaN where $M + E$ is not positive definite.

        `added` is E, a diagonal (nv,) or a symmetric matrix (nv, nv), zero by default: what an implicit step adds.
        """
        self._check(q=q, v=v, tau=tau)
        return _rules.forward_dynamics(self, q, v, tau, jnp.zeros_like(v) if added is None else added)

    @compiled
    def passive(self, q: Array, v: Array) -> Array:
        r"""Forces (nv,) of the joints' springs, with the energy $\frac12 k (q \ominus q_\text{ref})^2$, and dampers."""
        self._check(q=q, v=v)
        springs, stretch = self.masks.springs, self._stretch(q)
        # minus the gradient of the energy: by small changes of q, which change a rotation vector by its Jacobian
        force = chart_rate(springs, -stretch, self.stiffness * stretch)
        return -padded(force)[self.masks.spring_of_v] - self.damping * v

    @compiled
    def regressor(self, q: Array, v: Array, a: Array) -> Array:
        r"""Y(q, v, a), (nv, 10 nb), with $\tau = Y \pi$ (and the armature's $\tau$ added).

        $\pi$ has the ten parameters of each body, one body after the other, as `mechanism.inertia.ten().T` does.
        """
        found = self._geometry(q, v=v, a=a)
        motion = _dynamics.moving(found, self.masks, v)
        load = _dynamics.loads(found, self.masks, motion, v, a, self.gravity)

        def of_unit(unit: Array) -> Array:
            ten = moved_ten(found.pose, jnp.broadcast_to(unit[:, None], found.ten.shape))
            momentum = apply_inertia(ten, motion.twist)
            wrench = apply_inertia(ten, load.acceleration) + wrench_cross(motion.twist, momentum)
            return matmul(found.axes.T, wrench) * self.masks.moves.astype(v.dtype).T

        each = jax.vmap(of_unit, out_axes=2)(jnp.eye(10, dtype=v.dtype))
        return each.reshape(v.shape[0], -1)

    # balances

    @compiled
    def kinetic_energy(self, q: Array, v: Array) -> Array:
        r"""$\frac12 v^T M v$ [J]."""
        found = self._geometry(q, v=v)
        twist = _dynamics.moving(found, self.masks, v).twist
        return (jnp.sum(twist * apply_inertia(found.ten, twist)) + jnp.sum(self.armature * v * v)) / 2

    @compiled
    def potential_energy(self, q: Array) -> Array:
        """Of gravity, zero with the centers of mass at the world's origin, and of the joints' springs [J]."""
        found = self._geometry(q)
        moments = found.ten[1:4] + found.ten[:1] * found.start
        stretch = self._stretch(q)
        return jnp.sum(self.stiffness * stretch * stretch) / 2 - jnp.sum(self.gravity[:, None] * moments)

    @compiled
    def energy(self, q: Array, v: Array) -> Array:
        """Kinetic and potential energy [J]; constant if nothing but gravity and the joints' springs acts."""
        return self.kinetic_energy(q, v) + self.potential_energy(q)

    @compiled
    def center_of_mass(self, q: Array) -> Array:
        """(3,) of all bodies, in the world [m]."""
        found = self._geometry(q)
        return jnp.sum(found.ten[1:4] + found.ten[:1] * found.start, axis=1) / jnp.sum(found.ten[0])

    @compiled
    def momentum(self, q: Array, v: Array) -> Momentum:
        """Linear momentum, and angular momentum about the common center of mass."""
        found = self._geometry(q, v=v)
        each = apply_inertia(found.ten, _dynamics.moving(found, self.masks, v).twist)
        linear = jnp.sum(each[3:], axis=1)
        arm = found.start - self.center_of_mass(q)[:, None]
        return Momentum(linear=linear, angular=jnp.sum(each[:3] + cross3(arm, each[3:]), axis=1))

    # inside

    @property
    def masks(self) -> Masks:
        """Who moves what: constants that follow from the topology, or those of the members of a family."""
        return self._plan.arrays() if self.padding is None else self.padding

    @property
    def _plan(self) -> Plan:
        return plan(self.topology)

    def _stretch(self, q: Array) -> Array:
        """Of the springs, one after the other."""
        return difference(self.masks.springs, q[self.masks.spring_q], self.springref)

    def _geometry(self, q: Array, v: Array | None = None, a: Array | None = None) -> Geometry:
        self._check(q, v, a)
        return geometry(self, self._plan, q)

    def _check(self, q: Any = None, v: Any = None, a: Any = None, tau: Any = None) -> None:
        for name, value in (("q", q), ("v", v), ("a", a), ("tau", tau)):
            if value is not None:
                check_size(self.topology, name, value)

    def _place(self, body: str | int, point: Any) -> tuple[Array, Array]:
        """The index of a body and a point (3,) as arrays: one program serves all bodies and points."""
        k = self.topology.body(body) if isinstance(body, str) else body
        if not 0 <= k < self.topology.nb:
            raise ValueError(f"There is no body {k}: bodies count from 0 to {self.topology.nb - 1}.")
        return jax.device_put(np.int32(k)), as_parameter(on_host(point, self.rest.dtype))

    @compiled
    def _jacobian(self, q: Array, k: Array, point: Array) -> Array:
        return self._lever(self._geometry(q), k, point)[0]

    @compiled
    def _jacobian_rate(self, q: Array, v: Array, k: Array, point: Array) -> Array:
        found = self._geometry(q, v=v)
        jacobian, arm, moved = self._lever(found, k, point)
        after = matmul(found.axes * v[None], self.masks.upto.astype(v.dtype).T)
        carrier = jnp.where(self.masks.carried[None], after, _dynamics.moving(found, self.masks, v).near)
        rates = jnp.where(moved[None], twist_cross(carrier, found.axes), 0)
        velocity = matmul(jacobian[3:], v)[:, None]
        linear = rates[3:] + cross3(rates[:3], arm) + cross3(jacobian[:3], velocity)
        return jnp.concatenate([rates[:3], linear])

    def _lever(self, found: Geometry, k: Array, point: Array) -> tuple[Array, Array, Array]:
        """The Jacobian, the point (3, 1) from the first frame of its tree, and which velocities move it (nv,)."""
        arm = matmul(found.pose[:3, :, k], jnp.append(point, jnp.ones_like(point, shape=())))[:, None]
        moved = self.masks.moves[k]
        axes = jnp.where(moved[None], found.axes, 0)
        return jnp.concatenate([axes[:3], axes[3:] + cross3(axes[:3], arm)]), arm, moved


def _at_origins(found: Geometry, twist: Array) -> Array:
    """Six-vectors (6, nb) about the bodies' origins."""
    return jnp.concatenate([twist[:3], twist[3:] + cross3(twist[:3], found.position)])
