"""The README's model and residuals, and data sets of its shape, for the scripts that fit many."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from kinax.solvers import fit, integrate, Log, Parameter, parameter

jax.config.update("jax_enable_x64", True)


class Epidemic(eqx.Module):
    """Two rates in 1/day."""

    contact: Any = parameter()
    recovery: Any = parameter()

    def __call__(self, t, y, args):
        """Healthy and infected of 763."""
        healthy, infected = y
        infections = self.contact * healthy * infected / 763
        return -infections, infections - self.recovery * infected


def residuals(model, data):
    """Ill boys, day by day."""
    run = integrate(model, (762.0, 1.0), jnp.arange(15.0), throw=False)
    return run.ys[1][1:] - data


def parameters():
    """Two parameters whose functions are new objects, as those of a notebook's cell that is run again."""
    return [
        Parameter(lambda m: m.contact, name="contact", unit="1/day", transform=Log()),
        Parameter(lambda m: m.recovery, name="recovery", unit="1/day", transform=Log()),
    ]


def fitted(data, rates, function=residuals):
    """The values found."""
    result = fit(Epidemic(contact=1.0, recovery=0.3), function, data, parameters=rates, progress=False)
    return np.array([float(result.values[name]) for name in ("contact", "recovery")])
