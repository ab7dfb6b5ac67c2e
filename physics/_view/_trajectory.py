"""What may be given as a trajectory, and where the bodies are along it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...solvers import Solution
from .._mechanism import Mechanism
from .._spatial import Pose


def times_and_states(trajectory: Any) -> tuple[np.ndarray, Any]:
    """The times (t,) and the states of a `Solution` or a pair; what follows the end of an event is left out."""
    if isinstance(trajectory, Solution):
        ts, ys = trajectory.ts, trajectory.ys
    elif isinstance(trajectory, tuple) and len(trajectory) == 2:
        ts, ys = trajectory
    else:
        raise ValueError(
            f"A trajectory is a Solution or a pair (ts, ys), not {type(trajectory).__name__}: "
            "pass what `integrate` or `rollout` returned, or (ts, q) with q of shape (t, nq)."
        )
    ts = np.asarray(ts)
    if ts.ndim != 1 or ts.size == 0:
        raise ValueError(
            f"The times have shape {ts.shape}, expected (t,) with t > 0. Of a family of trajectories take one: "
            "`jax.tree.map(lambda x: x[0], solution)`."
        )
    reached = np.isfinite(ts)
    if not reached[0] or np.any(np.diff(ts[reached]) < 0):
        raise ValueError("The times of a trajectory are finite and do not decrease.")
    return ts[reached], jax.tree.map(lambda x: np.asarray(x)[reached], ys)


def coordinates(mechanism: Mechanism, trajectory: Any) -> tuple[np.ndarray, np.ndarray]:
    """The times (t,) and the coordinates (t, nq)."""
    ts, ys = times_and_states(trajectory)
    return ts, column(mechanism, ts, ys.q if hasattr(ys, "q") else ys, "q", mechanism.topology.nq)


def column(mechanism: Mechanism, ts: np.ndarray, x: Any, name: str, size: int) -> np.ndarray:
    """The coordinates or velocities (t, size), checked."""
    x = np.asarray(x)
    if x.shape != (ts.size, size):
        joints = ", ".join(joint.name for joint in mechanism.topology.joints)
        raise ValueError(
            f"{name} of the trajectory has shape {x.shape}, expected ({ts.size}, {size}): a row for each time, a "
            f"number for each coordinate of the joints {joints}."
        )
    bad = ~np.isfinite(x).all(axis=1)
    if bad.any():
        raise ValueError(
            f"{name} of the trajectory is not finite from t = {ts[np.argmax(bad)]:.6g} on: the run failed there. Cut "
            "it before that time, and look at `solution.result`."
        )
    return x


def poses_of(mechanism: Mechanism, q: Any) -> Pose:
    """NumPy arrays (t, nb, 3) and (t, nb, 4)."""
    return jax.tree.map(np.asarray, _poses(mechanism, jnp.asarray(q, mechanism.rest.dtype)))


@eqx.filter_jit
def _poses(mechanism: Mechanism, q: Array) -> Pose:
    return jax.vmap(lambda one: mechanism.poses(one))(q)
