"""`laplace`: the posterior as a Gaussian around the best fit."""

import html

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from .._fit import FitResult
from .._problem import Problem
from .._results import RESULTS
from .._table import html_table, text_table
from ._density import density_of


class LaplacePosterior(eqx.Module):
    r"""A normal distribution of the coordinates $z$, with the curvature $H$ of the cost at its minimum.

    - `mean`: the best fit. `covariance`: $H^{-1}$, in coordinates; zero for those that are held at a bound.
    - `hessian`: $H$. `exact`: whether that is the second derivative, or else the Fisher information.
    - `log_evidence`: of $\log\int e^{-\text{cost}}\,dv$ over the parameters' values $v$, the estimate
      $-\text{cost} + \sum\log\frac{dv}{dz} + \frac d2\log 2\pi - \frac12\log\det H$: for comparing models on the same
      data. NaN where it means nothing: a parameter has no prior, or is held at a bound. A prior of which the bounds
      cut off a share counts as it is, not normalized again: that share is missing from the evidence.
    - `converged`: whether the fit had; if not, `mean` is no minimum.
    """

    problem: Problem
    mean: Float[Array, " p"]
    covariance: Float[Array, "p p"]
    hessian: Float[Array, "p p"]
    log_evidence: float
    held: Bool[np.ndarray, " p"]
    exact: bool = eqx.field(static=True)
    converged: bool = eqx.field(static=True)

    @property
    def names(self) -> tuple[str, ...]:
        """The parameters' names."""
        return self.problem.names

    @property
    def standard_deviations(self) -> dict[str, float]:
        """Of the parameters' values, linearized at the best fit."""
        slope = jax.jvp(self.problem.values, (self.mean,), (jnp.ones_like(self.mean),))[1]
        return dict(zip(self.names, (slope * jnp.sqrt(jnp.diagonal(self.covariance))).tolist(), strict=True))

    def draw(self, num_samples: int, *, key: PRNGKeyArray | None = None) -> Float[Array, "n p"]:
        """Values, in the order of `names`; what would leave the bounds is moved to them."""
        normal = jax.random.normal(jax.random.key(0) if key is None else key, (num_samples, self.mean.size))
        d, v = jnp.linalg.eigh(self.covariance)
        z = self.mean[None, :] + (normal * jnp.sqrt(jnp.maximum(d, 0))[None, :]).astype(d.dtype) @ v.T
        inside = jnp.clip(z, self.problem.lower[None, :], self.problem.upper[None, :])
        return jax.vmap(self.problem.values)(inside)

    def summary(self) -> str:
        """A table: parameter, unit, value, standard deviation, interval of 90 %; and the evidence."""
        return f"{text_table(_HEAD, self._rows(), ('unit', ''))}\n{self._verdict()}"

    def __str__(self) -> str:
        return self.summary()

    def _repr_html_(self) -> str:
        return f"{html_table(_HEAD, self._rows(), ('unit', ''))}<p>{html.escape(self._verdict())}</p>"

    def _rows(self) -> list[tuple[str, ...]]:
        reach = 1.6448536 * jnp.sqrt(jnp.diagonal(self.covariance))
        low, best, high = (np.asarray(self.problem.values(self.mean + sign * reach)) for sign in (-1, 0, 1))
        spread = list(self.standard_deviations.values())
        return [
            (name, unit, f"{best[k]:.5g}", "", "", "", "held")
            if self.held[k]
            else (name, unit, f"{best[k]:.5g}", f"{spread[k]:.2g}", f"{low[k]:.5g}", f"{high[k]:.5g}", "")
            for k, (name, unit) in enumerate(self.problem.layout.labels())
        ]

    def _verdict(self) -> str:
        kind = "exact second derivatives" if self.exact else "Fisher information in place of second derivatives"
        evidence = "" if np.isnan(self.log_evidence) else f", log evidence {self.log_evidence:.2f}"
        doubt = "" if self.converged else " The fit did not converge: this is not the posterior's maximum."
        return f"Gaussian approximation by {kind}{evidence}; `sample` shows how good it is.{doubt}"


_HEAD = ("parameter", "unit", "best", "sd", "5 %", "95 %", "")


def laplace(result: FitResult) -> LaplacePosterior:
    r"""The Gaussian that agrees with the posterior at the best fit up to second derivatives: instant, and often enough.

    The second derivatives are those of the cost in the coordinates searched in (logarithms, for `Log`). Where the
    simulation can be differentiated but once, or they are not positive definite, the Fisher information takes their
    place. Coordinates at a bound are held there.

    Raises ValueError for a problem that has no posterior (plain residuals with noise of unknown size), and for one with
    directions that nothing determines.
    """
    problem, z = result.problem, result.z
    density_of(problem)
    held = np.asarray(result.at_bound)
    free = np.flatnonzero(~held)
    jacobian = np.asarray(result.linearization.jacobian)
    fisher = jacobian.T @ jacobian
    hessian = _second_derivatives(problem, z)
    exact = hessian is not None and _is_definite(hessian[np.ix_(free, free)])
    chosen = hessian if hessian is not None and exact else fisher
    inner = chosen[np.ix_(free, free)]
    if not _is_definite(inner):
        raise ValueError(
            "laplace: there are directions that neither the data nor the priors determine (`identifiability` names "
            "them). Give priors, or fix parameters."
        )
    covariance = np.zeros_like(chosen)
    covariance[np.ix_(free, free)] = np.linalg.inv(inner)
    return LaplacePosterior(
        problem=problem,
        mean=z,
        covariance=jnp.asarray(covariance),
        hessian=jnp.asarray(chosen),
        log_evidence=_log_evidence(result, inner) if not held.any() else float("nan"),
        held=held,
        exact=exact,
        converged=bool(result.result == RESULTS.successful),
    )


def _log_evidence(result: FitResult, hessian: Float[np.ndarray, "p p"]) -> float:
    problem, z = result.problem, result.z
    if any(entry.prior is None for entry in problem.layout.free):
        return float("nan")
    slope = jax.jvp(problem.values, (z,), (jnp.ones_like(z),))[1]
    volume = float(jnp.sum(jnp.log(slope))) + 0.5 * z.size * float(np.log(2 * np.pi))
    return volume - float(result.cost) - 0.5 * float(np.linalg.slogdet(hessian)[1])


def _second_derivatives(problem: Problem, z: Float[Array, " p"]) -> Float[np.ndarray, "p p"] | None:
    """The derivative of the gradient in forward mode, or None where the simulation does not have it."""
    try:
        found = np.asarray(_hessian(problem, z))
    except Exception as error:  # each library refuses a mode in its own way
        if not any(word in str(error).lower() for word in ("custom_vjp", "jvp", "forward", "reverse", "nonetype")):
            raise
        return None
    return 0.5 * (found + found.T)


@eqx.filter_jit
def _hessian(problem: Problem, z: Float[Array, " p"]) -> Float[Array, "p p"]:
    return jax.jacfwd(problem.gradient_by_jacobian)(z)


def _is_definite(matrix: Float[np.ndarray, "d d"]) -> bool:
    """Whether a symmetric matrix, scaled to a unit diagonal, is positive definite to rounding."""
    diagonal = np.diag(matrix)
    if not np.isfinite(matrix).all() or (diagonal <= 0).any():
        return False
    scale = 1 / np.sqrt(diagonal)
    least = np.linalg.eigvalsh(scale[:, None] * matrix * scale[None, :])[0]
    return bool(least > matrix.shape[0] * np.finfo(matrix.dtype).eps)
