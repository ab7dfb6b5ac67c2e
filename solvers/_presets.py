"""Presets: the solver to use when you do not want to choose one."""

from collections.abc import Callable
from typing import Any

import diffrax
import lineax as lx
import optimistix as optx
from jaxtyping import PyTree


def nonstiff() -> diffrax.AbstractSolver:
    """Tsitouras' explicit Runge-Kutta method of order 5(4), the default of `integrate`.

    Source: Ch. Tsitouras, Comput. Math. Appl. 62, 770 (2011), doi:10.1016/j.camwa.2011.06.002.
    """
    return diffrax.Tsit5()


def stiff() -> diffrax.AbstractSolver:
    """Kvaerno's L-stable ESDIRK method of order 5(4), with a root finder that works (`StepwiseChord`).

    Source: A. Kvaerno, BIT 44, 489 (2004), doi:10.1023/B:BITN.0000046811.70614.38.
    """
    return diffrax.Kvaerno5(root_finder=diffrax.with_stepsize_controller_tols(StepwiseChord)())


class StepwiseChord(optx.AbstractRootFinder):
    """Chord iteration with one Jacobian per step, at the tolerances of the step size controller.

    It is `diffrax.VeryChord` with another verdict: an iteration that has not converged *yet* goes on, and only one
    that grows (or is not finite) has diverged. diffrax 0.7.2 with optimistix 0.1.0 takes the first for the second
    and rejects about half of all implicit steps, on the van der Pol equation with eps = 1e-6 every one.
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
        """Whether the iteration is over, and how it ended."""
        over, verdict = self._chord.terminate(fn, y, args, options, state, tags)
        unsolved = state.result != optx.RESULTS.successful
        return over, optx.RESULTS.where(over | unsolved, verdict, optx.RESULTS.successful)

    def postprocess(self, fn, y, aux, args, options, state, tags, result):
        """The root as it is."""
        return self._chord.postprocess(fn, y, aux, args, options, state, tags, result)
