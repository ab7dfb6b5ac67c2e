"""`lyapunov_exponent`: values from the literature and in closed form, for vector fields and simulators; bad input."""

import inspect
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import Kepler, Lorenz
from kinax.solvers import AbstractSimulator, FixedStep, lyapunov_exponent, parameter, RESULTS, TimeState


class Linear(eqx.Module):
    """The vector field A y."""

    matrix: Any = parameter()

    def __call__(self, t, y, args):
        return self.matrix @ y


def oscillator(stiffness, damping):
    return Linear(matrix=jnp.array([[0.0, 1.0], [-stiffness, -damping]]))


class Logistic(AbstractSimulator[Any]):
    """x -> r x (1 - x), once in every `dt`."""

    r: Any = parameter(default=4.0)
    dt: Any = parameter(default=1.0)

    def __call__(self, state):
        return self.r * state * (1 - state)


class Noisy(AbstractSimulator[Any]):
    """x -> a x + noise: neighbors with the same noise converge as a^k."""

    a: Any = parameter(default=0.7)
    dt: Any = parameter(default=0.5)

    def __call__(self, state):
        x, key, count = state
        key, now = jax.random.split(key)
        return self.a * x + jax.random.normal(now, x.shape, x.dtype), key, count + 1


def test_lorenz_agrees_with_the_literature():
    y0 = Lorenz.State(*map(jnp.asarray, (1.0, 1.0, 20.0)))
    found = lyapunov_exponent(Lorenz(), y0, 500.0)
    assert abs(found.value - 0.9056) < 3 * found.error < 0.1  # 0.9056: Viswanath, Ph.D. thesis, Cornell (1998)
    assert found.result == RESULTS.successful and found.stats["num_steps"] > 10_000
    assert found.ts.shape == found.growth.shape == (1000,) and found.state.y.x.shape == ()
    np.testing.assert_allclose(found.ts[-1], 500.0)
    assert "0." in str(found) and "500" in str(found)


@pytest.mark.parametrize(
    "stiffness, damping, exact", [(1.0, 0.2, -0.1), (4.0, 0.0, 0.0), (1.0, 2.5, -0.5)], ids=["damped", "free", "over"]
)
def test_oscillator_has_its_closed_form(stiffness, damping, exact):
    found = lyapunov_exponent(oscillator(stiffness, damping), jnp.array([1.0, 0.0]), 200.0)
    np.testing.assert_allclose(found.value, exact, atol=5e-3)
    assert abs(found.value - exact) < 2 * found.error + 1e-6


def test_integrable_motion_is_compatible_with_zero():
    kepler = Kepler(mu=1.0)
    found = lyapunov_exponent(kepler, kepler.periapsis(1.0, 0.3), 1000.0)
    assert 0 < found.value < 0.01 and abs(found.value) < 3 * found.error


def test_logistic_map_has_the_logarithm_of_two():
    found = lyapunov_exponent(Logistic(), jnp.asarray(0.3), 100_000)
    assert abs(found.value - np.log(2)) < 5 * found.error < 5e-3
    assert found.ts.shape == (1000,)
    slower = lyapunov_exponent(Logistic(dt=2.0), jnp.asarray(0.3), 100_000)
    np.testing.assert_allclose(slower.value, found.value / 2, rtol=1e-12)


def test_jit_and_vmap():
    value = lambda r: lyapunov_exponent(Logistic(r=r), jnp.asarray(0.3), 2000, throw=False).value
    found = jax.jit(jax.vmap(value))(jnp.array([4.0, 2.0, 3.2, 5.0]))
    np.testing.assert_allclose(found[0], np.log(2), atol=0.01)
    assert found[1] < -30  # superstable: the orbit sits where the derivative is zero
    x = 1 / 6.4 * (4.2 - np.sqrt(0.84)), 1 / 6.4 * (4.2 + np.sqrt(0.84))  # the orbit of period two
    np.testing.assert_allclose(found[2], 0.5 * sum(np.log(abs(3.2 * (1 - 2 * v))) for v in x), rtol=1e-2)
    assert np.isnan(found[3])  # has left the interval


def test_only_floats_are_perturbed_and_not_the_time():
    state = (jnp.zeros(3), jax.random.key(0), jnp.asarray(0))
    found = lyapunov_exponent(Noisy(), state, 200)
    np.testing.assert_allclose(found.value, np.log(0.7) / 0.5, rtol=1e-9)
    assert found.state[2] == 200
    stepped = FixedStep(vector_field=oscillator(1.0, 0.2), dt=0.05)
    state = TimeState(t=jnp.asarray(0.0), y=jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(lyapunov_exponent(stepped, state, 4000).value, -0.1, atol=5e-3)


def test_float32():
    single = jax.tree.map(lambda x: x.astype(jnp.float32), Logistic())
    found = lyapunov_exponent(single, jnp.asarray(0.3, jnp.float32), 5000)
    assert found.value.dtype == found.error.dtype == jnp.float32
    np.testing.assert_allclose(found.value, np.log(2), atol=0.02)


def test_failure_is_a_value():
    found = lyapunov_exponent(Logistic(r=5.0), jnp.asarray(0.3), 1000, throw=False)
    assert found.result == RESULTS.nonfinite_state and np.isnan(found.value) and np.isnan(found.error)
    with pytest.raises(RuntimeError, match="NaN or infinite"):
        lyapunov_exponent(Logistic(r=5.0), jnp.asarray(0.3), 1000)


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ((3.0, jnp.asarray(0.3), 10), {}, "dynamics must be"),
        ((Logistic(), jnp.asarray(0.3), 10.0), {}, "number of steps"),
        ((Logistic(), jnp.asarray(0.3), 1), {}, "number of steps"),
        ((Logistic(), jnp.asarray(3), 10), {}, "no float array"),
        ((Logistic(), jnp.asarray(jnp.nan), 10), {}, "NaN"),
        ((oscillator(1.0, 0.2), jnp.ones(2), -1.0), {}, "positive time"),
        ((Logistic(), jnp.asarray(0.3), 10), {"discard": 1.0}, "fraction"),
        ((Logistic(), jnp.asarray(0.3), 10), {"intervals": 1}, "at least 2"),
    ],
)
def test_bad_input_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(lyapunov_exponent)(*arguments, **options)  # without the tests' type checker
