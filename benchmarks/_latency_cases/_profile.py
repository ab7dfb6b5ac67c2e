"""Three parameters of two populations, 20 numbers: the fit, then `profile`, then `predict`, each for the first time."""

import jax.numpy as jnp
from _clock import report, timed
from _populations import data_set
from _populations_kinax import parameters, result_of
from kinax.solvers import profile

data = data_set(0)
result, fitting = timed(lambda: result_of(data, parameters()))
profiles, profiling = timed(lambda: profile(result))
(period, error), predicting = timed(lambda: result.predict(lambda m: 2 * jnp.pi / jnp.sqrt(m.alpha * m.gamma)))
print(profiles)
report({"fit": fitting, "profile": profiling, "predict": predicting, "values": [float(period), float(error)]})
