"""The two steps that robots are mostly simulated with."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ...solvers import AbstractSimulator, parameter, TimeState
from .._mechanism import BALL, JointState, SLIDE
from ._multibody import Multibody


class SemiImplicitEuler(AbstractSimulator[TimeState]):
    r"""$(M + \Delta t\, D)\, a = \tau - h$, $v' = v + \Delta t\, a$, $q' = q \oplus \Delta t\, v'$: MuJoCo's Euler.

    $D$ is the joints' damping, so that stiff dampers do no harm. First order in time: the energy of a fast motion
    drifts (`Variational` has no drift, `RungeKutta4` little). The state is `TimeState(t, JointState(q, v, act))`.
    """

    multibody: Multibody
    dt: Any = parameter()

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        t, y = state.t, state.y
        mechanism = self.multibody.mechanism
        a = mechanism.forward_dynamics(y.q, y.v, self.multibody.force(t, y), self.dt * mechanism.damping)
        return _advanced(self.multibody, state, a, self.dt)


class ImplicitFast(AbstractSimulator[TimeState]):
    r"""$(M - \Delta t\, \bar F)\, a = \tau - h$, then as `SemiImplicitEuler`: MuJoCo's implicitfast.

    $\bar F$ is the symmetric part of $\partial \tau / \partial v$, of all forces but the Coriolis forces: stable with
    stiff dampers and velocity feedback of any kind. A free body that carries no joint has its gyroscopic forces in
    $\bar F$ too (MuJoCo's since 4.0), so that it gains no energy however fast it spins; tumbling is damped a little.
    """

    multibody: Multibody
    dt: Any = parameter()

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        t, y = state.t, state.y
        mechanism, forces = self.multibody.mechanism, self.multibody.forces
        added = self.dt * mechanism.damping
        if forces:
            act = lambda v: sum(force(mechanism, t, JointState(y.q, v, y.act)) for force in forces)
            slope = jax.jacfwd(act)(y.v)
            added = jnp.diag(added) - self.dt * (slope + slope.T) / 2
        force = self.multibody.force(t, y)
        if _lone_bodies(mechanism.topology):
            a = self._spun(y, force - mechanism.bias(y.q, y.v), added)
        else:
            a = mechanism.forward_dynamics(y.q, y.v, force, added)
        return _advanced(self.multibody, state, a, self.dt)

    def _spun(self, y: JointState, push: Array, added: Array) -> Array:
        """The accelerations, those of free bodies without joints with their gyroscopic forces taken implicitly."""
        mechanism = self.multibody.mechanism
        slopes = mechanism.inverse_dynamics_derivatives(y.q, y.v, jnp.zeros_like(y.v))
        matrix = slopes.a + (jnp.diag(added) if added.ndim == 1 else added)
        for own in _lone_bodies(mechanism.topology):
            matrix = matrix.at[own, own].add(self.dt * slopes.v[own, own])
        return jnp.linalg.solve(matrix, push)


def _lone_bodies(topology: Any) -> tuple[slice, ...]:
    """The degrees of freedom of each free body on which no joint depends."""
    if not topology.joints:  # a family, whose members may be anything
        return ()
    roots = list(range(topology.nb))
    for body, parent in enumerate(topology.parents):
        roots[body] = body if parent < 0 else roots[parent]
    trees = [roots[joint.body] for joint in topology.joints]
    free = lambda joint: joint.kinds == (SLIDE, SLIDE, SLIDE, BALL)
    return tuple(
        topology.v_of(joint.name)
        for joint, tree in zip(topology.joints, trees, strict=True)
        if free(joint) and trees.count(tree) == 1
    )


def _advanced(multibody: Multibody, state: TimeState, a: Array, dt: Array) -> TimeState:
    y, acting = state.y, multibody.actuators
    v = y.v + dt * a
    act = None if acting is None else acting.advance(y.act, acting.rate(state.t, y), dt)
    return TimeState(t=state.t + dt, y=JointState(q=multibody.mechanism.retract(y.q, dt * v), v=v, act=act))
