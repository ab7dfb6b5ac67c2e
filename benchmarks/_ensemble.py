"""`ensemble` against `jit(vmap)` and `lax.map`: same function, same members, results compared bit for bit."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from kinax.physics import VanDerPol
from kinax.solvers import ensemble, integrate, nonstiff, Pilot

N = 4096
REPEATS = 7


def van_der_pol(mu: Any) -> dict[str, Any]:
    """One member: the state at t = 20 and the number of steps."""
    system = VanDerPol(mu=mu)
    start = VanDerPol.State(q=jnp.asarray(2.0), v=jnp.asarray(0.0))
    ts = jnp.asarray([0.0, 20.0])
    solution = integrate(system, start, ts, solver=nonstiff(), rtol=1e-6, atol=1e-6, max_steps=200_000, throw=False)
    return {"state": solution.state.y, "num_steps": solution.stats["num_steps"]}


def run() -> list[dict[str, Any]]:
    """The cases: cost from the user, from a pilot sample, and by default."""
    with jax.enable_x64(True):
        mus = np.exp(np.random.default_rng(0).uniform(np.log(0.1), np.log(200.0), N))
        vmapped = jax.jit(jax.vmap(van_der_pol))
        mapped = jax.jit(lambda inputs: jax.lax.map(van_der_pol, inputs))
        runs: dict[str, Callable[[], Any]] = {
            "jit(vmap)": lambda: jax.block_until_ready(vmapped(mus)),
            "lax.map": lambda: jax.block_until_ready(mapped(mus)),
            "van der Pol 4096": lambda: ensemble(van_der_pol, mus, cost=mus),
            "van der Pol 4096, cost from a pilot": lambda: ensemble(van_der_pol, mus, cost=Pilot(members=64)),
            "van der Pol 4096, cost by default": lambda: ensemble(van_der_pol, mus),
        }
        first_seconds = {name: _timed(work)[0] for name, work in runs.items()}
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        latest: dict[str, Any] = {}
        for work in runs.values():  # a second warm-up: whatever was measured on the first call is now in use
            work()
        for _ in range(REPEATS):
            for name, work in runs.items():  # interleaved, so that a busy machine is busy for all
                spent, latest[name] = _timed(work)
                seconds[name].append(spent)
    return [_case(name, seconds, first_seconds, latest) for name in runs if name.startswith("van der Pol")]


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _case(
    name: str, seconds: dict[str, list[float]], first_seconds: dict[str, float], latest: dict[str, Any]
) -> dict[str, Any]:
    result = latest[name]
    flat = lambda tree: np.column_stack([np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(tree)])
    ours, vmapped, mapped = (flat(tree["state"]) for tree in (result.values, latest["jit(vmap)"], latest["lax.map"]))
    peers = ("jit(vmap)", "lax.map")
    median = {key: statistics.median(values) for key, values in seconds.items()}
    return {
        "case": name,
        "metric": "seconds per ensemble",
        "kinax": median[name],
        "peers": {peer: median[peer] for peer in peers},
        "higher_is_better": False,
        "ratio": {peer: median[peer] / median[name] for peer in peers},
        "identical": bool(np.array_equal(ours, vmapped)),  # to jit(vmap), every bit of every member
        "identical_peers": bool(np.array_equal(vmapped, mapped)),  # XLA rounds lax.map's program differently
        "largest_difference_from_lax_map": float(np.max(np.abs(ours - mapped))),
        "failed": int(result.failed.sum()),
        "steps": int(np.sum(result.values["num_steps"])),
        "batch_sizes": list(result.stats["batch_sizes"]),
        "useful_share_of_lanes": result.stats["efficiency"],
        "first_call_seconds": {key: first_seconds[key] for key in (name, *peers)},
        "repeats": REPEATS,
    }
