"""Simulation-based calibration: a right model passes, wrong ones are found out and described; bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import calibrate, LatinHypercube, Normal, Observed, Parameter, Problem
from kinax.solvers._fit import prior_draws

X = np.stack([np.ones(6), np.linspace(-1, 1, 6)], axis=1)
PARAMETERS = [Parameter(lambda m: m["b"], name="b", prior=Normal(0.0, 2.0))]


def line(model, data):
    return Observed(data, Normal(jnp.asarray(X) @ model["b"] + model["shift"], model["sd"]))


def problem(sd=0.7, shift=0.0, parameters=PARAMETERS, residuals=line):
    model = {"b": jnp.zeros(2), "sd": jnp.asarray(sd), "shift": jnp.asarray(shift)}
    return Problem(model, residuals, jnp.zeros(6), parameters=parameters)


@pytest.mark.slow
def test_right_and_wrong_models():
    kind = {"num_draws": 31, "thin": 3, "num_warmup": 60, "progress": False}
    right = calibrate(problem(), **kind)
    assert right.is_calibrated and right.ranks.shape == (200, 2) and not right.failed.any()
    assert "no sign of miscalibration" in str(right) and right.names == ("b[0]", "b[1]")
    narrow = calibrate(problem(), truth=problem(sd=1.4), **kind)
    assert not narrow.is_calibrated and "too narrow" in str(narrow) and "not calibrated" in narrow._repr_html_()
    wide = calibrate(problem(), truth=problem(sd=0.2), **kind)
    assert not wide.is_calibrated and "too wide" in str(wide)
    shifted = calibrate(problem(), truth=problem(shift=0.4), **kind)
    assert "posterior lies too high" in str(shifted)


def test_draws_from_priors_lie_inside_the_bounds_not_on_them():
    cut = [Parameter(lambda m: m["b"], name="b", prior=Normal(0.0, 2.0), bounds=(-0.1, None))]
    draws = prior_draws(problem(parameters=cut), jax.random.key(0), 100)
    assert draws.shape == (100, 2) and (draws > -0.1).all()
    points = LatinHypercube(41).points(problem(parameters=cut), jax.random.key(0))
    assert points.shape == (41, 2) and (points > -0.1).all()


def test_bad_input():
    flat = [Parameter(lambda m: m["b"], name="b")]
    with pytest.raises(ValueError, match="b has none"):
        calibrate(problem(parameters=flat))
    plain = lambda m, data: jnp.asarray(X) @ m["b"] - data
    with pytest.raises(ValueError, match="plain residuals"):
        calibrate(problem(residuals=plain))
    censored = lambda m, data: Observed(data, Normal(jnp.asarray(X) @ m["b"], m["sd"]), below=data > 0)
    with pytest.raises(ValueError, match="censored"):
        calibrate(problem(residuals=censored))
    with pytest.raises(ValueError, match="thin must be a positive integer"):
        calibrate(problem(), thin=0)
    outside = [Parameter(lambda m: m["b"], name="b", prior=Normal(0.0, 2.0), bounds=(-0.001, 0.001))]
    with pytest.raises(ValueError, match="outside its bounds"):
        calibrate(problem(parameters=outside))
    other = [Parameter(lambda m: m["b"], name="c", prior=Normal(0.0, 2.0))]
    with pytest.raises(ValueError, match="those of truth"):
        calibrate(problem(), truth=problem(parameters=other))
