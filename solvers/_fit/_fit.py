"""`fit`: nonlinear least squares over the parameters of any model."""

from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jaxtyping import Array, Float, PyTree

from .._results import RESULTS
from .._tree import refuse_nonfinite
from ._parameter import Coordinates, coordinates, Parameter
from ._result import FitResult, jacobian, supports_forward


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
      be rejected, an exception would end the fit.
    - `data`: whatever `residuals` takes, finite.
    - `parameters`: which leaves may change; the others stay.
    - `method`: an optimistix least-squares solver, by default `LevenbergMarquardt` as tight as the dtype allows.

    Raises ValueError for a problem that cannot be right, RuntimeError if the search fails and `throw`.
    """
    where = coordinates(model, parameters)
    refuse_nonfinite(data, "data")
    model_arrays, model_rest = eqx.partition(where, eqx.is_array)

    def flat(z, args):
        arrays, data = args
        return _flatten(residuals(eqx.combine(arrays, model_rest).at(z), data)).astype(z.dtype)

    args = (model_arrays, data)
    z0 = where.start()
    _check_start(flat(z0, args), z0)
    if method is None:
        tolerance = where.resolution() ** 0.75
        method = optx.LevenbergMarquardt(rtol=tolerance, atol=tolerance)
    mode = "fwd" if supports_forward(lambda z: flat(z, args), z0) else "bwd"
    found = optx.least_squares(flat, method, z0, args, options={"jac": mode}, max_steps=max_steps, throw=False)
    result = RESULTS.promote(found.result)
    if throw and result != RESULTS.successful:
        raise RuntimeError(f"The fit did not converge in {int(found.stats['num_steps'])} steps: {RESULTS[result]}")
    return _result(where, residuals, data, found.value, lambda z: flat(z, args), result, dict(found.stats))


def _result(where: Coordinates, residuals, data, z, flat, result, stats) -> FitResult:
    model = where.at(z)
    r = flat(z)
    jac = jacobian(flat, z)
    cost = 0.5 * jnp.sum(r**2)
    variance = 2 * cost / max(r.size - z.size, 1)
    covariance_z = variance * _inverse_gram(np.asarray(jac))
    slope = jnp.diagonal(jax.jacfwd(where.values)(z))
    return FitResult(
        model=model,
        residuals=residuals(model, data),
        cost=cost,
        covariance=slope[:, None] * covariance_z * slope[None, :],
        result=result,
        stats={"num_steps": stats["num_steps"]},
        _coordinates=where,
        _z=z,
        _jacobian=jac,
        _covariance_z=covariance_z,
    )


def _inverse_gram(jac: np.ndarray) -> Float[Array, "p p"]:
    """(J^T J)^-1 by singular values; infinite along directions that the residuals do not see."""
    _, s, vt = np.linalg.svd(jac, full_matrices=False)
    seen = s > s.max(initial=0) * max(jac.shape) * np.finfo(jac.dtype).eps
    inverse = (vt[seen].T / s[seen] ** 2) @ vt[seen]
    blind = np.sum(vt[~seen] ** 2, axis=0) > np.sqrt(np.finfo(jac.dtype).eps)
    inverse[np.ix_(blind, blind)] = np.inf
    return jnp.asarray(inverse)


def _flatten(tree: PyTree) -> Float[Array, " n"]:
    return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def _check_start(r: Float[Array, " n"], z: Float[Array, " p"]) -> None:
    if r.size < z.size:
        raise ValueError(f"{r.size} residuals cannot determine {z.size} parameters: fit fewer, or add data.")
    bad = ~np.isfinite(np.asarray(r))
    if bad.any():
        raise ValueError(
            f"{bad.sum()} of {r.size} residuals are NaN or infinite at the starting values (first: number "
            f"{int(np.argmax(bad))}). Start from values at which the simulation succeeds."
        )
