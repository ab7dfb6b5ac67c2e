"""Stochastic equations through `integrate`: strong and weak orders against exact paths and moments."""

import functools
from typing import Any

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import Forward, integrate

PATHS, END = 1000, 1.0
KEYS = jax.random.split(jax.random.key(11), PATHS)
GROWTH, VOLATILITY = 0.7, 0.5  # geometric Brownian motion from 1: dx = growth x dt + volatility x dW
RATE, NOISE, START = 1.2, 0.9, 1.5  # Ornstein and Uhlenbeck: dx = -rate x dt + noise dW
LEVELS = np.array([8, 16, 32, 64])


def path(key, area: Any = diffrax.BrownianIncrement) -> Any:
    return diffrax.VirtualBrownianTree(0.0, END, tol=END / 1024, shape=(), key=key, levy_area=area)


@functools.partial(jax.jit, static_argnames=("solver", "drift", "diffusion", "area"))
def ends(keys, y0, solver, drift, diffusion, area, dt):
    """The last state along each path."""

    def one(key):
        terms = diffrax.MultiTerm(diffrax.ODETerm(drift), diffrax.ControlTerm(diffusion, path(key, area)))
        fixed, times = diffrax.ConstantStepSize(), jnp.asarray([0.0, END])
        found = integrate(terms, y0, times, solver=solver, dt0=dt, stepsize_controller=fixed, adjoint=Forward())
        return found.state.y

    return jax.vmap(one)(keys)


def geometric_drift(t, y, args):
    return GROWTH * y


def geometric_diffusion(t, y, args):
    return VOLATILITY * y


def uhlenbeck_drift(t, y, args):
    return -RATE * y


def uhlenbeck_diffusion(t, y, args):
    return jnp.asarray(NOISE)


@jax.jit
def exact_geometric(keys):
    w = jax.vmap(lambda key: path(key).evaluate(jnp.asarray(END)))(keys)
    return jnp.exp((GROWTH - VOLATILITY**2 / 2) * END + VOLATILITY * w)


@jax.jit
def exact_uhlenbeck(keys):
    """The integral of exp(-rate (T - s)) dW by parts of length 1/64, over each of which the weight is linear."""
    grid = jnp.linspace(0.0, END, 65)
    h, middle = END / 64, (grid[1:] + grid[:-1]) / 2

    def one(key):
        brownian = path(key, diffrax.SpaceTimeLevyArea)
        part = jax.vmap(lambda a, b: brownian.evaluate(a, b, use_levy=True))(grid[:-1], grid[1:])
        weight = jnp.exp(-RATE * (END - middle))
        return START * jnp.exp(-RATE * END) + NOISE * jnp.sum(weight * (part.W - RATE * h * part.H))

    return jax.vmap(one)(keys)


def geometric_moment(k):
    return np.exp((k * GROWTH + k * (k - 1) / 2 * VOLATILITY**2) * END)


def uhlenbeck_moment(k):
    mean, variance = START * np.exp(-RATE * END), NOISE**2 * -np.expm1(-2 * RATE * END) / (2 * RATE)
    return mean if k == 1 else mean**2 + variance


def strong_order(errors):
    """Of the mean error of a path."""
    return -np.polyfit(np.log(LEVELS), np.log([np.mean(np.abs(e)) for e in errors]), 1)[0]


@pytest.mark.parametrize(
    "solver, drift, order",
    [
        (diffrax.Euler(), geometric_drift, 0.5),
        (diffrax.ItoMilstein(), geometric_drift, 1.0),
    ],
)
def test_strong_order_for_geometric_brownian_motion(solver, drift, order):
    exact = exact_geometric(KEYS)
    area = diffrax.BrownianIncrement
    found = [
        ends(KEYS, jnp.asarray(1.0), solver, drift, geometric_diffusion, area, jnp.asarray(END / n)) for n in LEVELS
    ]
    np.testing.assert_allclose(strong_order([x - exact for x in found]), order, atol=0.12)


@pytest.mark.parametrize("solver, order", [(diffrax.Euler(), 1.0), (diffrax.SEA(), 1.0), (diffrax.ShARK(), 2.0)])
def test_strong_order_for_additive_noise(solver, order):
    """ShARK's order is 1.5, and 2 where the drift is linear."""
    exact = exact_uhlenbeck(KEYS)
    area = diffrax.SpaceTimeLevyArea
    given = (jnp.asarray(START), solver, uhlenbeck_drift, uhlenbeck_diffusion, area)
    found = [ends(KEYS, *given, jnp.asarray(END / n)) for n in LEVELS]
    np.testing.assert_allclose(strong_order([x - exact for x in found]), order, atol=0.12)


def test_weak_order_of_euler():
    n, h = LEVELS, END / LEVELS
    kept, growth = 1 - RATE * h, 1 + GROWTH * h
    variance = NOISE**2 * h * (1 - kept ** (2 * n)) / (1 - kept**2)
    cases = (
        (1.0, geometric_drift, geometric_diffusion, diffrax.BrownianIncrement, exact_geometric, geometric_moment),
        (START, uhlenbeck_drift, uhlenbeck_diffusion, diffrax.SpaceTimeLevyArea, exact_uhlenbeck, uhlenbeck_moment),
    )
    of_euler = ([growth**n, (growth**2 + VOLATILITY**2 * h) ** n], [kept**n * START, (kept**n * START) ** 2 + variance])
    for (y0, drift, diffusion, area, exact, moment), expected in zip(cases, of_euler, strict=True):
        found = [ends(KEYS, jnp.asarray(y0), diffrax.Euler(), drift, diffusion, area, jnp.asarray(dt)) for dt in h]
        for k in (1, 2):
            # to the exact solution along the same path, so that the noise is that of the difference
            differences = np.array([x**k - exact(KEYS) ** k for x in found])
            biases, errors = differences.mean(axis=1), differences.std(axis=1) / np.sqrt(PATHS)
            assert np.all(np.abs(biases - (expected[k - 1] - moment(k))) < 4 * errors)
            if k == 1:
                order = -np.polyfit(np.log(LEVELS), np.log(np.abs(biases)), 1)[0]
                np.testing.assert_allclose(order, 1.0, atol=0.15)


@pytest.mark.parametrize("exact, moment", [(exact_geometric, geometric_moment), (exact_uhlenbeck, uhlenbeck_moment)])
def test_the_exact_paths_have_the_exact_moments(exact, moment):
    for k in (1, 2):
        x = exact(KEYS) ** k
        assert abs(np.mean(x) - moment(k)) < 4 * np.std(x) / np.sqrt(PATHS)
