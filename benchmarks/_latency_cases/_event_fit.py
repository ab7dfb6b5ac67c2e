"""A fit through one `Stop`."""

import jax.numpy as jnp
from _clock import report, timed
from _thermostat import OUTSIDE, residuals, Room
from kinax.solvers import fit, Log, Parameter

# the closed form at loss 0.2 and heating 6, and how much four clocks were wrong
data = jnp.log((6.0 - 0.2 * (15.0 - OUTSIDE)) / (6.0 - 0.2 * (20.0 - OUTSIDE))) / 0.2
data = data + jnp.array([1.0, -2.0, 1.5, -0.5]) / 60
parameters = [
    Parameter(lambda m: m.loss, name="loss", transform=Log()),
    Parameter(lambda m: m.heating, name="heating", transform=Log()),
]
result, part = timed(lambda: fit(Room(loss=0.1, heating=5.0), residuals, data, parameters=parameters, progress=False))
print(result.summary())
report({"part": part, "values": [float(result.values[name]) for name in ("loss", "heating")]})
