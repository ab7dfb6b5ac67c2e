"""The fit of the first example agrees with SciPy's, on an independent simulation."""

import pathlib
import runpy

import numpy as np
import scipy.integrate
import scipy.optimize

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "01_lynx_hare.py"


def test_fit_agrees_with_scipy(tmp_path, monkeypatch):
    monkeypatch.setenv("KINAX_OUT", str(tmp_path))
    monkeypatch.setenv("MPLBACKEND", "Agg")
    result = runpy.run_path(str(EXAMPLE))["result"]
    assert (tmp_path / "lynx_hare.png").stat().st_size > 10_000

    record = np.array(
        "30 47.2 70.2 77.4 36.3 20.6 18.1 21.4 22 25.4 27.1 40.3 57 76.6 52.3 19.5 11.2 7.6 14.6 16.2 24.7 "
        "4 6.1 9.8 35.2 59.4 41.7 19 13 8.3 9.1 7.4 8 12.3 19.5 45.7 51.1 29.7 15.8 9.7 10.1 8.6".split(),
        dtype=float,
    ).reshape(2, 21)

    def residuals(logs):
        alpha, beta, gamma, delta, *start = np.exp(logs)
        rate = lambda t, y: [alpha * y[0] - beta * y[0] * y[1], delta * y[0] * y[1] - gamma * y[1]]
        ts = np.arange(21.0)
        y = scipy.integrate.solve_ivp(rate, (0, 20), start, "DOP853", ts, rtol=1e-11, atol=1e-11).y
        return np.ravel(np.log(y / record))

    guess = np.log([0.5, 0.03, 0.8, 0.03, 30.0, 4.0])
    found = scipy.optimize.least_squares(residuals, guess, "3-point", method="lm", xtol=1e-13, ftol=1e-13, gtol=1e-13)
    np.testing.assert_allclose(list(result.values.values()), np.exp(found.x), rtol=1e-6)
    np.testing.assert_allclose(result.cost, found.cost, rtol=1e-9)
    covariance = 2 * found.cost / 36 * np.linalg.inv(found.jac.T @ found.jac)
    errors = np.exp(found.x) * np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(list(result.standard_errors.values()), errors, rtol=1e-5)
