"""Boehm et al. 2014 from PEtab: which share of 100 starts within the bounds arrives at the known optimum.

The equations are those that AMICI exports, where AMICI is installed, else the test's; all options are defaults.
"""

import pathlib
import tempfile
import time
from typing import Any

import numpy as np
from kinax.solvers import fit, LatinHypercube
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


def run() -> list[dict[str, Any]]:
    """The share, the time and the evaluations; the waterfall is saved."""
    equations = exported()
    start = time.perf_counter()
    result = fit(problem(equations), starts=LatinHypercube(STARTS), progress=False, throw=False)
    elapsed = time.perf_counter() - start
    starts = result.starts
    PICTURE.parent.mkdir(exist_ok=True)
    result.plot.waterfall().figure.savefig(PICTURE, dpi=150)
    return [
        case(
            "100 starts",
            "share of starts at the known optimum",
            float(np.mean(starts.cost < COST + NEAR)),
            {},
            higher_is_better=True,
            best_cost=round(float(result.cost), 5),
            converged=float(np.mean(starts.verdict == 0)),
            seconds_with_compilation=round(elapsed, 1),
            evaluations=int(starts.num_evaluations.sum()),
            median_steps=float(np.median(starts.num_steps)),
            equations="tests/boehm.py" if equations is None else "AMICI",
            waterfall=str(PICTURE),
        )
    ]
