"""Springs, derivatives of runs and errors of correlated averages, for the tests of integrators."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from kinax.solvers import parameter

KEY = jax.random.key(7, impl="unsafe_rbg")  # compiles faster than the default


class Ring(eqx.Module):
    """Springs, harder the longer they are, from each atom to the next and from the last to the first.

    Not the same in all directions: a bath that scales velocities would never change an axis of rotation.
    """

    stiffness: Any = parameter(default=1.5)

    def __call__(self, x):
        d = (x - jnp.roll(x, 1, axis=0)) * jnp.asarray([[1.0, 0.8, 1.3]], x.dtype)
        return self.stiffness * jnp.sum(jnp.sum(d**2, axis=1) ** 2)


def check_both_modes(end, given):
    """Forward mode, reverse mode and central differences along a random direction, in one program; the value."""
    rng = np.random.default_rng(3)
    given = jax.tree.map(lambda x: jnp.asarray(x, x.dtype), given)  # weak types would have it all compiled twice
    along = jax.tree.map(lambda x: jnp.asarray(x * rng.uniform(0.5, 1.5, x.shape)), given)

    @jax.jit
    def both(given):
        value, push = jax.jvp(end, (given,), (along,))
        weights = jax.tree.map(lambda y: jnp.cos(jnp.arange(y.size, dtype=y.dtype)).reshape(y.shape), value)
        dot = lambda a, b: sum(jnp.vdot(x, y) for x, y in zip(*map(jax.tree.leaves, (a, b)), strict=True))
        (pull,) = jax.vjp(end, given)[1](weights)
        return value, dot(weights, value), dot(weights, push), dot(pull, along), pull

    moved = lambda h: both(jax.tree.map(lambda x, v: x + h * v, given, along))[1]
    value, _, forward, reverse, pull = both(given)
    rise = (8 * (moved(1e-4) - moved(-1e-4)) - (moved(2e-4) - moved(-2e-4))) / 12e-4
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(pull))
    np.testing.assert_allclose((forward, reverse), rise, rtol=1e-7)
    return value


def standard_error(series, top=0.2):
    """Of the mean of a correlated series: with the correlation time summed up to where the correlations are noise."""
    series = np.asarray(series) - np.mean(series)
    size = len(series)
    power = np.abs(np.fft.rfft(series, 2 * size)) ** 2
    correlation = np.fft.irfft(power)[: int(top * size)]
    times = np.cumsum(correlation / correlation[0]) * 2 - 1
    window = np.argmax(np.arange(len(times)) >= 5 * times)
    return np.sqrt(correlation[0] / size * max(times[window], 1) / size)
