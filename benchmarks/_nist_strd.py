"""NIST's 27 regression problems from both starts: digits, and evaluations against SciPy and optimistix.

A function evaluation and a Jacobian count one each. Everybody runs with default options, SciPy's `trf` with
`x_scale="jac"`; optimistix needs tolerances, and computes the Jacobian at every step.
"""

import warnings
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import scipy.optimize
from kinax.solvers._search import advance, LevenbergMarquardt
from tests.nist import Certified, digits, MODELS, read
from tests.solvers.objectives import Residuals

from ._measure import case

MAX_STEPS = 2000


class Found(NamedTuple):
    """What a solver arrived at, and the evaluations it took."""

    parameters: np.ndarray
    evaluations: int


def residuals(b, model, x, y):
    """The deviations from the data."""
    return model(b, x) - y


@eqx.filter_jit
def search(model, x, y, start):
    """Where the search by kinax ends."""
    method = LevenbergMarquardt()
    objective = Residuals(lambda b, data: residuals(b, model, *data), start, (x, y))
    return advance(method, objective, method.init(objective, start), MAX_STEPS).standing


def kinax(c: Certified, start: np.ndarray) -> Found:
    """The search that `fit` makes by default."""
    end = search(c.model, *(jnp.asarray(a) for a in (c.x, c.y, start)))
    return Found(np.asarray(end.z), int(end.num_evaluations + end.num_jacobians))


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
