"""`profile`: how far each parameter can go while all others do their best."""

import warnings
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy
from jaxtyping import Array, Float

from .._fit import FitResult
from .._fit._machine import Machine
from .._problem import Problem
from .._programs import seldom_collecting
from .._search import LevenbergMarquardt
from ._profiles import Profile, Profiles
from ._walk import AT_BOUND, FAILED, FLAT, Lane, OUT_OF_POINTS, Walker

_CAPACITY = 6  # points of a walk for each one that is planned


@seldom_collecting()
def profile(
    result: FitResult,
    *,
    names: Sequence[str] | None = None,
    level: float = 0.95,
    num_points: int = 8,
    reach: float = 10.0,
    max_steps: int = 100,
    batch_size: int = 8,
    devices: Sequence[Any] | None = None,
) -> Profiles:
    r"""Profile likelihoods, and the confidence intervals that they cut out, of all parameters at once.

    The profile of $\theta_k$ is $c_k(v) = \min \{c(\theta) : \theta_k = v\}$. The interval ends where
    $c_k(v) - c^* = \Delta$: by the likelihood-ratio test, $2\Delta = \chi^2_1(\text{level})$; for plain residuals,
    whose noise is only known by their scatter, $\Delta = c^* F_{1, N-p}(\text{level}) / (N - p)$. Unlike a standard
    error it knows of curvature, bounds and what is not determined at all. (A. Raue et al., Bioinformatics 25, 1923
    (2009), doi:10.1093/bioinformatics/btp358; D. M. Bates and D. G. Watts, Nonlinear Regression Analysis, 1988.)

    From the optimum a walk goes either way along each coordinate: the coordinate is held, the others are fitted again
    by `LevenbergMarquardt`, beginning where the path so far points to. Walks run side by side in one program.

    - `names`: which parameters (or entries of them); by default all.
    - `num_points`: about how many points from the optimum to either end.
    - `reach`: how far a walk goes that does not rise, in units of the value's size, its distance from the model's own
      value, or the linearized half-width, whichever is largest (for a `Log` parameter: in units of its logarithm).
    - `max_steps`: of each fit on the way.
    - `batch_size`: walks that run in lock-step; batches spread over the cores and `devices` (by default all). On an
      accelerator take twice the number of parameters.

    A walk that meets a bound, a region where the simulation fails, or no rise within reach ends there, and its end of
    the interval says so. If a walk finds a lower cost than the fit's, it warns and gives the point as `better`.

    Raises ValueError for unknown names, a level outside (0, 1), and plain residuals without degrees of freedom;
    RuntimeError if `residuals` raised at some point.
    """
    problem = result.problem
    chosen = _chosen(problem, names)
    threshold = _threshold(result, level)
    if num_points < 2 or max_steps < 1 or not reach > 0:
        raise ValueError(
            f"num_points must be at least 2, max_steps and reach positive, not {num_points}, {max_steps} and {reach}."
        )
    lanes = _lanes(result, chosen, threshold, reach)
    walker = Walker(
        objective=problem,
        method=LevenbergMarquardt(rtol=1e-6),
        z=result.z,
        cost=result.cost,
        threshold=jnp.asarray(threshold, result.z.dtype),
        num_points=num_points,
        capacity=_CAPACITY * num_points,
        max_steps=max_steps,
    )
    machine = Machine(min(batch_size, len(lanes.coordinate)), devices)
    walks = machine.run(walker, lanes, lambda walks: walks.offset[:, 0])
    profiles = _profiles(result, chosen, walks, level, threshold)
    if profiles.better is not None:
        warnings.warn(profiles.remark(), stacklevel=3)  # beyond the decorator
    return profiles


def _chosen(problem: Problem, names: Sequence[str] | None) -> list[int]:
    """The numbers of the coordinates that are named, singly or by their parameter."""
    labels = problem.names
    if names is None:
        return list(range(len(labels)))
    if isinstance(names, str):
        raise ValueError(f"names must be a sequence of names: write [{names!r}].")
    owners = [entry.name for entry in problem.layout.free for _ in range(entry.size)]
    unknown = sorted(set(names) - set(labels) - set(owners))
    if unknown:
        raise ValueError(f"names holds {unknown}, but the parameters are {list(labels)}.")
    return [k for k, pair in enumerate(zip(labels, owners, strict=True)) if set(pair) & set(names)]


def _threshold(result: FitResult, level: float) -> float:
    """The cost difference at the end of an interval."""
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, not {level}.")
    if not result.problem.is_plain:
        return float(scipy.special.ndtri(0.5 + level / 2)) ** 2 / 2
    free = result.degrees_of_freedom
    if free < 1 or not float(result.cost) > 0:
        raise ValueError(
            f"The noise of plain residuals is known by their scatter, but this fit has {free} degrees of freedom and "
            f"cost {float(result.cost):g}. State the noise: return Observed(values, Normal(predicted, sd))."
        )
    return float(result.cost) * float(scipy.special.stdtrit(free, 0.5 + level / 2)) ** 2 / free


def _lanes(result: FitResult, chosen: list[int], threshold: float, reach: float) -> Lane:
    """Both ways along each coordinate, with the linearized optimum's advice for the first step."""
    z = np.asarray(result.z)
    jacobian: Any = np.linalg.qr(np.asarray(result.linearization.jacobian), mode="r")
    gradient = np.asarray(result.linearization.gradient)
    value = np.asarray(result.problem.values(result.z))
    slope = np.diagonal(np.asarray(jax.jacfwd(result.problem.values)(result.z)))
    begun = np.asarray(result.problem.start())
    rows = []
    for k in chosen:
        others = ~result.at_bound & (np.arange(z.size) != k)
        tangent = np.zeros_like(z)
        tangent[k] = 1
        tangent[others] = np.linalg.lstsq(jacobian[:, others], -jacobian[:, k], rcond=None)[0]
        curvature = np.sum((jacobian @ tangent) ** 2)
        seen = curvature > 1e-12 * np.sum(jacobian[:, k] ** 2)
        width = np.sqrt(2 * threshold / curvature) if seen else 0.0
        size = max(abs(value[k] / slope[k]) if slope[k] != 0 else 0.0, abs(z[k] - begun[k])) or 1.0
        for direction in (-1.0, 1.0):
            outward = max(direction * gradient[k], 0.0) if result.at_bound[k] else 0.0
            rows.append((k, direction, tangent, outward, curvature, reach * max(width, size)))
    columns = [jnp.asarray(np.asarray(column, z.dtype)) for column in zip(*rows, strict=True)]
    return Lane(columns[0].astype(jnp.int32), *columns[1:])


def _profiles(result: FitResult, chosen: list[int], walks: Any, level: float, threshold: float) -> Profiles:
    """The walks, two by two, as profiles."""
    problem = result.problem
    values = np.asarray(_values(problem, jnp.asarray(walks.z)))
    ends = _ends(result, chosen, walks)
    labels = problem.layout.labels()
    drop = np.where(np.isfinite(walks.cost), float(result.cost) - walks.cost, 0)
    found = np.unravel_index(int(np.argmax(drop)), drop.shape)
    is_lower = drop[found] > 1e-4 * threshold + 8 * np.finfo(walks.z.dtype).eps * abs(float(result.cost))
    profiles = []
    for i, k in enumerate(chosen):
        pieces = []
        for lane, turn in ((2 * i, slice(None, 0, -1)), (2 * i + 1, slice(None))):
            order = np.argsort(walks.offset[lane][: walks.count[lane]], kind="stable")[turn]
            pieces.append((walks.cost[lane][order], values[lane][order]))
        cost, path = (np.concatenate(both) for both in zip(*pieces, strict=True))
        profiles.append(
            Profile(
                name=labels[k][0],
                unit=labels[k][1],
                value=float(values[2 * i, 0, k]),
                values=path[:, k],
                costs=cost - float(result.cost),
                path=path,
                interval=(ends[2 * i], ends[2 * i + 1]),
                reasons=(int(walks.reason[2 * i]), int(walks.reason[2 * i + 1])),
                failures=(int(walks.failure[2 * i]), int(walks.failure[2 * i + 1])),
                unfinished=int(walks.unfinished[2 * i : 2 * i + 2].sum()),
            )
        )
    return Profiles(
        profiles=tuple(profiles),
        names=problem.names,
        level=level,
        threshold=threshold,
        num_evaluations=int(walks.evaluations.sum()),
        drop=float(drop[found]) if is_lower else 0.0,
        better=_by_name(problem, walks.z[found]) if is_lower else None,
    )


def _ends(result: FitResult, chosen: list[int], walks: Any) -> list[float]:
    """The values at which the intervals end: infinitely far where the profile stays flat, NaN where it is not known."""
    z, lower, upper = (np.asarray(x) for x in (result.z, result.problem.lower, result.problem.upper))
    rows = []
    for lane, (reason, end) in enumerate(zip(walks.reason, walks.end, strict=True)):
        k, direction = chosen[lane // 2], (-1, 1)[lane % 2]
        far = np.inf if reason in (AT_BOUND, FLAT) else np.nan if reason in (FAILED, OUT_OF_POINTS) else end
        rows.append(z.copy())
        rows[-1][k] = np.clip(z[k] + direction * far, lower[k], upper[k])
    values = np.asarray(_values(result.problem, jnp.asarray(np.stack(rows))))
    return [float(values[lane, chosen[lane // 2]]) for lane in range(len(rows))]


@eqx.filter_jit
def _values(problem: Problem, z: Float[Array, "*batch p"]) -> Float[Array, "*batch p"]:
    """The parameters' values at many points."""
    flat = jax.vmap(problem.values)(z.reshape(-1, z.shape[-1]))
    return flat.reshape(z.shape)


def _by_name(problem: Problem, z: Any) -> dict[str, np.ndarray]:
    """Values by parameter, as `UserStarts` takes them."""
    return {name: np.asarray(value) for name, value in problem.layout.by_name(jnp.asarray(z)).items()}
