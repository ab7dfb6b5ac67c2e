"""Motion at constant energy with two time steps."""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, PRNGKeyArray

from ...solvers import compiled, parameter
from .._potential import AbstractPotential
from ._dynamics import AbstractDynamics, Dynamics
from ._steps import check_positive, drifted, kicked


class RESPA(AbstractDynamics):
    r"""Constant energy (NVE), the forces of two potentials at two rates: half a kick of $h$ by the `outer` one,
    `inner_steps` steps of `VelocityVerlet` of $h / m$ by the `inner` one, half a kick of $h$ by the `outer` one.

    `dt` $h$ [time], `inner_steps` $m$. One outer and m inner forces a step, of order 2, time-reversible, symplectic;
    with m = 1 it is `VelocityVerlet` of the sum. For forces that are stiff and cheap (bonds) beside others that are
    smooth and dear. Resonance limits `dt` to well below half the period of the fastest inner vibration, however many
    inner steps there are. Source: M. Tuckerman, B. J. Berne and G. J. Martyna, J. Chem. Phys. 97, 1990 (1992),
    doi:10.1063/1.463137.
    """

    inner: AbstractPotential
    outer: AbstractPotential
    dt: Any = parameter()
    inner_steps: int = eqx.field(static=True, default=4)

    def __check_init__(self) -> None:
        check_positive(self, "dt")
        if isinstance(self.inner_steps, bool) or not isinstance(self.inner_steps, int) or self.inner_steps < 1:
            raise ValueError(f"RESPA.inner_steps must be a whole number of at least 1, not {self.inner_steps!r}.")

    @property
    def potential(self) -> AbstractPotential:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The sum of both."""
        return self.inner + self.outer

    def __call__(self, state: Dynamics) -> Dynamics:
        """One step."""
        h = self.dt / self.inner_steps
        slow = lambda state: state.force - state.control

        def inner_step(state: Dynamics, _: Any) -> tuple[Dynamics, None]:
            system = drifted(kicked(state.system, state.control, h / 2), h)
            fast = self.inner.force(system, state.neighbors)
            return state.replace(system=kicked(system, fast, h / 2), control=fast), None

        pushed = state.replace(system=kicked(state.system, slow(state), self.dt / 2))
        inner, _ = jax.lax.scan(inner_step, pushed, length=self.inner_steps)
        force = inner.control + self.outer.force(inner.system, inner.neighbors)
        state = self.moved(pushed.replace(control=inner.control), inner.system, force=force)
        return state.replace(system=kicked(state.system, slow(state), self.dt / 2))

    def initial_control(self, state: Dynamics, key: PRNGKeyArray | None) -> Array:
        """The inner force."""
        return self.inner.force(state.system, state.neighbors)

    @compiled
    def conserved(self, state: Dynamics) -> Array:
        """Kinetic plus potential energy."""
        return state.system.kinetic_energy + self.potential_energy(state)
