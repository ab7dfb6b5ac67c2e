"""The populations by diffrax and optimistix: `solve` is one compiled program, errors included; `fitted` calls it."""

from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from _populations import field, GUESS, START, TS

jax.config.update("jax_enable_x64", True)


def residuals(logs, data):
    """By the logarithms of the rates, in forward mode; in units of 5 %."""
    run = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, y, rates: field(t, y, *rates)),
        diffrax.Tsit5(),
        TS[0],
        TS[-1],
        None,
        (jnp.array(START[0]), jnp.array(START[1])),
        jnp.exp(logs),
        saveat=diffrax.SaveAt(ts=jnp.asarray(TS[1:])),
        stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-8),
        adjoint=diffrax.ForwardMode(),
        throw=False,
    )
    assert run.ys is not None
    return ((jnp.log(jnp.stack(run.ys, axis=1)) - data) / 0.05).ravel()


@jax.jit
def solve(guess: Any, data: Any) -> Any:
    """The logarithms at the optimum, the residuals there and their Jacobian."""
    method = optx.LevenbergMarquardt(rtol=1e-6, atol=1e-6)
    found = optx.least_squares(residuals, method, guess, data, max_steps=256, throw=False)
    rest, jacobian = residuals(found.value, data), jax.jacfwd(residuals)(found.value, data)
    return found.value, rest, jacobian


def fitted(data):
    """The values and the covariance of their logarithms."""
    logs, rest, jacobian = map(np.asarray, solve(np.log(GUESS), data))
    variance = rest @ rest / (len(rest) - 3)
    return np.exp(logs), variance * np.linalg.inv(jacobian.T @ jacobian)
