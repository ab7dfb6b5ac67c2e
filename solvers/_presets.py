"""Presets: the solver to use when you do not want to choose one."""

from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import lineax as lx
import optimistix as optx
from jaxtyping import PyTree

from ._radau import Radau
from ._switching import Switching


def nonstiff() -> diffrax.AbstractSolver:
    """Tsitouras' explicit Runge-Kutta method of order 5(4), the default of `integrate`.

    Source: Ch. Tsitouras, Comput. Math. Appl. 62, 770 (2011), doi:10.1016/j.camwa.2011.06.002.
    """
    return diffrax.Tsit5()


def stiff() -> diffrax.AbstractSolver:
    """The Radau IIA method with five stages, of order 9, L-stable: `Radau(5)`."""
    return Radau(5)


def auto() -> diffrax.AbstractSolver:
    """Tsitouras' method where it is stable, `Radau(5)` where the problem is stiff: `Switching()`."""
    return Switching()


class StepwiseChord(optx.AbstractRootFinder):
    """Chord iteration with one Jacobian per step, at the tolerances of the step size controller.

    For diffrax's implicit methods: `Kvaerno5(root_finder=diffrax.with_stepsize_controller_tols(StepwiseChord)())`.
    It is `diffrax.VeryChord` with another verdict: an iteration that has not converged *yet* goes on, only one that
    grows (or is not finite) has diverged, and one that stagnates below the tolerance has converged. diffrax 0.7.2 with
    optimistix 0.1.0 takes the first and the last for divergence and rejects about half of all implicit steps.
    """

    rtol: float
    atol: float
    norm: Callable[[PyTree], Any] = optx.max_norm
    kappa: float = 1e-2
    linear_solver: lx.AbstractLinearSolver = lx.AutoLinearSolver(well_posed=None)

    @property
    def _chord(self) -> diffrax.VeryChord:
        return diffrax.VeryChord(self.rtol, self.atol, self.norm, self.kappa, self.linear_solver)

    def init(self, fn, y, args, options, f_struct, aux_struct, tags):
        """The iteration's state at `y`: the factored Jacobian."""
        return self._chord.init(fn, y, args, options, f_struct, aux_struct, tags)

    def step(self, fn, y, args, options, state, tags):
        """One iterate: y - J^-1 f(y)."""
        return self._chord.step(fn, y, args, options, state, tags)

    def terminate(self, fn, y, args, options, state, tags):
        """Whether the iteration is over, and how it ended: sizes are in units of the tolerance, `rate` their ratio."""
        size = state.diffsize
        rate = size / state.diffsize_prev
        remaining = size * rate / (1 - rate)
        # Rounding alone makes corrections of eps / rtol; one that no longer shrinks and is as small has met it.
        kappa = jnp.maximum(self.kappa, 10 * jnp.finfo(size.dtype).eps / self.rtol)
        converged = (size == 0) | jnp.where(rate < 1, remaining < kappa, size < kappa)
        diverged = ~converged & ~(rate <= 2)
        verdict = optx.RESULTS.where(diverged, optx.RESULTS.nonlinear_divergence, optx.RESULTS.successful)
        unsolved = state.result != optx.RESULTS.successful
        over = (state.step >= 2) & (converged | diverged)
        verdict = optx.RESULTS.where(over, verdict, optx.RESULTS.successful)
        return over | unsolved, optx.RESULTS.where(unsolved, state.result, verdict)

    def postprocess(self, fn, y, aux, args, options, state, tags, result):
        """The root; zero if there is none.

        Such a step is rejected, but its derivative is computed. A diverged stage would make the later ones overflow
        and the linear solves of the derivative fail; from a stage of zero they stay finite.
        """
        found = result == optx.RESULTS.successful
        y = jax.tree.map(lambda leaf: jnp.where(found, leaf, 0), y)
        return self._chord.postprocess(fn, y, aux, args, options, state, tags, result)
