"""`estimate`: the best fit as a differentiable function of the data, and of all else that a problem holds."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from .._codes import as_result, code_of
from .._implicit import Implicit
from .._problem import Problem
from .._results import RESULTS
from .._search import AbstractMethod, advance, LevenbergMarquardt
from .._types import Scalar


class Estimate(eqx.Module):
    """The best point of a problem, as arrays that can be differentiated.

    - `z`: in the problem's coordinates; `values`: the parameters' values, in the order of `problem.names`.
    - `cost`: the cost there. `at_bound`: which coordinates a bound holds. `result`: how the search ended.
    """

    z: Float[Array, " p"]
    values: Float[Array, " p"]
    cost: Scalar
    at_bound: Bool[Array, " p"]
    result: RESULTS


@eqx.filter_jit
def estimate(
    problem: Problem,
    *,
    method: AbstractMethod | None = None,
    max_steps: int = 1000,
    implicit: Implicit = Implicit(),  # noqa: B008
) -> Estimate:
    r"""The best fit under `jit`, `vmap` and differentiation: a fit of a fit, or how the data move the parameters.

    The search is not differentiated; its end is, by the implicit function theorem. Coordinates that a bound holds move
    with the bound, the others so that the gradient stays zero:
    $\mathrm{d}z_F = -H_{FF}^{-1}(\partial_\theta g_F\,\mathrm{d}\theta + H_{FB}\,\mathrm{d}z_B)$ with the exact second
    derivatives $H$ of the cost, not the Gauss-Newton ones.

    With respect to every float array of the problem: data, values of the model that are not searched for, bounds,
    priors, the scale of a loss. The derivative is NaN where it does not exist or is not known: the search did not
    converge, the minimum is not isolated, or a bound is met with zero gradient (a kink).

    - `method`: as in `fit`, but of kinax's own. `max_steps`: of the search.
    - `implicit`: its tolerances say how near the point found must be to the minimum, its solver solves with $H$.

    Forward mode whenever the simulation has it; reverse mode if it can be differentiated forward and then in reverse.
    """
    arrays, rest = eqx.partition(problem, eqx.is_inexact_array)
    constant = eqx.combine(jax.lax.stop_gradient(arrays), rest)
    chosen = LevenbergMarquardt() if method is None else method
    last = advance(chosen, constant, chosen.init(constant, constant.start()), max_steps, max_steps).standing
    below, above = last.z <= constant.lower, last.z >= constant.upper
    gradient = jax.lax.stop_gradient(constant.gradient(last.z))
    held = (below & (gradient > 0)) | (above & (gradient < 0)) | (constant.lower >= constant.upper)

    def conditions(z: Float[Array, " p"], arrays: PyTree) -> Float[Array, " p"]:
        moving = eqx.combine(arrays, rest)
        bound = jnp.where(below, moving.lower, moving.upper)
        return jnp.where(held, z - jnp.where(held, bound, 0), moving.gradient_by_jacobian(z))

    kink = jnp.any((below | above) & ~held)
    hessian = jax.jacfwd(lambda z: conditions(z, jax.lax.stop_gradient(arrays)))(last.z)
    loose = _is_blind(constant.linearize(last.z).jacobian, held) & _is_singular(hessian)
    lost = (last.verdict != 0) | ~last.done | kink | loose
    z = implicit.root(conditions, last.z, jax.tree.map(lambda x: _without_derivative_if(lost, x), arrays))
    return Estimate(
        z=z,
        values=problem.values(z),
        cost=problem.evaluate(z).cost,
        at_bound=below | above,
        result=as_result(jnp.where(last.done, last.verdict, code_of(RESULTS.nonlinear_max_steps_reached))),
    )


def _is_blind(jacobian: Float[Array, "n p"], held: Bool[Array, " p"]) -> Bool[Array, ""]:
    """Whether some direction of the coordinates that are not held leaves the linearized data alone."""
    norms = jnp.sqrt(jnp.sum(jacobian**2, axis=0))
    unit = jnp.where(held[None], 0, jacobian / jnp.where(norms > 0, norms, 1)[None])
    s = jnp.linalg.svdvals(jnp.concatenate([unit, jnp.diag(held.astype(unit.dtype))]))
    return s.min() <= s.max() * max(jacobian.shape) * jnp.finfo(s.dtype).eps


def _is_singular(hessian: Float[Array, "p p"]) -> Bool[Array, ""]:
    """Whether it is, up to what the gradient left by a search adds, in units in which its diagonal is one."""
    root = jnp.sqrt(jnp.abs(jnp.diagonal(hessian)))
    scale = 1 / jnp.where(root > 0, root, 1)
    s = jnp.linalg.svdvals(scale[:, None] * hessian * scale[None, :])
    return s.min() <= s.max() * jnp.finfo(s.dtype).eps ** 0.5


@jax.custom_jvp
def _without_derivative_if(lost: Bool[Array, ""], x: Float[Array, "..."]) -> Float[Array, "..."]:
    """`x`, with a NaN derivative if `lost`."""
    return x


@_without_derivative_if.defjvp
def _without_derivative_if_jvp(primals, tangents):
    lost, x = primals
    return x, tangents[1] * jnp.where(lost, jnp.nan, 1.0).astype(x.dtype)
