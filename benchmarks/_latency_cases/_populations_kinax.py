"""The populations by kinax."""

import jax
import jax.numpy as jnp
import numpy as np
from _populations import DELTA, GUESS, START, TS
from kinax.physics import LotkaVolterra
from kinax.solvers import fit, integrate, Log, Parameter

jax.config.update("jax_enable_x64", True)
Y0 = LotkaVolterra.State(prey=jnp.asarray(START[0]), predator=jnp.asarray(START[1]))


def residuals(model, data):
    """In units of 5 %."""
    ys = integrate(model, Y0, TS, throw=False).ys
    return (jnp.log(jnp.stack([ys.prey, ys.predator], axis=1)[1:]) - data) / 0.05


def parameters():
    """Three, whose functions are new objects, as those of a notebook's cell that is run again."""
    return [
        Parameter(lambda m: m.alpha, name="alpha", transform=Log()),
        Parameter(lambda m: m.beta, name="beta", transform=Log()),
        Parameter(lambda m: m.gamma, name="gamma", transform=Log()),
    ]


def result_of(data, rates):
    """The fit."""
    guess = LotkaVolterra(alpha=GUESS[0], beta=GUESS[1], gamma=GUESS[2], delta=DELTA)
    return fit(guess, residuals, data, parameters=rates, progress=False)


def fitted(data, rates):
    """The values found."""
    return np.array(list(result_of(data, rates).values.values()))
