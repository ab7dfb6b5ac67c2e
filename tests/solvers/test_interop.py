"""Exchange with SciPy, lmfit, numpyro, pandas and xarray: the same numbers on both sides, and clear refusals."""

from typing import Any

import jax
import jax.numpy as jnp
import lmfit
import numpy as np
import numpyro.infer
import numpyro.infer.util
import pandas as pd
import pytest
import scipy.optimize
import xarray as xr
from kinax.solvers import (
    Experiments,
    experiments_from_pandas,
    fit,
    fit_table,
    from_pandas,
    from_xarray,
    HalfNormal,
    Huber,
    Log,
    LogNormal,
    Normal,
    Parameter,
    Problem,
    Tied,
    TimeSeries,
    to_lmfit,
    to_numpyro,
    to_pandas,
    to_scipy,
    to_xarray,
)

T = np.linspace(0.0, 5.0, 20)
Y = 3 * np.exp(-0.7 * T) + 0.05 * np.random.default_rng(0).standard_normal(20)
MODEL = {"a": jnp.asarray(1.0), "k": jnp.asarray([0.2]), "half": jnp.asarray(0.5), "c": jnp.asarray(0.0)}
PARAMETERS = [
    Parameter(lambda m: m["a"], name="a", unit="V", bounds=(0.0, 10.0)),
    Parameter(lambda m: m["k"], name="k", unit="1/s", transform=Log(), bounds=(0.01, None)),
    Parameter(lambda m: m["c"], name="c", unit="V", fixed=True),
    Parameter(lambda m: m["half"], name="half", unit="V", tied=Tied(lambda p: p["a"] / 2)),
]


def residuals(model, data):
    return model["a"] * jnp.exp(-model["k"] * data[0]) + model["c"] - data[1]


PLAIN = Problem(MODEL, residuals, (jnp.asarray(T), jnp.asarray(Y)), parameters=PARAMETERS)


def measured(model, data):
    return {"x": data.observed(Normal(model["a"] * jnp.exp(-model["k"] * data.ts), model["sd"]))}


SERIES = TimeSeries(T, np.where(np.arange(20) == 3, np.nan, Y), below=np.arange(20) == 19)
LIKELY = Problem(
    {"a": jnp.asarray(1.0), "k": jnp.asarray(0.2), "sd": jnp.asarray(0.1)},
    measured,
    SERIES,
    parameters=[
        Parameter(lambda m: m["a"], name="a", prior=Normal(2.0, 3.0)),
        Parameter(lambda m: m["k"], name="k", transform=Log(), prior=LogNormal(0.0, 1.0), bounds=(0.1, 5.0)),
        Parameter(lambda m: m["sd"], name="sd", transform=Log(), prior=HalfNormal(1.0)),
    ],
)


@pytest.fixture(scope="module")
def plain():
    return fit(PLAIN, progress=False)


@pytest.fixture(scope="module")
def likely():
    return fit(LIKELY, progress=False)


def test_scipy_finds_the_same_optimum(plain, likely):
    p = to_scipy(PLAIN)
    found = scipy.optimize.least_squares(p.residuals, p.x0, p.jacobian, bounds=p.bounds, xtol=1e-12)
    np.testing.assert_allclose(list(p.values(found.x).values()), list(plain.values.values()), rtol=1e-6)
    np.testing.assert_allclose(found.cost, plain.cost, rtol=1e-10)
    np.testing.assert_allclose(p.jacobian(p.x0).T @ p.residuals(p.x0), p.gradient(p.x0), rtol=1e-10)
    p = to_scipy(LIKELY)
    found = scipy.optimize.minimize(p.cost, p.x0, jac=p.gradient, bounds=p.bounds, tol=1e-10)
    np.testing.assert_allclose(found.fun, likely.cost, rtol=1e-7)
    np.testing.assert_allclose(scipy.optimize.approx_fprime(p.x0, p.cost), p.gradient(p.x0), rtol=1e-4)


def test_scipy_least_squares_needs_squares():
    for problem in (LIKELY, Problem(MODEL, residuals, (T, Y), parameters=PARAMETERS[:2], loss=Huber(1.0))):
        p = to_scipy(problem)
        with pytest.raises(ValueError, match="not a plain sum of squares"):
            p.residuals(p.x0)


def test_a_failing_simulation_is_infinite_for_scipy():
    model = {"a": jnp.asarray(-1.0)}
    parameters = [Parameter(lambda m: m["a"], name="a")]
    p = to_scipy(Problem(model, lambda m, data: jnp.log(m["a"]) - data, jnp.zeros(2), parameters=parameters))
    assert np.isinf(p.residuals(p.x0)).all() and p.cost(p.x0) > 1e100 and (p.gradient(p.x0) == 0).all()


def test_lmfit_parameters(plain):
    parameters = to_lmfit(plain)
    assert list(parameters) == ["a", "k_0", "c", "half"] and parameters["k_0"].user_data == "k[0]"
    a, k = parameters["a"], parameters["k_0"]
    assert (a.value, a.stderr, a.init_value) == (plain.values["a"], plain.standard_errors["a"], 1.0)
    assert (a.min, a.max, k.min, k.max) == (0.0, 10.0, 0.01, np.inf)
    np.testing.assert_allclose(a.correl["k_0"], plain.correlation[0, 1])
    assert not parameters["c"].vary and not parameters["half"].vary and parameters["half"].value == a.value / 2
    before = to_lmfit(PLAIN)
    assert before["a"].value == 1.0 and before["a"].stderr is None
    fitted: Any = lmfit.minimize(lambda p: p["a"] * np.exp(-p["k_0"] * T) + p["c"] - Y, before)
    np.testing.assert_allclose(fitted.params["k_0"].value, k.value, rtol=1e-4)
    np.testing.assert_allclose(fitted.params["k_0"].stderr, k.stderr, rtol=1e-2)


@pytest.mark.slow
def test_numpyro_has_the_same_density_and_gradient(likely):
    model = to_numpyro(LIKELY)
    values = {name: jnp.asarray(value) for name, value in likely.values.items()}
    with jax.numpy_dtype_promotion("standard"):
        density = lambda values: numpyro.infer.util.log_density(model, (), {}, values)[0]
        (total, slope), trace = (
            jax.value_and_grad(density)(values),
            numpyro.infer.util.log_density(model, (), {}, values)[1],
        )
    np.testing.assert_allclose(total, -likely.cost, rtol=1e-10)
    assert isinstance(trace["a"]["fn"], numpyro.distributions.Normal)
    assert isinstance(trace["k"]["fn"], numpyro.distributions.ImproperUniform)  # the bounds cut its prior
    z_of = lambda values: jnp.stack([values["a"], jnp.log(values["k"]), jnp.log(values["sd"])])
    expected = jax.grad(lambda values: -LIKELY.evaluate(z_of(values)).cost)(values)
    for name in values:
        np.testing.assert_allclose(slope[name], expected[name], atol=1e-6)


@pytest.mark.slow
def test_numpyro_samples_the_posterior(likely):
    start = numpyro.infer.init_to_value(values=likely.values)
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        kernel = numpyro.infer.NUTS(to_numpyro(LIKELY), init_strategy=start)
        chain = numpyro.infer.MCMC(kernel, num_warmup=150, num_samples=300, progress_bar=False)
        chain.run(jax.random.key(0))
    draws = chain.get_samples()
    for name in ("a", "k"):
        error = likely.standard_errors[name]
        assert abs(np.mean(draws[name]) - likely.values[name]) < 0.5 * error
        assert 0.7 < np.std(draws[name]) / error < 1.5


def test_numpyro_refuses_residuals_without_noise():
    with pytest.raises(ValueError, match="noise is not known"):
        to_numpyro(PLAIN)


def test_a_table_of_parameters(plain):
    table = to_pandas(plain)
    head = ["name", "unit", "value", "standard_error", "initial", "lower", "upper", "vary", "tied"]
    assert list(table.columns) == head and list(table.name) == ["a", "k[0]", "c", "half"]
    assert list(table.vary) == [True, True, False, False] and list(table.tied) == [False, False, False, True]
    assert list(table.value[:2]) == list(plain.values.values()) and table.value[3] == table.value[0] / 2
    assert np.isnan(to_pandas(PLAIN).standard_error).all()


def test_a_table_of_data(likely, plain):
    table = fit_table(likely)
    assert len(table) == 19 and list(table.limit[-2:]) == ["", "below"] and set(table.series) == {"x"}
    predicted = likely.values["a"] * np.exp(-likely.values["k"] * table.time)
    np.testing.assert_allclose(table.predicted, predicted, rtol=1e-8)
    np.testing.assert_allclose(table.upper - table.lower, 2 * 1.959964 * likely.values["sd"], rtol=1e-5)
    with pytest.raises(ValueError, match="do not tell what was predicted"):
        fit_table(plain)


def test_data_frames_become_time_series():
    frame = pd.DataFrame({"t": [2, 0, 1], "x": [3.0, 1.0, np.nan], "y": [6.0, 4.0, 5.0], "low": [True, False, False]})
    series = from_pandas(frame, time="t", values=["x", "y"], sd=["x", "y"], below=["low", "low"])
    np.testing.assert_array_equal(series.ts, [0.0, 1.0, 2.0])
    np.testing.assert_array_equal(series.values, [[1, 4], [np.nan, 5], [3, 6]])
    np.testing.assert_array_equal(series.below, [[False] * 2, [False] * 2, [True] * 2])
    assert from_pandas(frame, time="t", values="y").values.shape == (3,)
    nullable = frame.assign(x=pd.array([3, 1, None], "Int64"), low=pd.array([True, None, False], "boolean"))
    again = from_pandas(nullable, time="t", values="x", below="low")
    np.testing.assert_array_equal(again.values, [1, np.nan, 3])
    np.testing.assert_array_equal(again.below, [False, False, True])
    with pytest.raises(ValueError, match="No column 'z'; there are t, x, y, low"):
        from_pandas(frame, time="t", values="z")
    with pytest.raises(ValueError, match="total_seconds"):
        from_pandas(frame.assign(t=pd.to_datetime(frame.t)), time="t", values="x")
    with pytest.raises(ValueError, match="every row needs a time"):
        from_pandas(frame, time="x", values="y")


def test_long_data_frames_become_experiments():
    frame = pd.DataFrame({"who": ["b", "b", "a"], "t": [0.0, 1.0, 0.5], "x": [1.0, 2.0, 3.0], "cut": [0, 1, 1]})
    data = experiments_from_pandas(frame, experiment="who", time="t", values="x", below="cut")
    assert isinstance(data, Experiments) and data.names == ("b", "a")
    np.testing.assert_array_equal(data["a"].ts, [0.5, np.nan])
    np.testing.assert_array_equal(data["a"].values, [3.0, np.nan])
    np.testing.assert_array_equal(data["a"].below, [True, False])
    residual = lambda model, series: series.observed(Normal(model["a"] * series.ts, 1.0))
    problem = Problem({"a": jnp.asarray(1.0)}, residual, data, parameters=[Parameter(lambda m: m["a"], name="a")])
    assert len(problem.groups) == 1 and problem.num_data == 3
    with pytest.raises(ValueError, match="Column 'who' has an empty cell: every row needs an experiment"):
        experiments_from_pandas(frame.assign(who=["b", None, "a"]), experiment="who", time="t", values="x")


def test_xarray_out_and_in(plain):
    data = to_xarray(plain)
    assert float(data.value.sel(parameter="a")) == plain.values["a"]
    assert float(data.covariance.sel(parameter="a", other="k[0]")) == float(plain.covariance[0, 1])
    assert data.start_value.dims == ("start", "parameter") and str(data.unit.sel(parameter="a").item()) == "V"
    array = xr.DataArray([[3.0, 4.0], [1.0, 2.0]], dims=("kind", "time"), coords={"time": [1.0, 0.0]})
    series = from_xarray(array)
    np.testing.assert_array_equal(series.ts, [0.0, 1.0])
    np.testing.assert_array_equal(series.values, [[4.0, 2.0], [3.0, 1.0]])
    with pytest.raises(ValueError, match="no dimension 'hour'"):
        from_xarray(array, time="hour")
