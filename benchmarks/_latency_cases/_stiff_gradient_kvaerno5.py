"""The gradient of the third species by the initial state, by Kvaerno5."""

import jax
import jax.numpy as jnp
from _clock import report, timed
from _kvaerno5 import end

solve = jax.jit(jax.grad(lambda y0: end(y0)[2]))
found, part = timed(lambda: jax.block_until_ready(solve(jnp.array([1.0, 0.0, 0.0]))))
report({"part": part, "values": found.tolist()})
