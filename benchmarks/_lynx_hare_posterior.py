"""The lynx-hare posterior of posteriordb: fit and NUTS from scratch, against numpyro's NUTS on the same density."""

import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from kinax.solvers import fit, sample
from kinax.solvers._uncertainty._density import Density, density_of
from kinax.solvers._uncertainty._diagnostics import Diagnostics, diagnostics_of
from numpyro.infer import MCMC, NUTS
from tests import lynx_hare

from ._measure import case

CHAINS = 4


def ours(num_samples: int) -> Diagnostics:
    """Means and the like, by kinax."""
    return sample(fit(lynx_hare.problem(), progress=False), num_samples=num_samples, progress=False).diagnostics()


def peer(num_samples: int) -> Diagnostics:
    """The same by numpyro, with its usual warm-up of 1000 draws and a dense metric, chains in one program."""
    density = density_of(lynx_hare.problem())
    start = jnp.tile(density.problem.start(), (CHAINS, 1))
    kernel = NUTS(potential_fn=lambda u: -density(u), dense_mass=True)
    chains = MCMC(
        kernel,
        num_warmup=1000,
        num_samples=num_samples,
        num_chains=CHAINS,
        chain_method="vectorized",
        progress_bar=False,
    )
    chains.run(jax.random.key(0), init_params=start)
    return diagnostics_of(values_of(density, chains.get_samples(group_by_chain=True)))


def values_of(density: Density, u: Any) -> np.ndarray:
    """The parameters' values."""
    return np.asarray(jax.jit(jax.vmap(jax.vmap(lambda u: density.problem.values(density.to_z(u)))))(u))


def agreement(found: Diagnostics) -> dict[str, float]:
    """The worst departure from the reference draws, in combined Monte Carlo errors, and the worst diagnostics."""
    error = np.sqrt(found.mcse**2 + lynx_hare.STANDARD_DEVIATIONS**2 / lynx_hare.REFERENCE_DRAWS)
    return {
        "mean_in_mcse": float(np.max(abs(found.mean - lynx_hare.MEANS) / error)),
        "sd_ratio_off_by": float(np.max(abs(found.sd / lynx_hare.STANDARD_DEVIATIONS - 1))),
        "rhat": float(found.rhat.max()),
        "ess": float(min(found.ess_bulk.min(), found.ess_tail.min())),
    }


def run() -> list[dict[str, Any]]:
    """From nothing: fit, warm-up and draws, with compilation."""
    seconds, found = {}, {}
    for name, method in (("kinax", ours), ("numpyro", peer)):
        start = time.perf_counter()
        found[name] = method(4000)
        seconds[name] = time.perf_counter() - start
    rate = {name: float(found[name].ess_bulk.min()) / seconds[name] for name in found}
    total = case("4 x 4000 draws", "seconds", seconds["kinax"], {"numpyro": seconds["numpyro"]})
    per_second = "effective draws of the worst parameter per second"
    return [
        total | agreement(found["kinax"]) | {"numpyro": agreement(found["numpyro"])},
        case("4 x 4000 draws", per_second, rate["kinax"], {"numpyro": rate["numpyro"]}, higher_is_better=True),
    ]
