"""Distributions against SciPy, and their derivatives where naive formulas give NaN."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from kinax.solvers import Beta, fit, Gamma, HalfNormal, Identity, Log, LogNormal, Normal, Observed, Parameter, StudentT


def test_tails_of_student_s_t_and_their_derivatives():
    df, u = np.array([1.0, 2.0, 4.5, 30.0, 1000.0]), np.array([-30.0, -1.0, 0.0, 1e-3, 3.0])
    df, u = np.meshgrid(df, u)
    standard = lambda df, u: StudentT(df, jnp.zeros_like(u), jnp.ones_like(u)).log_cdf(u)

    @jax.jit
    def look(*at):
        value, by_df = jax.jvp(standard, at, (jnp.ones_like(at[0]), 0 * at[1]))
        return value, by_df, jax.vmap(jax.vmap(jax.grad(standard, argnums=1)))(*at)

    value, by_df, by_u = look(jnp.asarray(df), jnp.asarray(u))
    expected = scipy.stats.t.logcdf(u, df)
    np.testing.assert_allclose(value, expected, rtol=1e-9)
    h = 1e-4 * df
    differences = (scipy.stats.t.logcdf(u, df + h) - scipy.stats.t.logcdf(u, df - h)) / (2 * h)
    np.testing.assert_allclose(by_df, differences, rtol=1e-5, atol=1e-11)
    np.testing.assert_allclose(by_u, np.exp(scipy.stats.t.logpdf(u, df) - expected), rtol=1e-7)  # at zero, too


@pytest.mark.slow
def test_censored_student_s_t_is_fitted():
    rng = np.random.default_rng(3)
    x = np.linspace(0.0, 1.0, 60)
    y = 1 + 2 * x + 0.1 * rng.standard_t(4.0, 60)
    limit = np.minimum(y, 2.5)

    def run(m, d):
        return Observed(d["y"], StudentT(m["df"], m["a"] + m["b"] * x, m["s"]), above=d["above"])

    names = ("a", "b", "df", "s")
    scales = {"df": Log(), "s": Log()}
    parameters = [Parameter(lambda m, n=n: m[n], name=n, transform=scales.get(n, Identity())) for n in names]
    start = {n: jnp.asarray(x) for n, x in zip(names, (0.0, 1.0, 5.0, 1.0), strict=True)}
    result = fit(start, run, {"y": limit, "above": y > 2.5}, parameters=parameters, progress=False)
    assert np.isfinite(result.covariance).all()

    def cost(p):
        u, spread = limit - p[0] - p[1] * x, dict(df=np.exp(p[2]), scale=np.exp(p[3]))
        inside = scipy.stats.t.logpdf(u, **spread)
        return -np.where(y > 2.5, scipy.stats.t.logsf(u, **spread), inside).sum()

    best = scipy.optimize.minimize(cost, np.array(result.z), method="Nelder-Mead", options={"xatol": 1e-8})
    assert float(result.cost) <= best.fun + 1e-9 and float(result.cost) == pytest.approx(cost(np.array(result.z)))


def test_priors_have_slopes_at_their_edge_and_nothing_beyond():
    at = lambda prior, x: (float(prior.log_density(jnp.asarray(x))), float(jax.grad(prior.log_density)(jnp.asarray(x))))
    assert at(Gamma(1.0, 2.0), 0.0) == (pytest.approx(np.log(2)), -2)
    assert at(Beta(1.0, 2.0), 0.0) == (pytest.approx(np.log(2)), -1)
    assert at(Beta(2.0, 1.0), 1.0) == (pytest.approx(np.log(2)), 1)
    for prior, outside in ((Gamma(1.0, 2.0), -1.0), (Beta(1.0, 1.0), 2.0), (HalfNormal(1.0), -1.0)):
        assert at(prior, outside) == (-np.inf, 0)
    assert at(LogNormal(0.0, 1.0), 0.0) == (-np.inf, 0)
    x = jnp.linspace(0.1, 0.9, 5)
    np.testing.assert_allclose(Gamma(2.3, 1.7).log_density(x), scipy.stats.gamma.logpdf(x, 2.3, scale=1 / 1.7))
    np.testing.assert_allclose(Beta(2.3, 1.7).log_density(x), scipy.stats.beta.logpdf(x, 2.3, 1.7))


@pytest.mark.slow
@pytest.mark.parametrize("prior", [Gamma(3.0, 4.0), LogNormal(0.0, 0.2)])
def test_standard_errors_with_a_prior_are_those_of_every_transform(prior):
    y = jnp.array([1.5, 1.7, 1.4])

    def error(**how):
        parameter = Parameter(lambda m: m["a"], name="a", prior=prior, **how)
        run = lambda m, d: Observed(d, Normal(m["a"], 0.3))
        result = fit({"a": jnp.asarray(0.8)}, run, y, parameters=[parameter], progress=False)
        return result.standard_errors["a"], result.values["a"]

    plain, a = error()
    cost = lambda a: jnp.sum((y - a) ** 2) / (2 * 0.3**2) - prior.log_density(a)
    assert plain == pytest.approx(float(jax.hessian(cost)(jnp.asarray(a))) ** -0.5, rel=1e-6)
    assert error(transform=Log())[0] == pytest.approx(plain, rel=1e-6)
