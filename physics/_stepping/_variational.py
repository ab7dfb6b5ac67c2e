"""A stepper that keeps momenta exactly and energy nearly, over any number of steps."""

from typing import Any

import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array

from ...solvers import AbstractSimulator, parameter, TimeState
from .._mechanism import chart_rate, chart_velocity, factorized, JointState
from ._multibody import Multibody


class Variational(AbstractSimulator[TimeState]):
    r"""Stationary discrete action with the midpoint rule, of order 2.

    With $q' = q \oplus \Delta t\, w$ and the midpoint $\bar q = q \oplus \frac{\Delta t}{2} w$ the action of a step is
    $S(q, q') = \Delta t\, (T(\bar q, w) - U(\bar q))$; $w$ solves $-\partial_q S = M(q) v + \frac{\Delta t}{2} f$ and
    then $M(q') v' = \partial_{q'} S + \frac{\Delta t}{2} f$ with the forces $f(\bar q, w)$ that have no potential.
    Symplectic: the energy of a conservative mechanism oscillates and does not drift; linear and angular momentum (about
    the world's origin) of a free one are constant to `rtol`. The equation is solved by a fixed-point iteration with the
    mass matrix for a slope, which converges for steps that resolve the motion, and is differentiated as an equation.
    Not solved: NaN.

    Activations of actuators are not supported: they make no mechanical system.
    Source: J. E. Marsden, M. West, Acta Numerica 10, 357 (2001), doi:10.1017/S096249290100006X.
    """

    multibody: Multibody
    dt: Any = parameter()
    rtol: float = 1e-12
    max_steps: int = 50

    def __check_init__(self) -> None:
        if self.multibody.actuators is not None:
            raise ValueError("Variational does not step activations; use RungeKutta4 or ImplicitFast.")

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        y, dt, mechanism = state.y, self.dt, self.multibody.mechanism
        matrix = mechanism.mass_matrix(y.q)
        solve = factorized(matrix, jnp.zeros_like(y.v))
        momentum = matrix @ y.v

        def improved(w: Array, _: Any) -> Array:
            return w + solve(momentum - self._momenta(state.t, y, w)[0])

        tolerance = max(self.rtol, 20 * float(jnp.finfo(y.v.dtype).eps))
        finder = optx.FixedPointIteration(rtol=tolerance, atol=tolerance, norm=optx.max_norm)
        found = optx.fixed_point(improved, finder, y.v, max_steps=self.max_steps, throw=False)
        w = jnp.where(found.result == optx.RESULTS.successful, found.value, jnp.nan)
        end = mechanism.retract(y.q, dt * w)
        v = factorized(mechanism.mass_matrix(end), jnp.zeros_like(w))(self._momenta(state.t, y, w)[1])
        return TimeState(t=state.t + dt, y=JointState(end, v, y.act))

    def _momenta(self, t: Array, y: JointState, w: Array) -> tuple[Array, Array]:
        r"""Of a step with the mean velocity w: $M(q) v$ at its start and $M(q') v'$ at its end.

        In rotations the end of a step is $e^{u}$, $u = \Delta t\, w$, so that the derivatives of $\bar q$ and w by the
        start and the end are Jacobians $J_r(\mp u/2)$ and $J_r(\mp u)^{-1}$; their transposes are those of $-u$.
        """
        mechanism, dt = self.multibody.mechanism, self.dt
        chart = mechanism.masks.chart
        middle = mechanism.retract(y.q, dt / 2 * w)

        def lagrangian(small: Array, w: Array) -> Array:
            q = mechanism.retract(middle, small)
            return mechanism.kinetic_energy(q, w) - mechanism.potential_energy(q)

        slope, momentum = jax.grad(lagrangian, argnums=(0, 1))(jnp.zeros_like(w), w)
        half = lambda u: dt / 2 * chart_velocity(chart, u / 2, slope)
        push = dt / 2 * self._nonconservative(t + dt / 2, JointState(middle, w, y.act))
        u = dt * w
        first = chart_rate(chart, u, momentum - half(u)) - push
        last = chart_rate(chart, -u, momentum + half(-u)) + push
        return first, last

    def _nonconservative(self, t: Array, y: JointState) -> Array:
        mechanism = self.multibody.mechanism
        total = -mechanism.damping * y.v
        for force in self.multibody.forces:
            total = total + force(mechanism, t, y)
        return total
