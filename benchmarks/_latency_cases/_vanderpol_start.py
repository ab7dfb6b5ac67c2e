"""The first ensemble of a process: so many van der Pol oscillators as its argument says, as in `_ensemble.py`."""

import sys

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
from _clock import report, timed
from kinax.solvers import ensemble, integrate

jax.config.update("jax_enable_x64", True)


def field(t, y, mu):
    """Van der Pol's equation on an array."""
    return jnp.array([y[1], mu * ((1 - y[0] ** 2) * y[1]) - y[0]])


def member(mu):
    """The state at t = 20 and the number of steps."""
    y0, ts, end = jnp.array([2.0, 0.0]), jnp.array([0.0, 20.0]), diffrax.SaveAt(t1=True)
    run = integrate(field, y0, ts, args=mu, rtol=1e-6, atol=1e-6, saveat=end, max_steps=200_000, throw=False)
    return {"state": run.state.y, "num_steps": run.stats["num_steps"]}


n = int(sys.argv[1])
mus = np.exp(np.random.default_rng(0).uniform(np.log(0.1), np.log(200.0), n))
result, part = timed(lambda: ensemble(member, mus))
widths = result.stats["batch_sizes"]
compiling = result.stats["compile_seconds"]
failed, total = int(result.failed.sum()), float(np.sum(result.values["state"]))
report({"part": part, "widths": widths, "compile": compiling, "devices": jax.device_count(), "values": [failed, total]})
