"""`lyapunov_exponent`: how fast neighboring trajectories separate."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from .._adjoint import Forward, Unrolled
from .._integrate import integrate
from .._results import RESULTS
from .._rollout import rollout
from .._simulator import AbstractSimulator
from .._solution import finish, Solution, TimeState
from .._tree import is_concrete, is_float, refuse_nonfinite
from .._types import inexact_asarray, RealScalarLike, Scalar

_BLOCKS = 20  # whose scatter gives the error


class LyapunovExponent(eqx.Module):
    """What `lyapunov_exponent` found.

    - `value`, `error`: the exponent [1/time] and its standard error.
    - `ts`, `growth`: times since the start, and the logarithm of the tangent's growth up to each; `growth / ts`
      shows how the estimate settles.
    - `state`: the last state (a `TimeState` for a vector field).
    - `stats`: `num_steps`.
    - `result`: how the run ended; NaN are in `value` and `error` unless it is `successful`.
    """

    value: Scalar
    error: Scalar
    ts: Float[Array, " n"]
    growth: Float[Array, " n"]
    state: PyTree
    stats: dict[str, Any]
    result: RESULTS

    def __str__(self) -> str:
        return f"largest Lyapunov exponent {self.value:.4g} +- {self.error:.1g} (over a time of {self.ts[-1]:.4g})"


def lyapunov_exponent(
    dynamics: Callable[..., PyTree],
    y0: PyTree,
    horizon: RealScalarLike,
    *,
    discard: float = 0.1,
    intervals: int = 1000,
    solver: diffrax.AbstractSolver | None = None,
    rtol: RealScalarLike = 1e-6,
    atol: RealScalarLike = 1e-8,
    key: PRNGKeyArray | None = None,
    throw: bool = True,
) -> LyapunovExponent:
    r"""The largest Lyapunov exponent, $\lambda = \lim_{t\to\infty} \frac1t \ln\frac{|v(t)|}{|v(0)|}$ [1/time].

    $v$ is a tangent: $\dot v = (\partial f/\partial y)\, v$ along $\dot y = f(t, y)$, or
    $v_{k+1} = (\partial f/\partial s)\, v_k$ along $s_{k+1} = f(s_k)$. It is propagated in forward mode with the state,
    and its length is set back to one after every interval (Benettin's method), so it neither overflows nor vanishes.
    Positive: neighbors separate, and gradients grow, as $e^{\lambda t}$. Negative: they converge.

    - `dynamics`: an `AbstractSimulator`, or else a vector field `f(t, y, args)`, called with `args = None`.
    - `y0`: the initial state. Integers and keys in it, and the time of a `TimeState`, are not perturbed; floats that
      never change (a box, say) are, and contribute an exponent of zero.
    - `horizon`: for a vector field a time; for a simulator a number of steps (of `dt` each).
    - `discard`: the fraction of it during which state and tangent settle, which does not count. With zero the result
      is the mean growth on the way from `y0`, a finite-time exponent.
    - `intervals`: into how many the horizon of a vector field is cut; the tangent may grow or shrink by $10^4$ in
      each. The steps of a simulator are recorded in as many groups, and those left over are not made.
    - `solver`, `rtol`, `atol`: how a vector field is integrated, tangent included; as in `integrate`.
    - `key`: of the first tangent's direction.
    - `throw`: raise if the run fails; otherwise look at `result`.

    The error is the standard error of the mean over 20 blocks of time, or, if the two halves differ by more than that
    scatter explains, their difference: growth by a power of time, as in integrable motion, is so shown to be
    compatible with zero.

    Raises ValueError for input that cannot be right, RuntimeError if the run fails and `throw`.

    Source: G. Benettin, L. Galgani, A. Giorgilli and J.-M. Strelcyn, Meccanica 15, 9 (1980), doi:10.1007/BF02128236.
    """
    _check(dynamics, horizon, discard, intervals)
    if isinstance(dynamics, AbstractSimulator):
        refuse_nonfinite(y0, "y0")
        extended, state, every, n = _steps(dynamics, y0, int(horizon), intervals)
    else:
        y0 = jax.tree.map(inexact_asarray, y0)
        refuse_nonfinite(y0, "y0")
        dtype = _real_dtype(y0)
        span = jnp.asarray(horizon, dtype) / intervals
        extended = _Flow(dynamics, span, solver, (jnp.asarray(rtol, dtype), jnp.asarray(atol, dtype)))
        state, every, n = TimeState(t=jnp.zeros((), dtype), y=y0), 1, intervals
    start = _start(state, jax.random.key(0) if key is None else key)
    run = rollout(extended, start, n, save_every=every, observe=_growth, adjoint=Unrolled(), throw=False)
    return _conclude(finish(_relabeled(run, extended.duration), throw), discard)


def _check(dynamics: Any, horizon: Any, discard: float, intervals: int) -> None:
    if not callable(dynamics):
        raise ValueError(f"dynamics must be a simulator or a vector field f(t, y, args), not {dynamics!r}.")
    if not 0 <= discard < 1:
        raise ValueError(f"discard must be a fraction of the horizon, at least 0 and below 1, not {discard}.")
    if intervals < 2:
        raise ValueError(f"intervals must be at least 2, not {intervals}.")
    if isinstance(dynamics, AbstractSimulator):
        if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 2:
            raise ValueError(f"horizon of a simulator must be a number of steps, an integer >= 2, not {horizon!r}.")
    elif is_concrete(horizon) and not 0 < horizon < np.inf:
        raise ValueError(f"horizon must be a positive time, not {horizon}.")


def _relabeled(run: Solution, duration: Array) -> Solution:
    """The extended run as one of the dynamics: its times, last state, steps and verdict."""
    last = run.state
    ts = jnp.asarray(run.ts, run.ys.dtype) * duration.astype(run.ys.dtype)
    result = RESULTS.where(last.result == RESULTS.successful, run.result, last.result)
    return Solution(ts=ts, ys=run.ys, state=last.state, stats={"num_steps": last.num_steps}, result=result)


def _conclude(run: Solution, discard: float) -> LyapunovExponent:
    value, error = _estimate(run.ts, run.ys, discard)
    ended = run.result == RESULTS.successful
    value, error = jnp.where(ended, value, jnp.nan), jnp.where(ended, error, jnp.nan)
    return LyapunovExponent(value, error, run.ts, run.ys, run.state, run.stats, run.result)


class _Extended(NamedTuple):
    """A state, a tangent of length one, and the logarithm of how much it would have grown."""

    state: PyTree
    tangent: PyTree
    growth: Scalar
    result: RESULTS
    num_steps: Array


def _growth(extended: _Extended) -> Scalar:
    return extended.growth


class _Steps(eqx.Module):
    """One step of a simulator, with a tangent."""

    simulator: AbstractSimulator

    @property
    def duration(self) -> Array:
        return jnp.asarray(self.simulator.dt)

    def __call__(self, extended: _Extended) -> _Extended:
        moving, still = eqx.partition(extended.state, is_float)
        advance = lambda moving: eqx.partition(self.simulator(eqx.combine(moving, still)), is_float)
        moving, tangent, still = jax.jvp(advance, (moving,), (extended.tangent,), has_aux=True)
        return _renormalized(extended, eqx.combine(moving, still), tangent, RESULTS.successful, 1)


class _Flow(eqx.Module):
    """An interval of a differential equation, with a tangent."""

    vector_field: Callable[..., PyTree]
    duration: Scalar
    solver: diffrax.AbstractSolver | None
    tolerances: tuple[Scalar, Scalar]

    def __call__(self, extended: _Extended) -> _Extended:
        t, tangent = extended.state.t, extended.tangent.y
        rtol, atol = self.tolerances
        flat, unravel = ravel_pytree((extended.state.y, tangent))  # one array compiles faster than a tree of scalars

        def rate(t, flat, args):
            state, tangent = unravel(flat)
            return ravel_pytree(jax.jvp(lambda y: self.vector_field(t, y, args), (state,), (tangent,)))[0]

        solution = integrate(
            rate,
            flat,
            jnp.stack([t, t + self.duration]),
            solver=self.solver,
            rtol=rtol,
            atol=atol,
            adjoint=Forward(),
            throw=False,
        )
        y, tangent = unravel(solution.state.y)
        steps = solution.stats["num_steps"]
        state = TimeState(t=t + self.duration, y=y)
        tangent = TimeState(t=extended.tangent.t, y=tangent)
        return _renormalized(extended, state, tangent, solution.result, steps)


def _renormalized(before: _Extended, state: PyTree, tangent: PyTree, result: RESULTS, steps: Any) -> _Extended:
    length = jnp.maximum(_length(tangent), jnp.finfo(before.growth.dtype).tiny)  # a superstable orbit kills the tangent
    return _Extended(
        state=state,
        tangent=jax.tree.map(lambda v: v / length.astype(v.dtype), tangent),
        growth=before.growth + jnp.log(length).astype(before.growth.dtype),
        result=RESULTS.where(before.result == RESULTS.successful, result, before.result),
        num_steps=before.num_steps + jnp.asarray(steps, before.num_steps.dtype),
    )


def _length(tangent: PyTree) -> Scalar:
    """The Euclidean norm over all leaves."""
    squares = [jnp.sum(jnp.abs(v) ** 2) for v in jax.tree.leaves(tangent)]
    return jnp.sqrt(functools.reduce(jnp.add, squares))


def _start(state: PyTree, key: PRNGKeyArray) -> _Extended:
    leaves, structure = jax.tree.flatten(eqx.filter(state, is_float))
    keys = jax.random.split(key, len(leaves))
    tangent = [jax.random.normal(k, x.shape, x.dtype) for k, x in zip(keys, leaves, strict=True)]
    tangent = jax.tree.unflatten(structure, tangent)
    if isinstance(state, TimeState):  # time is not a coordinate: all neighbors start at the same
        tangent = eqx.tree_at(lambda s: s.t, tangent, replace_fn=jnp.zeros_like)
    blank = _Extended(state, tangent, jnp.zeros((), _real_dtype(state)), RESULTS.successful, jnp.asarray(0))
    extended = _renormalized(blank, state, tangent, RESULTS.successful, 0)
    return extended._replace(growth=blank.growth)


def _steps(simulator: AbstractSimulator, y0: PyTree, n: int, intervals: int) -> tuple[_Steps, PyTree, int, int]:
    every = max(1, n // intervals)
    state = jax.tree.map(lambda x: x if eqx.is_array(x) else jnp.asarray(x), y0)
    return _Steps(simulator), state, every, n // every * every


def _real_dtype(tree: PyTree) -> Any:
    dtypes = [leaf.dtype for leaf in jax.tree.leaves(tree) if is_float(leaf)]
    if not dtypes:
        raise ValueError("y0 has no float array: there is nothing to perturb.")
    return jnp.finfo(np.result_type(*dtypes)).dtype


def _estimate(ts: Float[Array, " n"], growth: Float[Array, " n"], discard: float) -> tuple[Scalar, Scalar]:
    """The mean rate of growth after the transient, and its error."""
    first = min(int(discard * len(ts)), len(ts) - 2)
    ts, growth = (jnp.concatenate([jnp.zeros(1, x.dtype), x])[first:] for x in (ts, growth))

    def rates(blocks):
        edges = np.linspace(0, len(ts) - 1, blocks + 1).round().astype(int)
        return jnp.diff(growth[edges]) / jnp.diff(ts[edges])

    blocks = min(_BLOCKS, len(ts) - 1)
    scatter = jnp.var(rates(blocks), ddof=1) / blocks
    halves = rates(2)
    drift = (halves[1] - halves[0]) ** 2
    return rates(1)[0], jnp.sqrt(scatter + jnp.maximum(drift - 4 * scatter, 0))
