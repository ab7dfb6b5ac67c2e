"""Runge-Kutta on the manifold of configurations.

Around the configuration at the start of a step, $q = q_0 \\oplus u$; in the coordinates u the equations are ordinary
ones, $\\dot u = J_r(u)^{-1} v$, which any method solves with its full order and without leaving the manifold.
Source: H. Munthe-Kaas, Appl. Numer. Math. 29, 115 (1999), doi:10.1016/S0168-9274(98)00030-0.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...solvers import AbstractSimulator, parameter, TimeState
from .._mechanism import Chart, chart_rate, JointState, plan, rate, retract, tangent, Topology
from ._multibody import Multibody


class RungeKutta4(AbstractSimulator[TimeState]):
    """The classical method of order 4 for all joints, balls included; MuJoCo's RK4 (since 4.0)."""

    multibody: Multibody
    dt: Any = parameter()

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        start = state.y
        mechanism = self.multibody.mechanism
        chart = mechanism.masks.chart

        def field(t: Array, z: JointState) -> JointState:
            y = JointState(retract(chart, start.q, z.q), z.v, z.act)
            slope = self.multibody.activation_rate(t, y)
            return JointState(chart_rate(chart, z.q, z.v), self.multibody.acceleration(t, y), slope)

        end, _ = _explicit(field, _CLASSICAL, state.t, self.dt, JointState(jnp.zeros_like(start.v), start.v, start.act))
        return TimeState(t=state.t + self.dt, y=JointState(retract(chart, start.q, end.q), end.v, end.act))


class MuntheKaas(diffrax.AbstractAdaptiveSolver):
    """Any diffrax solver, for a `JointState` whose quaternions stay quaternions.

        integrate(multibody, y0, ts, solver=MuntheKaas(diffrax.Dopri5(), arm.topology))

    Errors are estimated in velocities times time, so that tolerances mean the same for all joints. Each step starts
    afresh, and costs a method that carries a stage over (FSAL) one more evaluation.
    """

    solver: diffrax.AbstractSolver
    topology: Topology = eqx.field(static=True)

    @property
    def term_structure(self) -> Any:
        """That of the solver."""
        return self.solver.term_structure

    @property
    def interpolation_cls(self) -> Callable[..., Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Dense output between steps: that of the solver, moved to the manifold."""
        return functools.partial(_Interpolation.make, self.topology, self.solver.interpolation_cls)

    def order(self, terms: Any) -> Any:
        """That of the solver."""
        return self.solver.order(terms)

    def error_order(self, terms: Any) -> Any:
        """That of the solver."""
        return self.solver.error_order(terms)

    def init(self, terms: Any, t0: Any, t1: Any, y0: JointState, args: Any) -> None:
        """Nothing is carried from step to step."""
        return None

    def step(self, terms: Any, t0: Any, t1: Any, y0: JointState, args: Any, solver_state: None, made_jump: Any) -> Any:
        """One step of the solver in the chart around `y0`."""
        chart = diffrax.ODETerm(functools.partial(_field, terms, self.topology, y0.q))
        z0 = JointState(jnp.zeros_like(y0.v), y0.v, y0.act)
        result = diffrax.RESULTS.successful
        if isinstance(self.solver, diffrax.AbstractERK):
            tableau: Any = self.solver.tableau
            field = lambda t, z: chart.vf(t, z, args)
            z1, stages = _explicit(field, _Tableau.of(tableau), t0, t1 - t0, z0)
            error = _combined(jax.tree.map(jnp.zeros_like, z0), tableau.b_error, stages)
            dense = {"y0": z0, "y1": z1, "k": stages}
        else:
            solver = _with_both_modes(self.solver)
            start = solver.init(chart, t0, t1, z0, args)
            z1, error, dense, _, result = solver.step(chart, t0, t1, z0, args, start, jnp.asarray(True))
        y1 = _leave(self.topology, y0.q, z1)
        if error is not None:
            error = JointState(rate(_chart_of(self.topology), y1.q, error.q), error.v, error.act)
        return y1, error, {"q0": y0.q, "inner": dense}, None, result

    def func(self, terms: Any, t0: Any, y0: JointState, args: Any) -> Any:
        """The vector field."""
        return terms.vf(t0, y0, args)


class _Interpolation(diffrax.AbstractLocalInterpolation):
    t0: Any
    t1: Any
    q0: Any
    inner: diffrax.AbstractLocalInterpolation
    topology: Topology = eqx.field(static=True)

    @staticmethod
    def make(topology: Topology, interpolation: Any, *, t0: Any, t1: Any, q0: Any, inner: Any) -> "_Interpolation":
        return _Interpolation(t0, t1, q0, interpolation(t0=t0, t1=t1, **inner), topology)

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True) -> JointState:
        if t1 is not None:
            return jax.tree.map(jnp.subtract, self.evaluate(t1), self.evaluate(t0))
        return _leave(self.topology, self.q0, self.inner.evaluate(t0, None, left))


class _Tableau(NamedTuple):
    """Butcher's: a square matrix (strictly lower), weights, nodes."""

    a: np.ndarray
    b: np.ndarray
    c: np.ndarray

    @staticmethod
    def of(tableau: Any) -> "_Tableau":
        """From diffrax's, whose rows are those of the stages after the first."""
        size = len(tableau.b_sol)
        a = np.zeros((size, size))
        for k, row in enumerate(tableau.a_lower, start=1):
            a[k, :k] = row
        return _Tableau(a, np.asarray(tableau.b_sol), np.concatenate([[0.0], tableau.c]))


_CLASSICAL = _Tableau(
    a=np.array([[0, 0, 0, 0], [0.5, 0, 0, 0], [0, 0.5, 0, 0], [0, 0, 1, 0]]),
    b=np.array([1, 2, 2, 1]) / 6,
    c=np.array([0, 0.5, 0.5, 1]),
)


def _explicit(field: Callable[..., Any], tableau: _Tableau, t0: Any, dt: Any, z0: Any) -> tuple[Any, Any]:
    """The end of a step, and its slopes times dt, stages first. In a loop, because a field is large to compile."""
    size = len(tableau.b)

    def stage(slopes: Any, k: Array) -> tuple[Any, None]:
        weights, node = jnp.asarray(tableau.a)[k], jnp.asarray(tableau.c)[k]
        slope = field(t0 + node.astype(dt.dtype) * dt, _combined(z0, weights, slopes))
        return jax.tree.map(lambda all_, one: all_.at[k].set(dt * one), slopes, slope), None

    none = jax.tree.map(lambda x: jnp.zeros((size, *x.shape), x.dtype), z0)
    slopes, _ = jax.lax.scan(stage, none, jnp.arange(size))
    return _combined(z0, tableau.b, slopes), slopes


def _combined(z: Any, weights: Any, slopes: Any) -> Any:
    return jax.tree.map(lambda x, k: x + jnp.tensordot(jnp.asarray(weights, x.dtype), k, 1), z, slopes)


def _with_both_modes(solver: Any) -> Any:
    """The solver with its stages in a loop that has forward and reverse mode; diffrax chooses for its own alone."""
    if isinstance(solver, diffrax.AbstractRungeKutta) and solver.scan_kind is None:
        return eqx.tree_at(lambda s: s.scan_kind, solver, "bounded", is_leaf=lambda x: x is None)
    return solver


def _field(terms: Any, topology: Topology, q0: Array, t: Any, z: JointState, args: Any) -> JointState:
    chart, y = _chart_of(topology), _leave(topology, q0, z)
    slope = terms.vf(t, y, args)
    return JointState(chart_rate(chart, z.q, tangent(chart, y.q, slope.q)), slope.v, slope.act)


def _leave(topology: Topology, q0: Array, z: JointState) -> JointState:
    return JointState(retract(_chart_of(topology), q0, z.q), z.v, z.act)


def _chart_of(topology: Topology) -> Chart:
    return plan(topology).arrays().chart
