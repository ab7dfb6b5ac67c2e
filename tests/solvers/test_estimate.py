"""`estimate`: the derivative of the optimum against finite differences, through active bounds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import estimate, Log, Normal, Observed, Parameter, Problem

T = jnp.linspace(0.0, 5.0, 20)
Y = 3 * jnp.exp(-0.7 * T) + 0.05 * jnp.asarray(np.random.default_rng(0).standard_normal(20))


def values(data, upper, centre):
    parameters = [
        Parameter(lambda m: m["a"], name="a", bounds=(0, upper)),
        Parameter(lambda m: m["k"], name="k", transform=Log(), prior=Normal(centre, 0.1)),
        Parameter(lambda m: m["s"], name="s", transform=Log()),
    ]
    model = {"a": jnp.asarray(1.0), "k": jnp.asarray(0.2), "s": jnp.asarray(0.2)}
    run = lambda m, d: Observed(d, Normal(m["a"] * jnp.exp(-m["k"] * T), m["s"]))
    return estimate(Problem(model, run, data, parameters=parameters)).values


def central(fn, point, which, direction, h=1e-5):
    at = lambda step: fn(*(x + step * direction if i == which else x for i, x in enumerate(point)))
    return (at(h) - at(-h)) / (2 * h)


@pytest.mark.slow
def test_derivatives_of_the_optimum_with_and_without_an_active_bound():
    for upper in (10.0, 2.5):
        fn = jax.jit(lambda y, u, c: values(y, u, c))
        point = (Y, jnp.asarray(upper), jnp.asarray(0.6))
        forward = jax.jacfwd(fn, argnums=(0, 1, 2))(*point)
        reverse = jax.jacrev(fn, argnums=(0, 1, 2))(*point)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12), forward, reverse)
        for i in (0, 3, 11):
            np.testing.assert_allclose(forward[0][:, i], central(fn, point, 0, jnp.eye(20)[i]), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(forward[1], central(fn, point, 1, 1.0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(forward[2], central(fn, point, 2, 1.0), rtol=1e-5, atol=1e-6)
        assert (fn(*point)[0] == upper) == (upper == 2.5)


@pytest.mark.slow
def test_an_ensemble_of_fits():
    stacked = jnp.stack([Y, 2 * Y])
    many = jax.vmap(lambda y: values(y, 10.0, 0.6))(stacked)
    np.testing.assert_allclose(many[1], values(2 * Y, 10.0, 0.6), rtol=1e-7)


def test_the_derivative_of_the_optimum_by_the_data_and_none_without_convergence():
    def rate(y, max_steps):
        parameter = [Parameter(lambda m: m["k"], name="k")]
        problem = Problem({"k": jnp.asarray(0.2)}, lambda m, d: 3 * jnp.exp(-m["k"] * T) - d, y, parameters=parameter)
        return estimate(problem, max_steps=max_steps).z[0]

    both = jax.value_and_grad(rate)
    short, none = both(Y, 1)
    assert np.isfinite(short) and np.isnan(none).all()
    k, slope = both(Y, 1000)
    # the derivative of g(k, y) = f'(k) (f(k) - y) = 0: dk/dy = f' / (f'^2 + f'' (f - y))
    f, first, second = (3 * np.exp(-k * T) * (-T) ** n for n in range(3))
    np.testing.assert_allclose(np.sum(first * (f - Y)), 0, atol=1e-6)
    np.testing.assert_allclose(slope, first / np.sum(first**2 + second * (f - Y)), rtol=1e-6)


@pytest.mark.slow
def test_no_derivative_where_the_minimum_is_a_valley_and_none_by_what_is_not_used():
    def product(scale):  # only the product of b and c matters
        parameters = [Parameter(lambda m, n=n: m[n], name=n) for n in "abc"]
        run = lambda m, d: m["a"] * jnp.exp(-m["b"] * m["c"] * T) - d
        return estimate(
            Problem(dict(zip("abc", jnp.array([1.0, 0.5, 1.0]), strict=True)), run, scale * Y, parameters=parameters)
        ).values

    assert np.isnan(jax.jacfwd(product)(1.0)).all()

    def rate(lower, unused):
        parameter = Parameter(lambda m: m["k"], name="k", transform=Log(), bounds=(lower, 10.0))
        run = lambda m, d: 3 * jnp.exp(-m["k"] * T) - d["y"]
        return estimate(
            Problem({"k": jnp.asarray(0.2)}, run, {"y": Y, "unused": unused}, parameters=[parameter])
        ).values[0]

    for mode in (jax.jacfwd, jax.jacrev):  # a bound at log(0) neither
        assert mode(rate, argnums=(0, 1))(0.0, 1.0) == (0, 0)
