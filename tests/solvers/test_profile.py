"""Profile likelihoods: closed forms, brute force by SciPy, and everything that can end a walk."""

import functools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
import scipy.stats
from kinax.solvers import fit, Log, Normal, Observed, Parameter, Problem, profile, UserStarts

TS = jnp.linspace(0.0, 4.0, 25)
NOISE = jnp.asarray(np.random.default_rng(0).standard_normal(25))


@functools.cache  # the same function each time: nothing compiles twice
def pick(name):
    return lambda m: m[name]


def leaf(name, **options):
    return Parameter(pick(name), name=name, **options)


def line(model, data):
    return model["a"] + model["b"] * data[0] - data[1]


def line_with_noise(model, data):
    return Observed(data[1], Normal(model["a"] + model["b"] * data[0], 0.5))


def saturation(model, data):
    x = data[0]
    return model["a"] * x / (model["k"] + x) - data[1]


def model(**values):
    return {name: jnp.asarray(value) for name, value in values.items()}


@pytest.mark.slow
@pytest.mark.parametrize("residuals", [line, line_with_noise])
def test_the_profile_of_a_line_is_a_parabola(residuals):
    result = fit(
        model(a=0.0, b=0.0), residuals, (TS, 1 + 2 * TS + NOISE), parameters=[leaf("a"), leaf("b")], progress=False
    )
    profiles = profile(result, level=0.9)
    error = result.standard_errors
    for one in profiles:
        reach = result.student(0.9) * error[one.name]
        np.testing.assert_allclose(one.interval, [one.value - reach, one.value + reach], rtol=1e-6)
        expected = profiles.threshold * ((one.values - one.value) / reach) ** 2
        np.testing.assert_allclose(one.costs, expected, rtol=1e-6, atol=1e-9)
        assert one.is_closed and one.remark() == "" and one.unfinished == 0
        assert 15 <= one.values.size <= 21
        assert np.all(np.diff(one.values) > 0) and one.costs[0] > profiles.threshold < one.costs[-1]
    slope = result.covariance[0, 1] / result.covariance[0, 0]  # the other follows along the regression
    path = profiles["a"].path
    np.testing.assert_allclose(path[:, 1] - result.values["b"], slope * (path[:, 0] - result.values["a"]), atol=1e-6)
    assert profiles.better is None and profiles.drop == 0 and profiles.remark() == ""
    assert "90 % profile interval" in profiles.summary() and "<table>" in profiles._repr_html_()


def by_brute_force(residuals, values, index, threshold, direction):
    """An interval's end, by SciPy alone."""
    best = scipy.optimize.least_squares(residuals, values, xtol=1e-14, ftol=1e-14, gtol=1e-14)

    def above(offset):
        held = best.x[index] + direction * offset
        others = scipy.optimize.least_squares(
            lambda x: residuals(np.insert(x, index, held)), np.delete(best.x, index), xtol=1e-14, ftol=1e-14, gtol=1e-14
        )
        return others.cost - best.cost - threshold * best.cost

    far = 1e-3
    while above(far) < 0:
        far *= 1.5
    return best.x[index] + direction * scipy.optimize.brentq(above, far / 1.5, far, xtol=1e-12)


def fitted_saturation(lowest_a=-np.inf):
    x = np.linspace(0.05, 2.0, 25)
    y = 3 * x / (0.7 + x) + 0.25 * np.asarray(NOISE)
    parameters = [leaf("a", bounds=(lowest_a, None)), leaf("k", transform=Log(), unit="mM")]
    start = model(a=4.0, k=1.0)
    return x, y, fit(start, saturation, (jnp.asarray(x), jnp.asarray(y)), parameters=parameters, progress=False)


def test_curved_profiles_agree_with_scipy():
    x, y, result = fitted_saturation()
    profiles = profile(result)
    residuals = lambda b: b[0] * x / (b[1] + x) - y
    threshold = scipy.stats.f.ppf(0.95, 1, 23) / 23
    for index, name in enumerate("ak"):
        expected = [by_brute_force(residuals, [3.0, 0.7], index, threshold, direction) for direction in (-1, 1)]
        np.testing.assert_allclose(profiles.intervals[name], expected, rtol=2e-5)
    low, high = profiles["a"].interval
    assert high - profiles["a"].value > 1.2 * (profiles["a"].value - low)  # a standard error would not see this


def test_a_bound_leaves_the_interval_open():
    result = fitted_saturation(lowest_a=2.9)[2]
    profiles = profile(result)
    one = profiles["a"]
    assert one.interval[0] == 2.9 and np.isfinite(one.interval[1])
    assert one.remark() == "open below: its bound" and not one.is_closed
    assert one.values[0] == 2.9


@pytest.mark.slow
def test_a_parameter_on_its_bound_is_profiled_away_from_it():
    result = fit(
        model(a=1.0, b=0.5),
        line_with_noise,
        (TS, 1 - 0.1 * TS + 0.5 * NOISE),
        parameters=[leaf("a"), leaf("b", bounds=(0, None))],
        progress=False,
    )
    assert result.at_bound[1]
    one = profile(result, names=["b"])["b"]
    assert one.interval[0] == 0
    weight = np.sum((TS - TS.mean()) ** 2) / 0.25  # the profile in b: a parabola around the unbounded optimum
    free = np.sum((TS - TS.mean()) * (1 - 0.1 * TS + 0.5 * NOISE)) / np.sum((TS - TS.mean()) ** 2)
    assert free < 0
    expected = free + np.sqrt(free**2 + scipy.stats.chi2.ppf(0.95, 1) / weight)
    np.testing.assert_allclose(one.interval[1], expected, rtol=1e-5)


@pytest.mark.slow
def test_a_flat_direction_has_no_end():
    product = lambda m, d: m["a"] * m["b"] * d[0] - d[1]
    result = fit(
        model(a=1.0, b=1.0),
        product,
        (TS, 2 * TS + NOISE),
        parameters=[leaf("a", transform=Log()), leaf("b", transform=Log())],
        progress=False,
        throw=False,
    )
    profiles = profile(result)
    assert profiles.intervals == {"a": (0, np.inf), "b": (0, np.inf)}
    assert "no end below: under the threshold as far as" in profiles["a"].remark()
    path = profiles["a"].path
    np.testing.assert_allclose(path[:, 0] * path[:, 1], path[0, 0] * path[0, 1], rtol=1e-5)
    assert path[-1, 0] > 1e4 * profiles["a"].value


@pytest.mark.slow
def test_a_profile_that_levels_off_has_one_end():
    x = jnp.linspace(0.05, 0.6, 25)
    result = fit(
        model(a=1.0, k=1.0),
        saturation,
        (x, 3 * x / (0.7 + x) + 0.3 * NOISE),
        parameters=[leaf("a", transform=Log()), leaf("k", transform=Log())],
        progress=False,
    )
    one = profile(result, names=["k"])["k"]
    assert 0 < one.interval[0] < one.value and one.interval[1] == np.inf


@pytest.mark.slow
def test_failing_simulations_end_a_walk_with_the_reason():
    fragile = lambda m, d: jnp.where(m["b"] > 2.1, jnp.nan, line(m, d))
    result = fit(
        model(a=0.0, b=0.0), fragile, (TS, 1 + 2 * TS + NOISE), parameters=[leaf("a"), leaf("b")], progress=False
    )
    assert result.values["b"] < 2.08
    one = profile(result, names=["b"])["b"]
    assert np.isfinite(one.interval[0]) and np.isnan(one.interval[1])
    assert 2.095 < one.values[-1] <= 2.1
    assert "simulations fail beyond 2." in one.remark() and "NaN" in one.remark()


@pytest.mark.slow
def test_an_exception_ends_the_profile():
    raising = lambda m, d: line({**m, "b": eqx.error_if(m["b"], m["b"] > 2.1, "too steep")}, d)
    result = fit(
        model(a=0.0, b=1.9), raising, (TS, 1 + 2 * TS + NOISE), parameters=[leaf("a"), leaf("b")], progress=False
    )
    with pytest.raises(RuntimeError, match="`residuals` raised: .*too steep"):
        profile(result, names=["b"])


@pytest.mark.slow
def test_a_lower_cost_on_the_way_is_reported():
    tilted = Problem(
        model(x=0.9),
        lambda m, d: Observed(jnp.zeros(2), Normal(jnp.stack([m["x"] ** 2 - 1, 0.2 * (m["x"] + 1)]) * d, 1.0)),
        jnp.asarray(1.5),
        parameters=[leaf("x")],
    )
    result = fit(tilted, progress=False)
    assert result.values["x"] > 0
    with pytest.warns(UserWarning, match="the fit is not at the optimum"):
        profiles = profile(result)
    assert profiles.better is not None and profiles.better["x"][0] < 0 and profiles.drop > 0.1
    assert "Fit again from there" in profiles.summary()
    again = fit(tilted, starts=UserStarts([profiles.better]), progress=False)
    assert again.cost < result.cost - 0.9 * profiles.drop


@pytest.mark.slow
def test_bad_input():
    result = fit(model(a=0.0, b=0.0), line, (TS, 1 + 2 * TS + NOISE), parameters=[leaf("a"), leaf("b")], progress=False)
    with pytest.raises(ValueError, match=r"names holds \['c'\], but the parameters are"):
        profile(result, names=["c"])
    with pytest.raises(ValueError, match="write \\['a'\\]"):
        profile(result, names="a")
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        profile(result, level=95.0)
    with pytest.raises(ValueError, match="num_points must be at least 2"):
        profile(result, num_points=1)
    with pytest.raises(KeyError, match="No profile of 'b'"):
        profile(result, names=["a"])["b"]
    exact = fit(model(a=0.0, b=0.0), line, (TS[:2], 1 + 2 * TS[:2]), parameters=[leaf("a"), leaf("b")], progress=False)
    with pytest.raises(ValueError, match="0 degrees of freedom.*State the noise"):
        profile(exact)
