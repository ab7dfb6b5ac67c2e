"""Robertson's reaction to t = 1e5 s by `stiff()`."""

import jax
from _clock import report, timed
from kinax.physics import Robertson
from kinax.solvers import integrate, stiff

jax.config.update("jax_enable_x64", True)
start = Robertson.State(a=1.0, b=0.0, c=0.0)
solve = lambda: integrate(Robertson(), start, [0.0, 1e5], solver=stiff(), rtol=1e-6, atol=1e-12).state.y
end, part = timed(lambda: jax.block_until_ready(solve()))
report({"part": part, "values": [float(x) for x in end]})
