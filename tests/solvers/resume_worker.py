"""A fit that other processes interrupt: its checkpoint and the number of devices are given, a digest is printed."""

import hashlib
import sys

import jax
import jax.numpy as jnp
import numpy as np

if __name__ == "__main__":
    path, devices = sys.argv[1], int(sys.argv[2])
    jax.config.update("jax_enable_x64", True)
    jax.config.update("jax_num_cpu_devices", devices)
    from kinax.solvers import Checkpoint, fit, LevenbergMarquardt, Parameter, Problem

    T = np.linspace(0.0, 3.0, 15)
    DATA = 2.0 * np.exp(-0.8 * T) + 0.3 * np.sin(9 * T)

    def residuals(model, data):
        # 20 000 useless operations make a step long enough to be interrupted
        waste = jax.lax.fori_loop(0, 20_000, lambda i, x: jnp.cos(x), model["k"])
        return model["a"] * jnp.exp(-model["k"] * T) + model["b"] * jnp.sin(model["w"] * T) - data + 1e-30 * waste

    start = {"a": jnp.asarray(1.0), "k": jnp.asarray(1.0), "b": jnp.asarray(0.1), "w": jnp.asarray(3.0)}
    ends = {"a": (0, 5), "k": (0, 5), "b": (-2, 2), "w": (0, 20)}
    parameters = [Parameter(lambda m, n=n: m[n], name=n, bounds=ends[n]) for n in ends]
    print("started", flush=True)
    result = fit(
        Problem(start, residuals, DATA, parameters=parameters),
        method=LevenbergMarquardt(),
        starts=40,
        max_steps=60,
        checkpoint=Checkpoint(path, every=0.0),
        devices=jax.local_devices(),
        progress=False,
        throw=False,
    )
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(result.starts):
        digest.update(np.ascontiguousarray(leaf).tobytes())
    print(digest.hexdigest(), flush=True)
