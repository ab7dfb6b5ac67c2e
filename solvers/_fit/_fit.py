"""`fit`: nonlinear least squares over the parameters of any model."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import jax.tree_util as jtu
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float, PyTree

from .._results import RESULTS
from .._tree import is_concrete, is_float, leaf_name, refuse_nonfinite
from ._parameter import coordinates, Parameter
from ._problem import evaluate, forward_mode, Problem, residual_jacobian, search
from ._result import FitResult, unseen


def fit(
    model: PyTree,
    residuals: Callable[[Any, Any], PyTree],
    data: PyTree,
    *,
    parameters: Sequence[Parameter],
    method: optx.AbstractLeastSquaresSolver | None = None,
    max_steps: int = 1000,
    throw: bool = True,
) -> FitResult:
    r"""Minimize $\tfrac12 \sum_i r_i^2$ over the named parameters of `model`.

    - `model`: any PyTree: a simulator, a vector field, a dictionary of several. The search starts from its values.
    - `residuals`: `residuals(model, data)`, an array or PyTree of arrays, each residual in units of its standard
      deviation or all in one unit. Let a simulation inside fail as a value (`throw=False`): a NaN makes a trial step
      be rejected, an exception would end the fit. It is compiled once for all fits with the same function objects
      (`residuals` and every `where`) and shapes, so pass what changes through `model` and `data`: what the function
      closes over is read at its first fit.
    - `data`: whatever `residuals` takes, finite.
    - `parameters`: which leaves may change; the others stay.
    - `method`: an optimistix least-squares solver, by default `LevenbergMarquardt` as tight as the dtype allows.

    Raises ValueError or TypeError for a problem that cannot be right, RuntimeError if the search fails and `throw`.
    """
    if not callable(residuals):
        raise TypeError(f"residuals must be a function residuals(model, data), not {residuals!r}.")
    if not is_concrete((model, data, jnp.zeros(()))):  # under jit even a constant is traced
        raise TypeError(_TRACED)
    where = coordinates(model, parameters)
    refuse_nonfinite(data, "data")
    problem = Problem(where=where, residuals=residuals, data=data)
    z0 = where.start()
    _check_start(evaluate(problem, z0), z0)
    if method is None:
        tolerance = where.resolution() ** 0.75
        method = optx.LevenbergMarquardt(rtol=tolerance, atol=tolerance)
    forward = forward_mode(problem, z0)
    z, ended, num_steps = search(problem, z0, method, forward, max_steps)
    result = RESULTS.promote(ended)
    if throw and result != RESULTS.successful:
        raise RuntimeError(f"The fit did not converge in {int(num_steps)} steps: {RESULTS[result]}")
    return _result(problem, z, residual_jacobian(problem, z, forward), result, {"num_steps": num_steps})


_TRACED = (
    "fit runs outside jit, grad and vmap: its checks and tables need values, but got a traced array. "
    "Inside a transformation call optimistix.least_squares."
)


def _result(problem: Problem, z, jac, result, stats) -> FitResult:
    where = problem.where
    tree = evaluate(problem, z)
    cost = 0.5 * jnp.asarray(sum(jnp.sum(jnp.square(r.astype(z.dtype))) for r in jax.tree.leaves(tree)))
    inverse, blind = _inverse_gram(np.asarray(jac))
    covariance_z = 2 * cost / max(jac.shape[0] - z.size, 1) * inverse
    slope = jnp.diagonal(jax.jacfwd(where.values)(z))
    covariance = slope[:, None] * covariance_z * slope[None, :]
    lost = unseen(blind, jnp.eye(z.size, dtype=z.dtype))
    return FitResult(
        model=where.at(z),
        residuals=tree,
        cost=cost,
        covariance=jnp.where(lost[:, None] & lost[None, :], jnp.inf, covariance),
        result=result,
        stats=stats,
        _coordinates=where,
        _z=z,
        _jacobian=jac,
        _covariance_z=covariance_z,
        _blind=blind,
    )


def _inverse_gram(jac: np.ndarray) -> tuple[Float[Array, "p p"], Float[Array, "k p"]]:
    """The pseudo-inverse of J^T J by singular values, and a basis of the directions that the residuals do not see."""
    n, p = jac.shape
    if n == p or not np.isfinite(jac).all():  # no scatter to take the scale from: nothing is known of any direction
        return jnp.zeros((p, p), jac.dtype), jnp.eye(p, dtype=jac.dtype)
    _, s, vt = np.linalg.svd(jac, full_matrices=False)
    seen = s > s.max(initial=0) * max(jac.shape) * np.finfo(jac.dtype).eps
    return jnp.asarray((vt[seen].T / s[seen] ** 2) @ vt[seen]), jnp.asarray(vt[~seen])


def _check_start(tree: PyTree, z: Float[Array, " p"]) -> None:
    leaves = jtu.tree_leaves_with_path(tree)
    if not sum(np.size(leaf) for _, leaf in leaves):
        raise ValueError(f"residuals(model, data) returned {tree!r}, which holds no number: return an array.")
    for path, leaf in leaves:
        if not is_float(leaf) or jnp.iscomplexobj(leaf):
            kind = getattr(leaf, "dtype", type(leaf).__name__)
            raise ValueError(
                f"{leaf_name(path, 'residuals')} is of type {kind}, but must be an array of real floats: "
                "split complex ones into real and imaginary parts, convert integers."
            )
    if not is_concrete(tree):
        raise TypeError(_TRACED)
    r = np.concatenate([np.ravel(leaf) for _, leaf in leaves])
    if r.size < z.size:
        raise ValueError(f"{r.size} residuals cannot determine {z.size} parameters: fit fewer, or add data.")
    bad = ~np.isfinite(r)
    if bad.any():
        raise ValueError(
            f"{bad.sum()} of {r.size} residuals are NaN or infinite at the starting values (first: number "
            f"{int(np.argmax(bad))}). Start from values at which the simulation succeeds."
        )
