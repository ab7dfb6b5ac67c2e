"""What other processes of the ensemble tests import or run."""

import signal
import sys

import jax
import jax.numpy as jnp
import numpy as np


def iterate(x):
    """Some hundred thousand steps of a map that stays bounded: a quarter of a second or so for a batch."""
    return {"x": jax.lax.fori_loop(0, 200_000, lambda i, x: jnp.cos(x) + 1e-3 * x, x), "twice": jnp.stack([x, 2 * x])}


def inputs():
    """The members of the interrupted run."""
    return np.linspace(0.0, 1.0, 400)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background ignores it
    jax.config.update("jax_enable_x64", True)
    from kinax.solvers import ensemble

    print("started", flush=True)
    ensemble(iterate, inputs(), batch_size=2, store=sys.argv[1], devices=jax.local_devices()[:1])
    print("finished", flush=True)
