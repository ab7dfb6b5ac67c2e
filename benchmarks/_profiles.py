"""All profile likelihoods of the lynx-hare model: one call, against a loop of SciPy fits.

The model of posteriordb's hudson_lynx_hare: Lotka-Volterra, log-normal noise; four rates, two initial populations and
two noise levels, all on a logarithmic scale, by the likelihood alone. Both sides compute the same profiles up to the
same threshold with the same simulation; SciPy's has the value and the gradient from one compiled pass, starts every
fit from the line through the two nearest points, steps so that as many points are computed, and finds the end by
Brent's method. Set OPENBLAS_NUM_THREADS=1: on a busy machine its own threads slow SciPy down fivefold.
"""

import json
import os
import pathlib
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from jaxtyping import Array, Float
from kinax.physics import LotkaVolterra
from kinax.solvers import fit, FitResult, Forward, integrate, Log, LogNormal, Observed, Parameter, parameter, profile

from ._measure import case, seconds

DATA = pathlib.Path(os.environ.get("KINAX_REFERENCE_DATA", pathlib.Path(__file__).parents[2] / "shared" / "data"))
POINTS = 8


class Ecosystem(eqx.Module):
    """Two species, where they start, and how widely their counts scatter."""

    system: LotkaVolterra
    start: LotkaVolterra.State
    sigma: Float[Array, "2"] = parameter()


def residuals(model: Ecosystem, data: Any) -> Any:
    """Log-normal counts around the solution."""
    ts, hare, lynx = data
    found = integrate(model.system, model.start, ts, rtol=1e-7, atol=1e-7, adjoint=Forward(), throw=False)
    noise = lambda y, k: LogNormal(jnp.log(y), model.sigma[k])
    return Observed(hare, noise(found.ys.prey, 0)), Observed(lynx, noise(found.ys.predator, 1)), found.result


def lynx_hare() -> FitResult:
    """The fit of all eight."""
    record = json.loads((DATA / "lynx-hare" / "hudson_lynx_hare.json").read_text())
    counts = np.concatenate([[record["y_init"]], record["y"]])
    guess = Ecosystem(
        system=LotkaVolterra(alpha=0.5, beta=0.03, gamma=0.8, delta=0.03),
        start=LotkaVolterra.State(prey=jnp.array(30.0), predator=jnp.array(4.0)),
        sigma=jnp.array([0.3, 0.3]),
    )
    places = {
        "alpha": lambda m: m.system.alpha,
        "beta": lambda m: m.system.beta,
        "gamma": lambda m: m.system.gamma,
        "delta": lambda m: m.system.delta,
        "prey": lambda m: m.start.prey,
        "predator": lambda m: m.start.predator,
        "sigma": lambda m: m.sigma,
    }
    return fit(
        guess,
        residuals,
        (jnp.concatenate([jnp.zeros(1), jnp.asarray(record["ts"], float)]), *(jnp.asarray(c) for c in counts.T)),
        parameters=[Parameter(where, name=name, transform=Log()) for name, where in places.items()],
        progress=False,
    )


class Loop:
    """The profiles by SciPy, one fit after the other."""

    def __init__(self, result: FitResult, threshold: float):
        self.best, self.cost = np.asarray(result.z), float(result.cost)
        self.threshold, self.fits, self.evaluations = threshold, 0, 0
        self.reach = np.sqrt(2 * threshold * np.diag(np.asarray(result.information.inverse)))
        cost = lambda z: (lambda c: (c, c))(result.problem.evaluate(z).cost)
        self.derivative = jax.jit(jax.jacfwd(cost, has_aux=True))
        self.values = jax.jit(lambda z: result.problem.values(z))

    def __call__(self) -> np.ndarray:
        """The ends of all intervals, as values."""
        self.fits = self.evaluations = 0
        ends = np.array([[self.end(k, s) for s in (-1, 1)] for k in range(self.best.size)])
        z = np.where(np.eye(self.best.size, dtype=bool)[:, None, :], ends[:, :, None], self.best)
        return np.array([[float(self.values(point)[k]) for point in z[k]] for k in range(self.best.size)])

    def end(self, k: int, direction: int) -> float:
        """The coordinate at which the profile crosses the threshold."""
        path = {0.0: (self.best, 0.0)}
        offset = self.reach[k] / POINTS
        while (height := self.height(path, k, direction, offset)) < 1:
            offset += offset / height / POINTS
        below = sorted(path)[-2]
        crossing = lambda x: self.height(path, k, direction, x) - 1
        return self.best[k] + direction * scipy.optimize.brentq(crossing, below, offset, xtol=1e-5 * offset)

    def height(self, path: dict[float, Any], k: int, direction: int, offset: float) -> float:
        """The square root of the profile over the threshold."""
        if offset not in path:
            free = np.arange(self.best.size) != k
            near = sorted(path, key=lambda x: abs(x - offset))[:2]
            start = path[near[0]][0].copy()
            if len(near) == 2:
                start += (path[near[1]][0] - start) * (offset - near[0]) / (near[1] - near[0])
            start[k] = self.best[k] + direction * offset

            def cost(others: np.ndarray) -> tuple[float, np.ndarray]:
                self.evaluations += 1
                start[free] = others
                gradient, value = self.derivative(start)
                return float(value), np.asarray(gradient)[free]

            found = scipy.optimize.minimize(cost, start[free], jac=True, method="L-BFGS-B", options={"ftol": 1e-11})
            start[free] = found.x
            self.fits += 1
            path[offset] = (start, found.fun - self.cost)
        return float(np.sqrt(max(path[offset][1], 0) / self.threshold))


def run() -> list[dict[str, Any]]:
    """Seconds for all profiles, warm; the first call; how far the interval ends differ."""
    result = lynx_hare()
    start = time.perf_counter()
    profiles = profile(result, num_points=POINTS)
    first = time.perf_counter() - start
    loop = Loop(result, profiles.threshold)
    ends = loop()
    ours = np.array([one.interval for one in profiles])
    times = seconds({"kinax": lambda: profile(result, num_points=POINTS).intervals, "scipy": loop}, 3)
    return [
        case(
            "lynx-hare, 8 parameters",
            "seconds for all profiles",
            times["kinax"],
            {"scipy": times["scipy"]},
            seconds_first_call=round(first, 2),
            largest_relative_difference_of_ends=float(np.max(np.abs(ours / ends - 1))),
            evaluations=profiles.num_evaluations,
            scipy_fits=loop.fits,
            scipy_evaluations=loop.evaluations,
        )
    ]
