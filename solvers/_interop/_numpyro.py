"""A problem as a numpyro model."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PyTree

from .._distributions import (
    Beta,
    Gamma,
    HalfNormal,
    Laplace,
    LogNormal,
    LogUniform,
    Normal,
    StudentT,
    Uniform,
)
from .._problem import Problem
from .._types import Scalar

_NATIVE = (Beta, Gamma, HalfNormal, Laplace, LogNormal, LogUniform, Normal, StudentT, Uniform)  # numpyro's own names


def to_numpyro(problem: Problem) -> Callable[[], PyTree]:
    """A numpyro model: a function that samples every free parameter and adds the log likelihood as a factor.

    A site has its parameter's name, and its value, not a coordinate. Parameters without a prior are flat between their
    bounds (`ImproperUniform`), and so are priors that the bounds cut or that numpyro does not have, with their density
    as a factor `NAME_prior`. The model returns the fitted model with the sampled values, so that a model of your own
    can call it and add sites, for predictions say; with `PerExperiment` parameters, a dictionary by experiment.

    Gradients of the likelihood are those of the problem: forward-mode where it is cheaper, zero where a simulation
    fails (and the density there is very small). Needs numpyro: `pip install kinax[interop]`.

    numpyro itself needs JAX's usual dtype promotion, not the strict one.

    Raises ValueError for plain residuals, whose noise is not known.
    """
    try:
        import numpyro
    except ImportError as error:
        raise ImportError("to_numpyro needs numpyro: pip install kinax[interop]") from error
    if problem.is_plain:
        raise ValueError(
            "Plain residuals have no likelihood, because their noise is not known: let residuals return "
            "Observed(values, Normal(predicted, sd)), with sd known or a parameter."
        )
    log_likelihood = _log_likelihood(problem)
    free = problem.layout.free
    sites = {entry.name: _site(numpyro, entry) for entry in free}
    own = any(entry.experiments is not None for entry in free)

    def model() -> PyTree:
        values: dict[str, Any] = {name: numpyro.sample(name, distribution) for name, (distribution, _) in sites.items()}
        for name, (_, prior) in sites.items():
            if prior is not None:
                numpyro.factor(f"{name}_prior", jnp.sum(prior.log_density(values[name])))
        shaped = [jnp.asarray(values[e.name], e.start.dtype).reshape(e.start.shape) for e in free]
        z = jnp.concatenate([jnp.ravel(e.coordinate(x)) for e, x in zip(free, shaped, strict=True)])
        numpyro.factor("log_likelihood", log_likelihood(z))
        return {name: problem.model(z, name) for name in problem.experiments} if own else problem.model(z)

    return model


def _site(numpyro: Any, entry: Any) -> tuple[Any, Any]:
    """What numpyro samples a parameter's value from, and the prior whose density that leaves out."""
    shape = entry.start.shape if entry.experiments is not None else entry.shape
    prior, found = entry.prior, numpyro.distributions
    if prior is not None and type(prior) in _NATIVE and _is_whole(entry):
        return getattr(found, type(prior).__name__)(*vars(prior).values()).expand(shape).to_event(len(shape)), None
    return found.ImproperUniform(_support(numpyro, entry), (), shape), prior


def _is_whole(entry: Any) -> bool:
    """Whether the bounds leave the prior as it is."""
    low, high = entry.prior.support
    return bool(
        np.all(np.asarray(entry.lower) <= np.asarray(low)) & np.all(np.asarray(entry.upper) >= np.asarray(high))
    )


def _support(numpyro: Any, entry: Any) -> Any:
    """The bounds as numpyro's constraint."""
    constraints = numpyro.distributions.constraints
    ends = np.isfinite(entry.lower), np.isfinite(entry.upper)
    if any(end.any() and not end.all() for end in ends):
        raise ValueError(f"Parameter {entry.name!r}: numpyro needs all of its entries to be bounded, or none.")
    bounded = tuple(bool(end.all()) for end in ends)
    if bounded == (True, True):
        return constraints.interval(entry.lower, entry.upper)
    if bounded == (True, False):
        return constraints.greater_than(entry.lower)
    return constraints.less_than(entry.upper) if bounded == (False, True) else constraints.real


def _log_likelihood(problem: Problem) -> Callable[[Float[Array, " p"]], Scalar]:
    """Minus the cost, without the priors, and with the problem's own gradient."""
    prior = problem.layout.log_prior

    @jax.custom_vjp
    def value(z: Float[Array, " p"]) -> Scalar:
        return -problem.evaluate(z).cost - prior(z)

    def forward(z: Float[Array, " p"]) -> tuple[Scalar, Float[Array, " p"]]:
        return value(z), -problem.gradient(z) - jax.grad(prior)(z)

    value.defvjp(forward, lambda gradient, cotangent: (cotangent * gradient,))
    return value
