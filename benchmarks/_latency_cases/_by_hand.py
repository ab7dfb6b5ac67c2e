"""The epidemic by diffrax and optimistix: `solve` is one compiled program, errors included; `fitted` calls it."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx

jax.config.update("jax_enable_x64", True)


def field(t, y, rates):
    """Healthy and infected of 763."""
    healthy, infected = y
    infections = rates[0] * healthy * infected / 763
    return -infections, infections - rates[1] * infected


def residuals(logs, data):
    """By the logarithms of the rates; forward mode, because two parameters are fewer than fourteen data."""
    run = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Tsit5(),
        0.0,
        14.0,
        None,
        (jnp.array(762.0), jnp.array(1.0)),
        jnp.exp(logs),
        saveat=diffrax.SaveAt(ts=jnp.arange(1.0, 15.0)),
        stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-8),
        adjoint=diffrax.ForwardMode(),
        throw=False,
    )
    return run.ys[1] - data


@jax.jit
def solve(guess, data):
    """Logarithms, their covariance's factors, and whether the search converged."""
    method = optx.LevenbergMarquardt(rtol=1e-8, atol=1e-8)
    found = optx.least_squares(residuals, method, guess, data, max_steps=256, throw=False)
    rest, jacobian = residuals(found.value, data), jax.jacfwd(residuals)(found.value, data)
    return found.value, rest, jacobian, found.result == optx.RESULTS.successful


def fitted(data):
    """The values and the covariance of their logarithms."""
    logs, rest, jacobian, converged = map(np.asarray, solve(np.log([1.0, 0.3]), data))
    if not converged:
        raise RuntimeError("no convergence")
    variance = rest @ rest / (len(rest) - 2)
    return np.exp(logs), variance * np.linalg.inv(jacobian.T @ jacobian)
