"""Many data sets of one shape: each as if fitted alone, a failing one beside the others, resumed when interrupted."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import Checkpoint, fit, fit_each, Log, Parameter
from kinax.solvers._fit import _each, _fit

X = np.linspace(0.0, 3.0, 12)
PARAMETERS = [
    Parameter(lambda m: m["amplitude"], name="amplitude"),
    Parameter(lambda m: m["rate"], name="rate", transform=Log()),
]
MODEL = {"amplitude": jnp.asarray(1.0), "rate": jnp.asarray(1.0)}


def residuals(model, data):
    return model["amplitude"] * jnp.exp(-model["rate"] * X) - jnp.where(data > 1e3, jnp.nan, data)


def make_data(n):
    rng = np.random.default_rng(3)
    truth = np.stack([rng.uniform(1, 3, n), rng.uniform(0.5, 2, n)], axis=1)
    noise = 0.01 * rng.normal(size=(n, X.size))
    return truth, {f"cell {k}": a * np.exp(-b * X) + e for k, ((a, b), e) in enumerate(zip(truth, noise, strict=True))}


def test_each_is_the_fit_of_its_own_data():
    truth, data = make_data(8)
    data["broken"] = np.full(X.size, 2e3)
    data["short"] = data["cell 0"].copy()
    fits = fit_each(MODEL, residuals, data, parameters=PARAMETERS, progress=False)
    alone = fit(MODEL, residuals, data["cell 3"], parameters=PARAMETERS, progress=False)
    np.testing.assert_array_equal(fits["cell 3"].z, alone.z)
    assert fits["cell 3"].standard_errors == alone.standard_errors
    assert list(fits) == list(data) and len(fits) == 10 and fits.parameters == ("amplitude", "rate")
    np.testing.assert_array_equal(fits.converged, [True] * 8 + [False, True])
    pulls = (fits.values[:8] - truth) / fits.standard_errors[:8]
    assert np.all(np.abs(pulls) < 4) and 0.5 < np.sqrt(np.mean(pulls**2)) < 1.6
    np.testing.assert_array_equal(fits.values[9], fits.values[0])
    text = fits.summary()
    assert "cell 7" in text and "NaN" in text and "10 data sets; 9 converged." in text
    assert "<table>" in fits._repr_html_() and np.isfinite(fits.costs).all()
    with pytest.raises(KeyError, match="No data set 'cell 99'"):
        _ = fits["cell 99"]


def test_a_checkpoint_goes_on_to_the_same_bits(tmp_path, monkeypatch):
    _, data = make_data(6)
    saved = Checkpoint(tmp_path / "fits.npz", every=0.0)
    run = lambda data, **more: fit_each(MODEL, residuals, data, parameters=PARAMETERS, progress=False, **more)
    whole = run(data)

    class Bar(_each.tqdm):
        seen = 0

        def update(self, n=1):
            Bar.seen += 1
            if Bar.seen == 2:
                raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(_each, "tqdm", Bar)
        run(data, checkpoint=saved)
    begun = []
    patched = _fit.Plan.found
    monkeypatch.setattr(_fit.Plan, "found", lambda plan, *rest, **more: begun.append(1) or patched(plan, *rest, **more))
    again = run(data, checkpoint=saved)
    assert 0 < len(begun) < 6
    np.testing.assert_array_equal(again.values, whole.values)
    np.testing.assert_allclose(again.standard_errors, whole.standard_errors, rtol=1e-9)
    with pytest.raises(ValueError, match="differs in data"):
        run({**data, "cell 0": data["cell 0"] + 1e-3}, checkpoint=saved)


@pytest.mark.parametrize("data", [{}, {1: X, "1": X}])
def test_data_without_distinct_names_are_refused(data):
    with pytest.raises(ValueError, match="fit_each"):
        fit_each(MODEL, residuals, data, parameters=PARAMETERS)


def test_inside_a_program_it_refuses_and_leaves_nothing_behind():
    _, data = make_data(1)
    with pytest.raises(TypeError, match="estimate"):
        jax.jit(lambda rate: fit_each(MODEL | {"rate": rate}, residuals, data, parameters=PARAMETERS)["cell 0"].z)(1.0)
    assert fit(MODEL, residuals, data["cell 0"], parameters=PARAMETERS, progress=False).values["rate"] > 0
