"""The gradient of Robertson's third species at t = 1e5 s by the initial state, by `stiff()`."""

import jax
import jax.numpy as jnp
from _clock import report, timed
from kinax.physics import Robertson
from kinax.solvers import integrate, stiff

jax.config.update("jax_enable_x64", True)


def last(start):
    """The third species."""
    return integrate(Robertson(), start, [0.0, 1e5], solver=stiff(), rtol=1e-6, atol=1e-12).state.y.c


start = Robertson.State(a=jnp.array(1.0), b=jnp.array(0.0), c=jnp.array(0.0))
gradient, part = timed(lambda: jax.block_until_ready(jax.grad(last)(start)))
report({"part": part, "values": [float(x) for x in gradient]})
