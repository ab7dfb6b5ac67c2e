"""NIST's 27 regression problems from both starts: digits, and evaluations against SciPy and optimistix.

A function evaluation and a Jacobian count one each. Everybody runs with default options, SciPy's `trf` with
`x_scale="jac"`; optimistix needs tolerances, and computes the Jacobian at every step.
"""

import functools
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import scipy.optimize
from kinax.solvers import fit, Parameter
from tests.nist import Certified, digits, MODELS, read

from ._measure import case

MAX_STEPS = 2000


class Found(NamedTuple):
    """What a solver arrived at and the evaluations it took; standard errors and sum of squares, if it tells."""

    parameters: np.ndarray
    evaluations: int
    standard_errors: np.ndarray | None = None
    rss: float | None = None


def residuals(b, model, x, y):
    """The deviations from the data."""
    return model(b, x) - y


@functools.cache
def for_fit(name: str) -> Callable[[Any, Any], Any]:
    """The residuals as `fit` takes them: the same function for both starts, so that the second compiles nothing."""
    return lambda b, data: residuals(b, MODELS[name], *data)


def kinax(c: Certified, start: np.ndarray) -> Found:
    """`fit` as it is."""
    everything = [Parameter(lambda b: b, name="b")]
    model = jnp.asarray(start)
    end = fit(model, for_fit(c.name), (c.x, c.y), parameters=everything, max_steps=MAX_STEPS, throw=False)
    return Found(
        parameters=np.array(list(end.values.values())),
        evaluations=end.stats["num_evaluations"] + end.stats["num_jacobians"],
        standard_errors=np.array(list(end.standard_errors.values())),
        rss=2 * float(end.cost),
    )


def scipy_trf(c: Certified, start: np.ndarray) -> Found:
    """SciPy's trust-region reflective method."""
    function = jax.jit(lambda b: residuals(b, c.model, c.x, c.y))
    jacobian = jax.jit(jax.jacfwd(function))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overflows at trial points
        end = scipy.optimize.least_squares(
            lambda b: np.asarray(function(b)),
            start,
            lambda b: np.asarray(jacobian(b)),  # pyright: ignore[reportArgumentType]
            method="trf",
            x_scale="jac",
        )
    return Found(end.x, end.nfev + end.njev)


def optimistix(c: Certified, start: np.ndarray) -> Found:
    """Optimistix's Levenberg-Marquardt."""
    solver = optx.LevenbergMarquardt(rtol=1e-10, atol=1e-10)
    function = lambda b, args: residuals(b, c.model, c.x, c.y)
    end = optx.least_squares(function, solver, jnp.asarray(start), max_steps=MAX_STEPS, throw=False)
    return Found(np.asarray(end.value), 2 * int(end.stats["num_steps"]))


def lre(c: Certified, found: Found) -> dict[str, Any]:
    """How many digits agree with what NIST certifies."""
    deviations = np.asarray(residuals(found.parameters, c.model, c.x, c.y))
    jacobian = np.asarray(jax.jacfwd(residuals)(jnp.asarray(found.parameters), c.model, c.x, c.y))
    rss, norms = float(deviations @ deviations), np.linalg.norm(jacobian, axis=0)
    with np.errstate(all="ignore"):
        inverse = np.linalg.pinv(np.linalg.qr(np.nan_to_num(jacobian / norms), mode="r"))
        errors = np.sqrt(rss / (len(c.y) - len(norms)) * np.sum(inverse**2, axis=1)) / norms
    errors = errors if found.standard_errors is None else found.standard_errors
    rss = rss if found.rss is None else found.rss
    return {
        "lre_parameters": round(digits(found.parameters, c.parameters), 2),
        "lre_standard_errors": round(digits(errors, c.standard_errors), 2),
        "lre_rss": round(digits(rss, c.rss), 2),
    }


def run() -> list[dict[str, Any]]:
    """A case per problem and start, then the sums."""
    peers = {"scipy trf": scipy_trf, "optimistix LM": optimistix}
    rows = []
    for name in MODELS:
        c = read(name)
        for number, start in enumerate(c.starts, 1):
            ours, theirs = kinax(c, start), {peer: solve(c, start) for peer, solve in peers.items()}
            counts = {peer: found.evaluations for peer, found in theirs.items()}
            digits_of_peers = {peer: lre(c, found)["lre_parameters"] for peer, found in theirs.items()}
            rows.append(
                case(
                    f"{name} start {number}",
                    "function and Jacobian evaluations",
                    ours.evaluations,
                    counts,
                    **lre(c, ours),
                    evaluations={"kinax": ours.evaluations, **counts},
                    lre_parameters_of_peers=digits_of_peers,
                )
            )
    return [*rows, summary(rows, list(peers))]


def summary(rows: list[dict[str, Any]], peers: list[str]) -> dict[str, Any]:
    """The sum of the evaluations, and how many searches have six digits in every parameter."""
    solved = {peer: sum(row["lre_parameters_of_peers"][peer] >= 6 for row in rows) for peer in peers}
    return case(
        "all",
        "function and Jacobian evaluations",
        sum(row["kinax"] for row in rows),
        {peer: sum(row["peers"][peer] for row in rows) for peer in peers},
        six_digits={"kinax": sum(row["lre_parameters"] >= 6 for row in rows), **solved},
        standard_errors_four_digits=sum(row["lre_standard_errors"] >= 4 for row in rows),
        rss_six_digits=sum(row["lre_rss"] >= 6 for row in rows),
    )
