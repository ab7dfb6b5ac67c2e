"""Which combinations of parameters the data determine: known cases, and ill-conditioned ones that are determined."""

import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import fit, Forward, identifiability, integrate, Log, Normal, Observed, Parameter

TS = jnp.linspace(0.0, 4.0, 25)
NOISE = jnp.asarray(np.random.default_rng(0).standard_normal(25))


def leaf(name, **options):
    return Parameter(lambda m: m[name], name=name, **options)


def fitted(residuals, data, values, **options):
    start = {name: jnp.asarray(value) for name, value in values.items()}
    parameters = [leaf(name, **options) for name in values]
    return fit(start, residuals, data, parameters=parameters, progress=False, throw=False)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"transform": Log()}])
def test_a_product_is_determined_but_not_its_factors(options):
    residuals = lambda m, d: m["a"] * m["b"] * jnp.exp(-m["k"] * d[0]) - d[1]
    found = identifiability(
        fitted(residuals, (TS, 6 * jnp.exp(-0.8 * TS) + 0.1 * NOISE), {"a": 1.0, "b": 2.0, "k": 0.5}, **options)
    )
    assert found.structural.tolist() == [False, False, True] and not found.practical.any()
    assert found.combination(2) in ("0.71 log(a) - 0.71 log(b)", "0.71 log(b) - 0.71 log(a)")
    assert found.verdicts == {"a": "not determined", "b": "not determined", "k": "determined"}
    assert np.isinf(found.errors[:2]).all() and found.errors[2] < 0.05
    assert "structural" in found.summary() and "<table>" in found._repr_html_()


@pytest.mark.slow
def test_errors_are_those_of_the_fit():
    residuals = lambda m, d: m["a"] * jnp.exp(-m["k"] * d[0]) - d[1]
    result = fitted(residuals, (TS, -6 * jnp.exp(-0.8 * TS) + 0.1 * NOISE), {"a": -1.0, "k": 0.5})
    found = identifiability(result)
    expected = [result.standard_errors[name] / abs(result.values[name]) for name in ("a", "k")]
    np.testing.assert_allclose(found.errors, expected, rtol=1e-8)
    assert "log(-a)" in found.combination(0) and "determine all combinations" in found.summary()
    information = (found.directions * found.eigenvalues[None, :]) @ found.directions.T
    np.testing.assert_allclose(np.sqrt(np.diag(np.linalg.inv(information))), expected, rtol=1e-8)


@pytest.mark.slow
def test_michaelis_menten_at_low_dose_is_practical():
    rate = lambda m, d: Observed(d[1], Normal(m["Vmax"] * d[0] / (m["Km"] + d[0]), 1e-5))
    dose = jnp.linspace(1e-4, 1e-3, 25)
    result = fitted(rate, (dose, 2 * dose / (1 + dose)), {"Vmax": 2.0, "Km": 1.0}, transform=Log())
    found = identifiability(result)
    assert not found.structural.any() and found.practical.tolist() == [False, True]
    assert found.combination(1) in ("0.71 log(Vmax) + 0.71 log(Km)", "0.71 log(Km) + 0.71 log(Vmax)")
    assert set(found.verdicts.values()) == {"poorly determined"} and "more or better data" in found.summary()
    assert not identifiability(result, limit=1e6).practical.any()
    slope = lambda m, d: m["Vmax"] / m["Km"] * d[0] - d[1]
    linear = identifiability(fitted(slope, (dose, 2 * dose + 1e-4 * NOISE), {"Vmax": 2.0, "Km": 1.0}))
    assert linear.structural.tolist() == [False, True]


@pytest.mark.slow
def test_a_redundant_pair_in_a_differential_equation():
    def residuals(m, d):
        field = lambda t, y, m: -(m["k"] + m["loss"]) * y + m["feed"]
        solution = integrate(field, jnp.asarray(1.0), d[0], args=m, adjoint=Forward(), throw=False)
        return solution.ys - d[1], solution.result

    ys = 0.25 + 0.75 * jnp.exp(-0.8 * TS) + 0.01 * NOISE
    found = identifiability(fitted(residuals, (TS, ys), {"k": 0.3, "loss": 0.4, "feed": 0.1}))
    assert found.structural.tolist() == [False, False, True]
    assert found.verdicts == {"k": "not determined", "loss": "not determined", "feed": "determined"}
    lost = found.directions[:, 2] * found.values  # in the parameters themselves, k and loss trade one to one
    np.testing.assert_allclose([lost[0] + lost[1], lost[2]], 0, atol=1e-6)


# The shapes of NIST's Bennett5 and MGH10: determined, though by far less than their condition numbers suggest.
@pytest.mark.slow
def test_ill_conditioned_is_not_structural():
    x = jnp.linspace(7.0, 50.0, 60)
    noise = 1e-3 * jnp.asarray(np.random.default_rng(1).standard_normal(60))
    bennett = lambda m, d: m["a"] * (m["b"] + d[0]) ** (-1 / m["c"]) - d[1]
    found = identifiability(
        fitted(bennett, (x, -2500.0 * (46.0 + x) ** (-1 / 0.93) + noise), {"a": -2000.0, "b": 50.0, "c": 0.8})
    )
    assert not found.structural.any() and found.condition > 1e6


def test_worse_conditioned_is_not_structural_either():
    dose = jnp.linspace(50.0, 125.0, 16)
    mgh10 = lambda m, d: m["a"] * jnp.exp(m["b"] / (d[0] + m["c"])) - d[1]
    truth = 0.0056 * jnp.exp(6181.0 / (dose + 345.0))
    found = identifiability(fitted(mgh10, (dose, truth + NOISE[:16]), {"a": 0.005, "b": 6000.0, "c": 340.0}))
    assert not found.structural.any() and found.condition > 1e6


@pytest.mark.slow
def test_a_parameter_at_its_bound_is_left_out():
    residuals = lambda m, d: m["a"] + m["b"] * d[0] - d[1]
    start = {"a": jnp.asarray(1.0), "b": jnp.asarray(1.0)}
    result = fit(
        start,
        residuals,
        (TS, 1 - TS + 0.1 * NOISE),
        parameters=[leaf("a"), leaf("b", bounds=(0, None))],
        progress=False,
    )
    found = identifiability(result)
    assert found.verdicts["b"] == "at its bound" and found.eigenvalues.shape == (1,) and np.isnan(found.errors[1])
    alone = fit(
        {"b": jnp.asarray(1.0)}, lambda m, d: m["b"] * d[0] - d[1], (TS, -TS), parameters=[leaf("b", bounds=(0, 2))]
    )
    assert "nothing can be said" in str(identifiability(alone))
    with pytest.raises(ValueError, match="limit must be positive"):
        identifiability(result, limit=0.0)
