"""Lotka-Volterra, three parameters, 20 numbers: the fit, then `profile`, then `predict`, each for the first time."""

import jax
import jax.numpy as jnp
import numpy as np
from _clock import report, timed
from kinax.physics import LotkaVolterra
from kinax.solvers import fit, integrate, Log, Parameter, profile

jax.config.update("jax_enable_x64", True)
TS = np.linspace(0.0, 18.0, 11)
Y0 = LotkaVolterra.State(prey=jnp.asarray(1.0), predator=jnp.asarray(0.5))


def populations(model):
    """Logarithms of both, at ten times after the start."""
    ys = integrate(model, Y0, TS, throw=False).ys
    return jnp.log(jnp.stack([ys.prey, ys.predator], axis=1)[1:])


def residuals(model, data):
    """In units of 5 %."""
    return (populations(model) - data) / 0.05


truth = LotkaVolterra(alpha=0.6, beta=1.3, gamma=0.9, delta=1.1)
data = np.asarray(populations(truth)) + 0.05 * np.random.default_rng(0).normal(size=(10, 2))
parameters = [
    Parameter(lambda m: m.alpha, name="alpha", transform=Log()),
    Parameter(lambda m: m.beta, name="beta", transform=Log()),
    Parameter(lambda m: m.gamma, name="gamma", transform=Log()),
]
guess = LotkaVolterra(alpha=0.5, beta=1.0, gamma=1.0, delta=1.1)
result, fitting = timed(lambda: fit(guess, residuals, data, parameters=parameters, progress=False))
profiles, profiling = timed(lambda: profile(result))
(period, error), predicting = timed(lambda: result.predict(lambda m: 2 * jnp.pi / jnp.sqrt(m.alpha * m.gamma)))
print(profiles)
report({"fit": fitting, "profile": profiling, "predict": predicting, "values": [float(period), float(error)]})
