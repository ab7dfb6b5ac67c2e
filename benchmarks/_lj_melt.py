"""The Lennard-Jones melt of LAMMPS's `bench/in.lj`, in float32 on the processors that are there, rebuilds included.

Density 0.8442, temperature 1.44 at the start, cutoff 2.5, time step 0.005. Peers run in processes of their own, with
the Python that `KINAX_PEERS` names (default: this one); one that is missing is named in the notes and left out.
"""

import json
import os
import pathlib
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from kinax.md import AllPairs, draw_velocities, fcc, Langevin, LennardJones, Truncated, VelocityVerlet
from kinax.solvers import rollout

from ._measure import case

SPACING = (4 / 0.8442) ** (1 / 3)
PAIR = LennardJones(cutoff=Truncated(radius=2.5))
PEERS = pathlib.Path(__file__).parent / "_lj_melt_peers.py"
STEPS = {10: 400, 20: 100}


def peer(name: str, *arguments: Any) -> tuple[dict[str, float], str | None]:
    """What a peer measured, or why it did not."""
    python = os.environ.get("KINAX_PEERS", sys.executable)
    command = [python, str(PEERS), name, *map(str, arguments)]
    library = str(pathlib.Path(python).parent.parent / "lib")  # where mpich, which LAMMPS needs, is installed
    done = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "LD_LIBRARY_PATH": library, "OMP_NUM_THREADS": "2"}
    )
    if done.returncode:
        return {}, f"{name} absent: {done.stderr.strip().splitlines()[-1] if done.stderr else done.returncode}"
    return json.loads(done.stdout.splitlines()[-1]), None


def median_seconds(run: Callable[[], Any], repeats: int) -> float:
    """After one call that compiles."""
    jax.block_until_ready(run())
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        jax.block_until_ready(run())
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def melted(cells: int, kind: Callable[..., Any] = VelocityVerlet, **fields: Any) -> tuple[Any, Any]:
    """The dynamics and a state some way into the melt, started anew as one would after equilibration."""
    system = draw_velocities(fcc(cells, SPACING), 1.44, key=jax.random.key(0))
    dynamics = kind(potential=PAIR, dt=0.005, **fields)
    start = dynamics.start(system, key=jax.random.key(1))
    melt = rollout(dynamics, start, STEPS[cells], save_every=STEPS[cells]).state.system
    # one run more, so that a list that proves too small or too old has become right before it is timed
    start = dynamics.start(melt, key=jax.random.key(1))
    return dynamics, rollout(dynamics, start, STEPS[cells], save_every=STEPS[cells]).state


def melt_case(cells: int) -> list[dict[str, Any]]:
    """Seconds a step, and what a rebuild costs in units of a force evaluation."""
    dynamics, state = melted(cells)
    n = STEPS[cells]
    step = median_seconds(lambda: rollout(dynamics, state, n, save_every=n).state, 5) / n
    peers, absent = {}, {}
    for name in ("lammps", "jax-md", "openmm"):
        found, why = peer(name, cells, n // (4 if name == "jax-md" else 1))
        peers |= {name: found["step"]} if found else {}
        absent |= {} if why is None else {name: why}
    repeats = 21
    refresh, force = eqx.filter_jit(dynamics.refresh), eqx.filter_jit(lambda s: PAIR.force(s.system, s.neighbors))
    rebuild = median_seconds(lambda: refresh(state), repeats)
    once = median_seconds(lambda: force(state), repeats)
    atoms = f"{4 * cells**3} atoms"
    notes = {"steps_between_rebuilds": state.every, "slots": state.neighbors.index.shape[0], **absent}
    return [
        case(atoms, "seconds per step", step, peers, **notes),
        case("rebuild", "force evaluations", rebuild / once, {}, atoms=4 * cells**3, force=once, rebuild=rebuild),
    ]


def replica_case() -> dict[str, Any]:
    """64 replicas of 256 atoms side by side, NVT, one list each (here all pairs)."""
    system = draw_velocities(fcc(4, SPACING), 1.44, key=jax.random.key(0))
    dynamics = Langevin(potential=PAIR, kT=1.44, friction=1.0, dt=0.005)
    keys = jax.random.split(jax.random.key(2), 64)
    lists = AllPairs.make(system.space, 2.5)

    @jax.jit
    def run(keys):
        one = lambda key: dynamics.start(system, key=key, neighbors=lists, every=100)
        return jax.vmap(lambda key: rollout(dynamics, one(key), 100, save_every=100, throw=False).state)(keys)

    step = median_seconds(lambda: run(keys), 5) / 100
    found, why = peer("jax-md-replicas", 4, 20)
    notes: dict[str, Any] = {} if why is None else {"jax-md absent": why}
    return case("64 x 256 replicas", "seconds per step", step, {"jax-md": found["step"]} if found else {}, **notes)


def compile_cases() -> list[dict[str, Any]]:
    """Tracing and compiling one step with its rebuild, and the gradient of ten steps, of 500 atoms."""
    system = draw_velocities(fcc(5, SPACING), 1.44, key=jax.random.key(0))
    state = VelocityVerlet(potential=PAIR, dt=0.005).start(system, every=10)

    def loss(sigma):
        dynamics = VelocityVerlet(potential=LennardJones(sigma=sigma, cutoff=PAIR.cutoff), dt=0.005)
        return jnp.sum(rollout(dynamics, state, 10, save_every=10, throw=False).state.system.position ** 2)

    found, why = peer("jax-md-compile", 5, 10)
    notes: dict[str, Any] = {} if why is None else {"jax-md absent": why}
    cases = []
    for name, fn in (("run", loss), ("gradient", jax.grad(loss))):
        jax.clear_caches()
        begin = time.perf_counter()
        jax.jit(fn).lower(jnp.asarray(1.0)).compile()
        took = time.perf_counter() - begin
        peers = {"jax-md": found[name]} if found else {}
        cases.append(case("compile", f"seconds, {name} of 10 steps", took, peers, **notes))
    return cases


def run() -> list[dict[str, Any]]:
    """All cases; in float32, whatever the caller has set."""
    wide = bool(jax.config.values["jax_enable_x64"])
    jax.config.update("jax_enable_x64", False)
    try:
        return [*melt_case(10), *melt_case(20), replica_case(), *compile_cases()]
    finally:
        jax.config.update("jax_enable_x64", wide)
