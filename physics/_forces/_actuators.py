"""All actuators of a robot as one force."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ...solvers import parameter
from ...solvers._types import as_parameter
from .._mechanism import JointState, Mechanism
from .._state import Real
from ._clamp import Clamp
from ._force import AbstractForce
from ._points import times


class Wiring(eqx.Module):
    """Which activation belongs to which actuator, as index arrays; an index one too large means none."""

    source: Array  # (nu) what drives the force: among (controls, activations)
    driver: Array  # (na) the control that an activation follows
    filtered: Array  # (na) its time constant
    exact: Array  # (na) whether `advance` steps it exactly


class Actuators(AbstractForce):
    r"""`nu` actuators, made by `actuators(...)`: $\tau = A^\top f$.

    | field | shape | |
    |---|---|---|
    | `moment` | (nu, nv) | $A$: gears and tendons; lengths $l = A\, q$, rates $\dot l = A\, v$ |
    | `gain`, `bias` | (nu, 3) | $f = (g_0 + g_1 l + g_2 \dot l)\, u + b_0 + b_1 l + b_2 \dot l$ |
    | `control` | (nu,) | or a callable (t, y: JointState) -> (nu,): a policy, a reference |
    | `time_constant` | (..) | of activations that are filters [s] |
    | `control_clamp`, `force_clamp`, `activation_clamp` | | limits; see `Clamp` for derivatives there |

    $u$ is the control, or the activation `y.act` (na,) of an actuator that has one, in the order of the actuators. In
    $A\, q$ a ball counts with the rotation vector of its quaternion, as in MuJoCo; at a half turn that jumps.
    All sizes are those of arrays: actuators of the same sizes run in one compiled program.
    """

    control_clamp: Clamp
    force_clamp: Clamp
    activation_clamp: Clamp
    wiring: Wiring
    names: tuple[str, ...] = eqx.field(static=True)
    moment: Any = parameter()
    gain: Any = parameter()
    bias: Any = parameter()
    control: Any = parameter()
    time_constant: Any = parameter()

    @property
    def nu(self) -> int:
        """Number of controls."""
        return self.moment.shape[0]

    @property
    def na(self) -> int:
        """Number of activations."""
        return self.wiring.driver.shape[0]

    def with_control(self, control: Any) -> "Actuators":
        """The same actuators with another control, (nu,) or a callable (t, y) -> (nu,)."""
        control = control if callable(control) else self._sized(control)
        return eqx.tree_at(lambda a: a.control, self, control, is_leaf=lambda x: x is self.control)

    def initial(self) -> Float[Array, " na"]:
        """Activations at the start: zeros."""
        return as_parameter(np.zeros(self.na, self.moment.dtype))

    def controls(self, t: Real, y: JointState) -> Float[Array, " nu"]:
        """The controls, clamped."""
        return self.control_clamp(self._sized(self.control(t, y) if callable(self.control) else self.control))

    def forces(self, mechanism: Mechanism, t: Real, y: JointState) -> Float[Array, " nu"]:
        """The force $f$ of each actuator, clamped, before the gear."""
        if self.moment.shape[1] != mechanism.topology.nv:
            raise ValueError(
                f"These actuators were made for {self.moment.shape[1]} degrees of freedom; the mechanism has "
                f"{mechanism.topology.nv}. Make them by `actuators(mechanism, ...)`."
            )
        u = self.controls(t, y)
        if self.na:
            u = jnp.concatenate([u, self.activation_clamp(self._activations(y))])[self.wiring.source]
        start = jnp.zeros_like(y.q).at[mechanism.masks.chart.ball_q[:, 0]].set(1)
        lengths = times(self.moment.T, mechanism.difference(y.q, start))
        rates = times(self.moment.T, y.v)
        affine = lambda c: c[:, 0] + c[:, 1] * lengths + c[:, 2] * rates
        return self.force_clamp(affine(self.gain) * u + affine(self.bias))

    def __call__(self, mechanism: Mechanism, t: Real, y: JointState) -> Float[Array, " nv"]:
        return times(self.moment, self.forces(mechanism, t, y))

    def rate(self, t: Real, y: JointState) -> Float[Array, " na"]:
        r"""$\dot a$ (na,): $(u - a) / T$ of a filter, $u$ of an integrator; limits do not slow it."""
        u, act = self.controls(t, y)[self.wiring.driver], self._activations(y)
        if self.time_constant.shape == (0,):
            return u
        return jnp.where(self._is_filter(), (u - act) / self._times(), u)

    def advance(self, act: Float[Array, " na"], rate: Float[Array, " na"], dt: Real) -> Float[Array, " na"]:
        r"""After the time `dt`, clamped: $a + \dot a\, dt$; exact filters: $a + \dot a\, T (1 - e^{-dt/T})$."""
        step = jnp.asarray(dt, act.dtype)
        if self.time_constant.shape != (0,):
            time = self._times()
            step = jnp.where(self.wiring.exact, -time * jnp.expm1(-step / time), step)
        return self.activation_clamp(act + rate * step)

    def _is_filter(self) -> Array:
        return self.wiring.filtered < self.time_constant.shape[0]

    def _times(self) -> Array:
        """(na,) time constants; one of those that have none."""
        return jnp.concatenate([self.time_constant, jnp.ones_like(self.time_constant[:1])])[self.wiring.filtered]

    def _activations(self, y: JointState) -> Array:
        if np.shape(y.act) != (self.na,):
            raise ValueError(
                f"The state has activations of shape {np.shape(y.act)}, expected ({self.na},): start from "
                "JointState(q, v, actuators.initial())."
            )
        return jnp.asarray(y.act)

    def _sized(self, control: Any) -> Array:
        if np.shape(control) != (self.nu,):
            raise ValueError(
                f"The control has shape {np.shape(control)}, expected ({self.nu},): one number for each of "
                f"{', '.join(self.names)}."
            )
        return jnp.asarray(control, self.moment.dtype)
