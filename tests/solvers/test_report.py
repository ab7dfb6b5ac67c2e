"""Pictures, files and pages of a fit: what they show, that they come back, and what is refused."""

import json
import types
import zipfile
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
import scipy.stats
from kinax.solvers import (
    Experiments,
    fit,
    load_fit,
    Log,
    LogNormal,
    Normal,
    Observed,
    Parameter,
    Problem,
    profile,
    StudentT,
    TimeSeries,
)
from kinax.solvers._report import quantile, read_archive, recordings, write_archive

plt.switch_backend("agg")
T = np.linspace(0.5, 6.0, 12)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def measured(model, data):
    series = data["series"]
    return series.observed(Normal(data["dose"] * jnp.exp(-model["k"] * series.ts), model["sd"]))


K, SD = ((lambda m, name=name: m[name]) for name in ("k", "sd"))  # the same functions each time: nothing compiles twice


def problem(seed=0):
    """Two experiments; one has a datum that is missing and one that is censored."""
    rng = np.random.default_rng(seed)
    values = {"low": np.exp(-0.5 * T), "high": 3 * np.exp(-0.5 * T)}
    values = {name: v + 0.05 * rng.standard_normal(T.size) for name, v in values.items()}
    values["low"][2] = np.nan
    below = np.arange(T.size) == 5
    data = {
        "low": {"series": TimeSeries(T, values["low"], below=below), "dose": jnp.asarray(1.0)},
        "high": {"series": TimeSeries(T, values["high"], below=below & False), "dose": jnp.asarray(3.0)},
    }
    parameters = [
        Parameter(K, name="k", unit="1/h", transform=Log(), bounds=(0.01, 10.0)),
        Parameter(SD, name="sd", transform=Log(), bounds=(1e-3, 1.0)),
    ]
    start = {"k": jnp.asarray(1.0), "sd": jnp.asarray(0.2)}
    return Problem(start, measured, Experiments(data), parameters=parameters)


@pytest.fixture(scope="module")
def result():
    return fit(problem(), starts=6, progress=False)


@pytest.fixture(scope="module")
def plain():
    residuals = lambda model, data: model["a"] * jnp.exp(-model["k"] * data[0]) - data[1]
    noise = 0.03 * np.random.default_rng(3).standard_normal(T.size)
    parameters = [Parameter(lambda m, n=n: m[n], name=n) for n in ("a", "k")]
    data = (jnp.asarray(T), jnp.asarray(2 * np.exp(-0.4 * T) + noise))
    return fit({"a": jnp.asarray(1.0), "k": jnp.asarray(1.0)}, residuals, data, parameters=parameters, progress=False)


def test_the_picture_of_a_fit_shows_data_prediction_and_band(result):
    low, high = result.plot.fit()
    assert (low.get_title(loc="left"), high.get_title(loc="left")) == ("low", "high")
    assert low.get_xlabel() == "time"
    line = next(one for one in high.get_lines() if one.get_linestyle() == "-")
    np.testing.assert_allclose(line.get_ydata(), 3 * np.exp(-result.values["k"] * T), rtol=1e-6)
    band = high.collections[0].get_paths()[0].vertices
    edge = line.get_ydata().max() + scipy.stats.norm.ppf(0.975) * result.values["sd"]
    np.testing.assert_allclose(band[:, 1].max(), edge, rtol=1e-6)
    marks = {one.get_marker(): one for one in low.get_lines() if one.get_linestyle() == "None"}
    np.testing.assert_array_equal(marks["v"].get_xdata(), T[5:6])
    np.testing.assert_array_equal(marks["|"].get_xdata(), T[2:3])
    assert marks["o"].get_xdata().size == T.size - 2
    words = [text.get_text() for text in low.figure.legends[0].get_texts()]
    assert words == ["fit", "95 % of data, as predicted", "data", "at most", "not measured"]


def test_a_smooth_curve_has_the_confidence_band_of_predict(plain):
    grid = jnp.linspace(0.0, 6.0, 31)
    observe = lambda model: model["a"] * jnp.exp(-model["k"] * grid)
    figure, ax = plt.subplots()
    assert plain.plot.fit(observe, grid, ax=ax) is ax and ax.figure is figure
    value, error = plain.predict(observe)
    band = np.asarray(ax.collections[0].get_paths()[0].vertices)
    np.testing.assert_allclose(band[:, 1].max(), np.max(value + plain.student(0.95) * error), rtol=1e-6)
    assert any(one.get_marker() == "o" and np.size(one.get_xdata()) == T.size for one in ax.get_lines())
    with pytest.raises(ValueError, match="together"):
        plain.plot.fit(observe)
    with pytest.raises(ValueError, match="31 rows for 4 times"):
        plain.plot.fit(observe, np.arange(4.0))


def test_residuals_are_scaled_and_normal_scores(result, plain):
    left, right = plain.plot.fit()  # plain residuals do not tell what was measured
    scores = next(one for one in left.get_lines() if one.get_marker() == "o").get_ydata()
    np.testing.assert_allclose(scores, plain.residuals / np.sqrt(plain.scatter))
    np.testing.assert_allclose(np.sort(scores), right.get_lines()[-1].get_ydata())
    left, _ = result.plot.residuals(experiment="low")
    scores = next(one for one in left.get_lines() if one.get_marker() == "o").get_ydata()
    tree = result.residuals["low"]
    expected = (tree.values - tree.distribution.mean) / tree.distribution.sd
    keep = (np.arange(T.size) != 2) & (np.arange(T.size) != 5)
    np.testing.assert_allclose(scores[keep], expected[keep], rtol=1e-6)
    assert np.isnan(scores[~keep]).all()


def test_quantiles_of_any_noise():
    p, like = jnp.asarray(0.9), jnp.zeros(2)
    mu = jnp.asarray([0.0, 5.0])
    np.testing.assert_allclose(
        quantile(LogNormal(mu, 0.3), p, like), scipy.stats.lognorm.ppf(0.9, 0.3, scale=np.exp(mu))
    )
    student = StudentT(3.0, jnp.asarray([-1e6, jnp.nan]), 2.0)
    np.testing.assert_allclose(quantile(student, p, like), np.array([scipy.stats.t.ppf(0.9, 3, -1e6, 2), np.nan]))


def test_waterfall_and_correlation(result, plain):
    ax = result.plot.waterfall()
    np.testing.assert_allclose(ax.get_lines()[0].get_ydata(), np.sort(result.starts.cost) - result.starts.cost.min())
    ax = plain.plot.correlation()
    np.testing.assert_allclose(ax.get_images()[0].get_array(), plain.correlation)
    assert [text.get_text() for text in ax.get_xticklabels()] == ["a", "k"]


@pytest.fixture(scope="module")
def profiles(result):
    return profile(result, num_points=4)


@pytest.mark.slow
def test_profiles_and_their_parabolas(result, profiles):
    axes = result.plot.profiles(profiles)
    assert [ax.get_xlabel() for ax in axes] == ["k [1/h]", "sd"]
    lines = {line.get_label(): line for line in axes[0].get_lines()}
    parabola, curve = lines["linearized"], lines["profile"]
    np.testing.assert_array_equal(curve.get_xdata(), profiles["k"].values)
    there = np.interp(curve.get_xdata(), parabola.get_xdata(), parabola.get_ydata())
    near = curve.get_ydata() < 0.5
    assert near.sum() >= 4
    np.testing.assert_allclose(there[near], curve.get_ydata()[near], rtol=0.06, atol=1e-9)
    with pytest.raises(ValueError, match="1 axes, but this picture has 2 panels"):
        result.plot.profiles(profiles, ax=axes[0])


def test_trace(result):
    z = np.asarray(result.z) + result.coordinate_errors * np.random.default_rng(0).standard_normal((2, 50, 2))
    draws = types.SimpleNamespace(problem=result.problem, values=np.exp(z), diverged=z[:, :, 0] > np.inf)
    axes = result.plot.trace(draws)
    assert axes.size == 4 and axes[0].get_xlabel() == "k [1/h]"
    np.testing.assert_allclose(axes[1].get_lines()[1].get_ydata(), draws.values[1, :, 0])


def test_the_table_of_starts(result):
    best, *_ = str(result.starts).splitlines()[2:]
    assert best.split()[0] == str(result.starts.best) and "converged" in best
    assert "<table>" in result.starts._repr_html_() and "6 starts; 6 converged." in str(result.starts)


def test_bad_requests(result):
    with pytest.raises(ValueError, match="No experiment 'middle'; there are low, high"):
        result.plot.fit(experiment="middle")


def test_a_saved_fit_comes_back(result, tmp_path):
    path = tmp_path / "folder" / "fit.zip"
    result.save(path)
    record = load_fit(path)
    assert record.values == result.values and record.standard_errors == result.standard_errors
    assert str(result) in str(record) and f"jax {jax.__version__}" in str(record)
    np.testing.assert_array_equal(record.data["low/series.values"], result.problem.data["low"]["series"].values)
    np.testing.assert_array_equal(record.starts.z, result.starts.z)
    assert record.about["recipe"]["starts"] == "LatinHypercube(n=6)"
    again = load_fit(path, problem())
    assert str(again) == str(result) and again.values == result.values and again.cost == result.cost
    with zipfile.ZipFile(path) as file:  # for other programs, too
        about = json.loads(file.read("fit.json"))
        np.testing.assert_array_equal(np.load(file.open("covariance.npy")), result.covariance)
    assert about["parameters"][0] | {"value": 0} == {
        "name": "k",
        "unit": "1/h",
        "value": 0,
        "standard_error": result.standard_errors["k"],
        "initial": 1.0,
        "lower": 0.01,
        "upper": 10.0,
        "vary": True,
        "tied": False,
    }


def rewrite(path, change=lambda about: None, cost=None):
    """The same file with another JSON, or another cost."""
    about, arrays = read_archive(path)
    change(about)
    write_archive(path, about, arrays if cost is None else arrays | {"cost": np.asarray(cost)})


def test_a_fit_of_something_else_is_refused_and_a_cost_that_differs_is_told(result, tmp_path):
    path = tmp_path / "fit.zip"
    result.save(path)
    formula = load_fit(path).about["fingerprint"]["formula"]
    with pytest.raises(ValueError, match="another problem: it differs in data\\. "):
        load_fit(path, problem(seed=1))
    rewrite(path, lambda about: about["fingerprint"].update(formula="?"))
    with pytest.raises(ValueError, match="it differs in formula"):
        load_fit(path, problem())
    rewrite(path, lambda about: about["versions"].update(jax="0.9"))  # formulas of other versions: the cost decides
    assert load_fit(path, problem()).cost == result.cost
    rewrite(path, cost=result.cost + 0.1)
    with pytest.raises(ValueError, match="the formula is another one"):
        load_fit(path, problem())
    rewrite(path, lambda about: about["fingerprint"].update(formula=formula))
    with pytest.warns(UserWarning, match="The cost at the saved fit"):
        load_fit(path, problem())


def test_damaged_files_are_refused(result, tmp_path):
    path = tmp_path / "fit.zip"
    result.save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for place in [*rng.integers(0, len(whole), 60).tolist(), 0]:
        broken = bytearray(whole)
        broken[place] ^= 255
        path.write_bytes(broken if place % 2 else broken[:place])
        try:
            assert load_fit(path).values == result.values  # a bit that means nothing, a date say
        except ValueError as error:
            assert "not a saved fit, or it is damaged" in str(error)
    with pytest.raises(FileNotFoundError):
        load_fit(tmp_path / "nothing.zip")
    path.write_bytes(whole)
    rewrite(path, lambda about: about.pop("versions"))
    with pytest.raises(ValueError, match="damaged"):
        load_fit(path)
    rewrite(path, lambda about: about.update(format="kinax-fit-9"))
    with pytest.raises(ValueError, match="kinax-fit-9"):
        load_fit(path)


def test_the_report_stands_alone(result, plain, tmp_path):
    page = tmp_path / "report.html"
    result.report(page)
    text = page.read_text()
    for part in ("Parameters", "Data and fit", "Correlations", "No simulation failed", "SHA-256"):
        assert part in text
    assert text.count("data:image/png;base64,") == 4
    assert "http" not in text and "src=" not in text.replace('src="data:', "") and "href" not in text
    assert not plt.get_fignums()
    plain.report(page)
    assert "Residuals" in page.read_text() and "Data and fit" not in page.read_text()


@pytest.mark.slow
def test_the_report_shows_profiles(result, profiles, tmp_path):
    page = tmp_path / "report.html"
    result.report(page, profiles=profiles)
    text = page.read_text()
    assert "Profile likelihoods" in text and text.count("data:image/png;base64,") == 5
    assert "http" not in text and "src=" not in text.replace('src="data:', "") and "href" not in text


@pytest.mark.filterwarnings("ignore:The chararray class:DeprecationWarning")  # in treescope, with NumPy 2.5
def test_treescope_shows_problems_and_results(plain):
    treescope = pytest.importorskip("treescope")
    assert "FitResult" in treescope.render_to_text(plain)
    assert "<" in treescope.render_to_html(plain.problem)


def test_observed_data_without_times_are_numbered():
    observed = Observed(jnp.arange(4.0), Normal(jnp.ones(4), 1.0))
    problem = types.SimpleNamespace(experiments=("data",), data={"data": jnp.arange(4.0)})
    result: Any = types.SimpleNamespace(problem=problem, residuals={"force": observed})
    (found,) = recordings(result, "data")
    assert found.label == "force" and not found.is_timed
    np.testing.assert_array_equal(found.xs, np.arange(4))
