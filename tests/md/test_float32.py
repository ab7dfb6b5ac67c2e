"""Where float64 is not allowed: integrators keep what they should keep, and numbers their width."""

import json
import os
import subprocess
import sys

import jax
import pytest

# In a process of its own, because the tests run with float64 allowed; dtype promotion is strict there, too.
CODE = """
import json
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
from kinax.md import *
from kinax.solvers import rollout

pair = LennardJones(cutoff=OpenMMSwitch(radius=1.9, onset=1.5))
outer, given = Gaussian(epsilon=0.1, sigma=0.8, cutoff=pair.cutoff), {"kT": 1.0, "dt": 0.004}
pressed = given | {"pressure": 1.0, "relaxation": 0.3, "box_relaxation": 0.5}
kinds = [
    VelocityVerlet(potential=pair, dt=0.004), Yoshida4(potential=pair, dt=0.004), Yoshida6(potential=pair, dt=0.004),
    RESPA(inner=pair, outer=outer, dt=0.004, inner_steps=2), Langevin(potential=pair, friction=1.0, **given),
    Andersen(potential=pair, rate=1.0, **given), VelocityRescaling(potential=pair, relaxation=0.3, **given),
    NoseHoover(potential=pair, relaxation=0.3, **given),
    CellRescaling(potential=pair, compressibility=0.1, **pressed),
    MartynaTobiasKlein(potential=pair, **pressed),
    Brownian(potential=pair, kT=1.0, friction=20.0, dt=0.001),
]
system = draw_velocities(fcc(3, 1.7), 1.0, key=jax.random.key(0))
warm = Langevin(potential=pair, friction=5.0, **given)
system = rollout(warm, warm.start(system, key=jax.random.key(1)), 200, save_every=200).state.system
system = draw_velocities(system, 1.0, key=jax.random.key(2))
found = {}
for dynamics in kinds:
    start = dynamics.start(system, key=jax.random.key(3), skin=0.2)
    run = rollout(dynamics, start, 200, save_every=20, observe=dynamics.conserved)
    leaves = jax.tree.leaves((run.state, run.ys, dynamics))
    dtypes = {str(x.dtype) for x in leaves if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)}
    off = float(np.abs(np.asarray(run.ys) - dynamics.conserved(start)).max()) / 108
    moved = float(jnp.abs(run.state.system.unwrapped - start.system.unwrapped).max())
    found[type(dynamics).__name__] = (off, moved, sorted(dtypes))
print(json.dumps(found))
"""
# of kT for each atom, at a time step of 0.004
BOUNDS = {"Yoshida4": 5e-5, "Yoshida6": 5e-5, "Brownian": 0.02}
OTHERS = 1e-3


@pytest.mark.slow
def test_every_integrator_keeps_its_quantity_and_its_dtype_for_200_steps():
    cache = {"JAX_COMPILATION_CACHE_DIR": str(jax.config.values["jax_compilation_cache_dir"])}
    half_written = "ignore:Error reading persistent compilation cache entry:UserWarning"  # by another worker
    done = subprocess.run(
        [sys.executable, "-W", "error", "-W", half_written, "-c", CODE],
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, **cache, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"},
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len(found) == 11
    for name, (off, moved, dtypes) in found.items():
        assert moved > 0.1 and 0 < off < BOUNDS.get(name, OTHERS), (name, off, moved)
        assert set(dtypes) <= {"float32", "int32"}, (name, dtypes)
