"""A mechanism and what acts on it, as a vector field."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Array, Float

from ...solvers import compiled
from ...solvers._host import on_host
from ...solvers._types import as_parameter
from .._forces import Actuators
from .._mechanism import check_quaternions, check_size, JointState, Mechanism
from .._state import Real


class Multibody(eqx.Module):
    r"""$\dot q = v$ (as a rate of the coordinates), $M(q)\, \dot v = \tau_\text{passive} + \sum_k \tau_k - h(q, v)$.

    A vector field for `integrate`, `FixedStep`, and for the steppers `SemiImplicitEuler`, `ImplicitFast`,
    `RungeKutta4` and `Variational`. `forces` are callables (mechanism, t, y) -> (nv,), such as `Actuators`,
    `DryFriction` or your own; the springs and dampers of the joints always act.

        integrate(Multibody(arm), Multibody(arm).state(v=v0), ts)

    Quaternions are integrated like any coordinates here, which keeps their length to within the tolerance; the length
    has no influence. `MuntheKaas` steps on the manifold itself.
    """

    State = JointState

    mechanism: Mechanism
    forces: tuple[Callable[[Mechanism, Any, JointState], Any], ...] = ()

    def __check_init__(self) -> None:
        if not isinstance(self.forces, tuple):
            raise ValueError("Multibody.forces must be a tuple: write (force,) for one.")
        for force in self.forces:
            if not callable(force):
                raise ValueError(f"A force is a callable (mechanism, t, y) -> (nv,), not {force!r}.")
        if sum(isinstance(force, Actuators) and force.na > 0 for force in self.forces) > 1:
            raise ValueError("Only one of the forces may be Actuators with activations; make them by one `actuators`.")

    @compiled
    def __call__(self, t: Real, y: JointState, args: Any = None) -> JointState:
        """Rates of q (nq,), v (nv,) and the activations; `args` is not used."""
        return JointState(q=self.mechanism.rate(y.q, y.v), v=self.acceleration(t, y), act=self.activation_rate(t, y))

    def state(self, q: Any = None, v: Any = None) -> JointState:
        """A state to start from; at rest where nothing is given."""
        rest = self.mechanism.rest
        q = rest if q is None else as_parameter(on_host(q, rest.dtype))
        v = as_parameter(on_host(np.zeros(self.mechanism.topology.nv) if v is None else v, rest.dtype))
        acting = self.actuators
        check_size(self.mechanism.topology, "q", q)
        check_size(self.mechanism.topology, "v", v)
        check_quaternions(self.mechanism.topology, q)
        return JointState(q=q, v=v, act=None if acting is None else acting.initial())

    @compiled
    def force(self, t: Real, y: JointState) -> Float[Array, " nv"]:
        """All generalized forces but gravity and inertia (nv,)."""
        total = self.mechanism.passive(y.q, y.v)
        for force in self.forces:
            total = total + force(self.mechanism, t, y)
        return total

    @compiled
    def acceleration(self, t: Real, y: JointState) -> Float[Array, " nv"]:
        r"""$\dot v$ (nv,)."""
        return self.mechanism.forward_dynamics(y.q, y.v, self.force(t, y))

    @compiled
    def activation_rate(self, t: Real, y: JointState) -> Any:
        """(na,), or None without activations."""
        return None if self.actuators is None else self.actuators.rate(t, y)

    @compiled
    def energy(self, y: JointState) -> Real:
        """Kinetic energy, and potential energy of gravity and the joints' springs [J]."""
        return self.mechanism.energy(y.q, y.v)

    @property
    def actuators(self) -> Actuators | None:
        """Those with activations, if there are any."""
        return next((force for force in self.forces if isinstance(force, Actuators) and force.na > 0), None)
