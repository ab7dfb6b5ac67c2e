"""The lynx-hare posterior of posteriordb (hudson_lynx_hare-lotka_volterra): its model, priors, and reference draws."""

import json
import os
import pathlib
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from kinax.physics import LotkaVolterra
from kinax.solvers import Forward, integrate, Log, LogNormal, Normal, Observed, Parameter, parameter, Problem

DEFAULT = pathlib.Path(__file__).parents[2] / "shared" / "data"
FILE = pathlib.Path(os.environ.get("KINAX_REFERENCE_DATA", DEFAULT)) / "lynx-hare" / "hudson_lynx_hare.json"

NAMES = ("theta1", "theta2", "theta3", "theta4", "z_init1", "z_init2", "sigma[0]", "sigma[1]")
MEANS = np.array([0.546864, 0.0277473, 0.800095, 0.0240859, 34.0352, 5.93590, 0.248057, 0.251017])
# known to the digits given, from the reference's second moments
STANDARD_DEVIATIONS = np.array([0.063, 0.0042, 0.089, 0.0035, 2.92, 0.53, 0.043, 0.044])
REFERENCE_DRAWS = 10_000


class Ecosystem(eqx.Module):
    """Rates, populations in year 0, and the standard deviations of the logarithms of the counts."""

    system: LotkaVolterra
    start: LotkaVolterra.State
    sigma: Any = parameter()


def residuals(model, data):
    """Counts of both species, lognormal around the populations, in year 0 too."""
    ts, counts = data
    solution = integrate(model.system, model.start, ts, rtol=1e-6, atol=1e-6, adjoint=Forward(), throw=False)
    hare, lynx = (jnp.log(solution.ys.prey), jnp.log(solution.ys.predator))
    return {
        "hare": Observed(counts[:, 0], LogNormal(hare, model.sigma[0])),
        "lynx": Observed(counts[:, 1], LogNormal(lynx, model.sigma[1])),
        "ended": solution.result,
    }


def problem(*, with_priors: bool = True) -> Problem:
    """With the priors of posteriordb, or the likelihood alone; positive parameters are searched for as logarithms."""
    record = json.loads(FILE.read_text())
    ts = np.concatenate([[0.0], np.asarray(record["ts"], float)])
    counts = np.concatenate([[record["y_init"]], record["y"]]).astype(float)
    guess = Ecosystem(
        system=LotkaVolterra(alpha=0.5, beta=0.03, gamma=0.8, delta=0.03),
        start=LotkaVolterra.State(prey=jnp.array(30.0), predator=jnp.array(4.0)),
        sigma=np.array([0.3, 0.3]),
    )
    kept = lambda prior: prior if with_priors else None
    positive = lambda where, name, prior: Parameter(where, name=name, transform=Log(), prior=kept(prior))
    rate, yield_, size = Normal(1.0, 0.5), Normal(0.05, 0.05), LogNormal(np.log(10.0), 1.0)
    return Problem(
        guess,
        residuals,
        (ts, counts),
        parameters=[
            positive(lambda m: m.system.alpha, "theta1", rate),
            positive(lambda m: m.system.beta, "theta2", yield_),
            positive(lambda m: m.system.gamma, "theta3", rate),
            positive(lambda m: m.system.delta, "theta4", yield_),
            positive(lambda m: m.start.prey, "z_init1", size),
            positive(lambda m: m.start.predator, "z_init2", size),
            positive(lambda m: m.sigma, "sigma", LogNormal(-1.0, 1.0)),
        ],
    )
