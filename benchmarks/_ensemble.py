"""`ensemble` against `jit(vmap)` and `lax.map`: same function, same members, results compared bit for bit."""

import functools
import statistics
import time
from collections.abc import Callable
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from kinax.physics import VanDerPol
from kinax.solvers import ensemble, integrate, Pilot

N = 4096


def vector_field(t: Any, y: Any, mu: Any) -> Any:
    """Van der Pol's equation on an array, as one writes it for diffrax."""
    return jnp.array([y[1], mu * ((1 - y[0] ** 2) * y[1]) - y[0]])


def from_array(mu: Any) -> dict[str, Any]:
    """One member: the state at t = 20 and the number of steps."""
    return _solved(vector_field, jnp.array([2.0, 0.0]), mu)


def from_module(mu: Any) -> dict[str, Any]:
    """The same member with `kinax.physics.VanDerPol`, whose state is a PyTree."""
    return _solved(VanDerPol(mu=mu), VanDerPol.State(q=jnp.asarray(2.0), v=jnp.asarray(0.0)), None)


def _solved(field: Any, y0: Any, args: Any) -> dict[str, Any]:
    end = diffrax.SaveAt(t1=True)
    ts = jnp.array([0.0, 20.0])
    solution = integrate(field, y0, ts, args=args, rtol=1e-6, atol=1e-6, saveat=end, max_steps=200_000, throw=False)
    return {"state": solution.state.y, "num_steps": solution.stats["num_steps"]}


def run() -> list[dict[str, Any]]:
    """The cases: cost from the user, from a pilot sample, by default; and a system from `kinax.physics`."""
    with jax.enable_x64(True):
        mus = np.exp(np.random.default_rng(0).uniform(np.log(0.1), np.log(200.0), N))
        costs = {
            "van der Pol 4096": mus,
            "van der Pol 4096, cost from a pilot": Pilot(members=64),
            "van der Pol 4096, cost by default": None,
        }
        cases = _compare(from_array, mus, costs, repeats=7)
        return cases + _compare(from_module, mus, {"van der Pol 4096, kinax.physics.VanDerPol": mus}, repeats=3)


def _compare(fn: Callable[..., Any], mus: np.ndarray, costs: dict[str, Any], repeats: int) -> list[dict[str, Any]]:
    vmapped, mapped = jax.jit(jax.vmap(fn)), jax.jit(lambda inputs: jax.lax.map(fn, inputs))
    runs: dict[str, Callable[[], Any]] = {
        "jit(vmap)": lambda: jax.block_until_ready(vmapped(mus)),
        "lax.map": lambda: jax.block_until_ready(mapped(mus)),
    }
    runs |= {name: functools.partial(ensemble, fn, mus, cost=cost) for name, cost in costs.items()}
    first = {name: _timed(work)[0] for name, work in runs.items()}
    for work in runs.values():  # a second warm-up: what the first call measured is now in use
        work()
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    latest: dict[str, Any] = {}
    for _ in range(repeats):
        for name, work in runs.items():  # interleaved, so that a busy machine is busy for all
            spent, latest[name] = _timed(work)
            seconds[name].append(spent)
    return [_case(name, seconds, first, latest) for name in costs]


def _timed(work: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = work()
    return time.perf_counter() - start, result


def _case(
    name: str, seconds: dict[str, list[float]], first: dict[str, float], latest: dict[str, Any]
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
        "first_call_seconds": {key: first[key] for key in (name, *peers)},
        "repeats": len(seconds[name]),
    }
