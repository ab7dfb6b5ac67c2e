"""The value by Kvaerno5."""

import jax
import jax.numpy as jnp
from _clock import report, timed
from _kvaerno5 import end

found, part = timed(lambda: jax.block_until_ready(end(jnp.array([1.0, 0.0, 0.0]))))
report({"part": part, "values": found.tolist()})
