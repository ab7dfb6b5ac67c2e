"""All profile likelihoods of the lynx-hare model: one call, against a loop of SciPy fits.

The model of posteriordb's hudson_lynx_hare: Lotka-Volterra, log-normal noise; four rates, two initial populations and
two noise levels, all on a logarithmic scale, by the likelihood alone. Both sides compute the same profiles up to the
same threshold with the same simulation; SciPy's has the value and the gradient from one compiled pass, starts every
fit from the line through the two nearest points, steps so that as many points are computed, and finds the end by
Brent's method. Set OPENBLAS_NUM_THREADS=1: on a busy machine its own threads slow SciPy down fivefold.
"""

import time
from typing import Any

import jax
import numpy as np
import scipy.optimize
from kinax.solvers import fit, FitResult, profile
from tests import lynx_hare

from ._measure import case, seconds

POINTS = 8


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
    result = fit(lynx_hare.problem(with_priors=False), progress=False)
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
