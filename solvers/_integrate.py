"""`integrate`: continuous time, through diffrax."""

from collections.abc import Callable, Sequence
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree

from ._adjoint import AbstractAdjoint
from ._presets import nonstiff
from ._results import RESULTS
from ._solution import finish, Solution, TimeState
from ._stall import StallGuard
from ._times import check_times, save_times, SaveTimes
from ._tree import all_finite, difference, is_float, leaf_name, refuse_nonfinite
from ._types import inexact_asarray, RealScalarLike, Scalar


def integrate(
    vector_field: Callable[..., PyTree] | PyTree[diffrax.AbstractTerm],
    y0: PyTree,
    ts: ArrayLike | Sequence[float],
    *,
    args: PyTree = None,
    solver: diffrax.AbstractSolver | None = None,
    rtol: float = 1e-6,
    atol: float = 1e-8,
    t0: RealScalarLike | None = None,
    dt0: RealScalarLike | None = None,
    stepsize_controller: diffrax.AbstractStepSizeController | None = None,
    adjoint: AbstractAdjoint | diffrax.AbstractAdjoint | None = None,
    events: diffrax.Event | None = None,
    saveat: diffrax.SaveAt | None = None,
    max_steps: int = 100_000,
    progress_meter: diffrax.AbstractProgressMeter = diffrax.NoProgressMeter(),  # noqa: B008
    throw: bool = True,
) -> Solution[TimeState]:
    r"""Solve $\mathrm{d}y/\mathrm{d}t = f(t, y, \mathrm{args})$ from `y0` and save the solution at the times `ts`.

    A thin verb over `diffrax.diffeqsolve`: whatever diffrax takes, this takes.

    - `vector_field`: a function `f(t, y, args)` whose value has the structure, shapes and dtypes of `y`, or
      diffrax's own terms (`MultiTerm(ODETerm(..), ControlTerm(..))` for an SDE, `ControlTerm` for a CDE).
    - `y0`: the initial state, a PyTree of float arrays.
    - `ts`: times that never decrease; the first is the start, unless `t0` is given. Under `jax.vmap` every member
      has its own; ragged ones are padded with NaN (`pad_times`).
    - `solver`: `nonstiff()` (default), `stiff()`, or any diffrax solver.
    - `rtol`, `atol`: tolerances of the local error; the error at the end is usually 1 to 100 times as large.
    - `dt0`: the first step, or the step of `stepsize_controller=diffrax.ConstantStepSize()`.
    - `adjoint`: `Checkpointed()` (default; reverse mode), `Forward()` (forward mode), `Unrolled()` (both, slower), or
      one of diffrax's.
    - `events`: a `diffrax.Event`; it ends the solve, `solution.state.t` is when, later `ys` are infinite.
    - `saveat`: a `diffrax.SaveAt` instead of saving at `ts`, e.g. `SaveAt(dense=True)` for `solution.evaluate(t)`.
    - `throw`: raise if the solve fails; otherwise look at `solution.result`.

    Raises ValueError for input that cannot be right, RuntimeError if the solve fails and `throw`.
    """
    y0 = jax.tree.map(inexact_asarray, y0)
    _refuse_other_than_floats(y0)
    refuse_nonfinite(y0, "y0")
    times = inexact_asarray(ts) if isinstance(ts, jax.Array) else jnp.asarray(np.asarray(ts), _time_dtype(y0))
    check_times(times, t0)
    if not isinstance(max_steps, int) or max_steps < 1:
        raise ValueError(f"max_steps must be a positive integer, not {max_steps!r}.")
    solver = nonstiff() if solver is None else solver
    controller = _controller(solver, stepsize_controller, rtol, atol, dt0)
    if adjoint is None:
        adjoint = diffrax.RecursiveCheckpointAdjoint()
    elif isinstance(adjoint, AbstractAdjoint):
        adjoint = adjoint.for_diffrax()
    solution = _solve(
        vector_field, y0, times, t0, args, solver, controller, dt0, adjoint, events, saveat, max_steps, progress_meter
    )
    return finish(solution, throw)


@eqx.filter_jit
def _solve(
    vector_field: Any,
    y0: PyTree,
    ts: Float[Array, " t"],
    t0: RealScalarLike | None,
    args: PyTree,
    solver: diffrax.AbstractSolver,
    controller: diffrax.AbstractStepSizeController,
    dt0: RealScalarLike | None,
    adjoint: diffrax.AbstractAdjoint,
    events: diffrax.Event | None,
    saveat: diffrax.SaveAt | None,
    max_steps: int,
    progress_meter: diffrax.AbstractProgressMeter,
) -> Solution[TimeState]:
    times = save_times(ts, t0)
    terms = _terms(vector_field, times.t0, y0, args)
    at_ts = saveat is None
    saveat = diffrax.SaveAt(ts=times.ts) if saveat is None else saveat
    keeps_end = isinstance(adjoint, diffrax.BacksolveAdjoint | diffrax.ImplicitAdjoint)  # they save one thing only
    inner = diffrax.diffeqsolve(
        terms,
        solver,
        times.t0,
        times.t1,
        dt0,
        y0,
        args,
        saveat=saveat if keeps_end else _with_end(saveat),
        stepsize_controller=controller,
        adjoint=adjoint,
        event=events,
        max_steps=max_steps,
        progress_meter=progress_meter,
        throw=False,
    )
    if keeps_end:
        saved_ts, saved_ys, state = inner.ts, inner.ys, TimeState(t=times.t1, y=jax.tree.map(lambda y: y[-1], inner.ys))
    else:
        (saved_ts, end_t), (saved_ys, end_y) = inner.ts, inner.ys  # pyright: ignore[reportGeneralTypeIssues]
        state = TimeState(t=end_t[0], y=jax.tree.map(lambda y: y[0], end_y))
    return Solution(
        ts=times.restore(saved_ts) if at_ts else saved_ts,  # pyright: ignore[reportArgumentType]
        ys=saved_ys,
        state=state,
        stats={k: v for k, v in inner.stats.items() if k != "max_steps"},
        result=_verdict(inner.result, times, y0),
        interpolation=inner.interpolation,
        event_mask=inner.event_mask,
    )


def _with_end(saveat: diffrax.SaveAt) -> diffrax.SaveAt:
    """What the user saves, and the last time and state beside it."""
    return eqx.tree_at(lambda s: s.subs, saveat, (saveat.subs, diffrax.SubSaveAt(t1=True)), is_leaf=lambda x: x is None)


def _verdict(result: diffrax.RESULTS, times: SaveTimes, y0: PyTree) -> RESULTS:
    verdict = RESULTS.promote(result)
    verdict = RESULTS.where(result == diffrax.RESULTS.dt_min_reached, RESULTS.stalled, verdict)
    return RESULTS.where(times.valid & all_finite(y0), verdict, RESULTS.invalid_input)


def _controller(solver, controller, rtol, atol, dt0):
    if controller is None:
        if rtol <= 0 or atol < 0:
            raise ValueError(f"Tolerances must be positive, not rtol = {rtol}, atol = {atol}.")
        controller = diffrax.PIDController(rtol=rtol, atol=atol)
        if not isinstance(solver, diffrax.AbstractAdaptiveSolver):
            raise ValueError(
                f"{type(solver).__name__} estimates no error, so steps cannot adapt. Pass "
                "stepsize_controller=diffrax.ConstantStepSize() and dt0=, or wrap it: diffrax.HalfSolver(solver)."
            )
    if isinstance(controller, diffrax.ConstantStepSize) and dt0 is None:
        raise ValueError("diffrax.ConstantStepSize() needs the step: pass dt0=.")
    adapts = isinstance(controller, diffrax.AbstractAdaptiveStepSizeController)
    return StallGuard(controller) if adapts else controller  # pyright: ignore[reportCallIssue]


def _terms(vector_field: Any, t0: Scalar, y0: PyTree, args: PyTree) -> PyTree[diffrax.AbstractTerm]:
    is_term = lambda leaf: isinstance(leaf, diffrax.AbstractTerm)
    leaves = jax.tree.leaves(vector_field, is_leaf=is_term)
    if len(leaves) > 0 and all(is_term(leaf) for leaf in leaves):
        return vector_field
    if not callable(vector_field):
        raise ValueError(f"vector_field must be a function f(t, y, args) or diffrax terms, not {vector_field!r}.")
    derivative = eqx.filter_eval_shape(vector_field, t0, y0, args)
    found = difference(derivative, jax.eval_shape(lambda: y0), "vector_field(t, y, args)")
    if found is not None:
        raise ValueError(f"The vector field must return what y0 looks like, but {found}.")
    return diffrax.ODETerm(vector_field)


def _time_dtype(y0: PyTree) -> Any:
    leaves = jax.tree.leaves(y0)
    with jax.numpy_dtype_promotion("standard"):
        dtype = jnp.result_type(*leaves) if leaves else jnp.result_type(float)
    return jnp.finfo(dtype).dtype


def _refuse_other_than_floats(y0: PyTree) -> None:
    for path, leaf in jtu.tree_leaves_with_path(y0):
        if not is_float(leaf):
            raise ValueError(f"{leaf_name(path, 'y0')} must be a float array, not {leaf!r}.")
