"""Boehm et al. 2014 from PEtab: which share of 100 starts within the bounds arrives at the known optimum.

All methods search from the same points, on the same scale, with the same derivatives. The equations are those that
AMICI exports, where AMICI is installed, else the test's; kinax's options are its defaults.
"""

import logging
import pathlib
import tempfile
import time
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
from kinax.solvers import fit, LatinHypercube, Problem, to_scipy
from tests.boehm import COST, FILE, problem

from ._measure import case

STARTS, NEAR = 100, 0.1
PICTURE = pathlib.Path("out/boehm_waterfall.png")


def exported() -> Any:
    """The model that AMICI makes of the PEtab problem; None without AMICI."""
    try:
        import petab.v2  # pyright: ignore[reportMissingImports]
        from amici.importers.petab import PetabImporter  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    with tempfile.TemporaryDirectory() as folder:
        source = petab.v2.Problem.from_yaml(str(FILE))
        importer = PetabImporter(source, jax=True, module_name="boehm_jax", output_dir=folder, verbose=False)
        return importer.create_simulator(force_import=True).model


def share(costs: Any) -> float:
    """Of the searches that ended at the known optimum."""
    return float(np.mean(np.asarray(costs) < COST + NEAR))


def by_scipy(boehm: Problem, points: np.ndarray) -> list[float]:
    """The costs at which SciPy's L-BFGS-B ends."""
    p = to_scipy(boehm)
    search = lambda x: scipy.optimize.minimize(p.cost, x, jac=p.gradient, bounds=p.bounds, method="L-BFGS-B")
    return [float(search(x).fun) for x in points]


@eqx.filter_jit
def _fisher(boehm: Problem, z: Any) -> Any:
    linear = boehm.linearize(z)
    return boehm.evaluate(z).cost, boehm.gradient(z), linear.jacobian.T @ linear.jacobian


def by_fides(boehm: Problem, points: np.ndarray) -> list[float] | None:
    """The costs at which fides, the trust-region method that pyPESTO recommends, ends; with the Fisher information."""
    try:
        import fides  # pyright: ignore[reportMissingImports]
    except ImportError:
        return None
    lower, upper = np.asarray(boehm.lower), np.asarray(boehm.upper)

    def objective(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        cost, gradient, fisher = _fisher(boehm, jnp.asarray(x))
        return float(cost), np.asarray(gradient), np.asarray(fisher)

    search = lambda x: fides.Optimizer(objective, upper, lower, verbose=logging.CRITICAL).minimize(x)[0]
    return [float(search(x)) for x in points]


def run() -> list[dict[str, Any]]:
    """The shares, the time and the evaluations; the waterfall is saved."""
    equations = exported()
    boehm, starts = problem(equations), LatinHypercube(STARTS)
    start = time.perf_counter()
    result = fit(boehm, starts=starts, progress=False, throw=False)
    elapsed = time.perf_counter() - start
    table = result.starts
    PICTURE.parent.mkdir(exist_ok=True)
    result.plot.waterfall().figure.savefig(PICTURE, dpi=150)
    points = np.asarray(starts.points(boehm, jax.random.key(0)))
    peers = {"scipy L-BFGS-B": by_scipy(boehm, points), "fides": by_fides(boehm, points)}
    return [
        case(
            "100 starts",
            "share of starts at the known optimum",
            share(table.cost),
            {name: share(costs) for name, costs in peers.items() if costs is not None},
            higher_is_better=True,
            best_cost=round(float(result.cost), 5),
            converged=float(np.mean(table.verdict == 0)),
            seconds_with_compilation=round(elapsed, 1),
            evaluations=int(table.num_evaluations.sum()),
            median_steps=float(np.median(table.num_steps)),
            equations="tests/boehm.py" if equations is None else "AMICI",
            waterfall=str(PICTURE),
        )
    ]
