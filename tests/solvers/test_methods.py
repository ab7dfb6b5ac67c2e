"""Solvers of optimistix and optimizers of optax behind `fit(method=...)`, and the box that they know nothing of."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import optimistix as optx
import pytest
import scipy.optimize
from kinax.solvers import Experiments, fit, LogNormal, Parameter, Problem, UserStarts
from kinax.solvers._fit._methods import as_method, method_digest
from kinax.solvers._problem import fingerprint
from kinax.solvers._search import advance, Minibatch, Optax, Unconstrained

T = jnp.linspace(0.0, 4.0, 20)
DATA = 3 * jnp.exp(-0.7 * T) + 0.03 * jnp.sin(17 * T)
MODEL = {"a": jnp.asarray(2.0), "k": jnp.asarray(0.4), "c": jnp.asarray(0.6)}
TIGHT: Any = {"rtol": 1e-8, "atol": 1e-8}


def residuals(m, data):
    """A decay that cannot be simulated beyond a = 5."""
    return jnp.where(m["a"] > 5, jnp.nan, m["a"] * jnp.exp(-m["k"] * data[0]) + m["c"] - data[1])


A, K, C = ((lambda m, name=name: m[name]) for name in "akc")  # the same functions each time: nothing compiles twice


def declared(lower=-1.0):
    """`c` ends up on its bound if that is 0.1, and inside the box if it is -1."""
    return [
        Parameter(A, name="a", bounds=(0, 10)),
        Parameter(K, name="k", bounds=(0.01, 5)),
        Parameter(C, name="c", bounds=(lower, 3)),
    ]


BOUND = Problem(MODEL, residuals, (T, DATA), parameters=declared(0.1))
INSIDE = Problem(MODEL, residuals, (T, DATA), parameters=declared())

LEAST_SQUARES = {
    "GaussNewton": optx.GaussNewton(**TIGHT),
    "LevenbergMarquardt": optx.BestSoFarLeastSquares(optx.LevenbergMarquardt(**TIGHT)),
    "IndirectLevenbergMarquardt": optx.IndirectLevenbergMarquardt(**TIGHT),
    "Dogleg": optx.Dogleg(**TIGHT),
}
METHODS = LEAST_SQUARES | {
    "BFGS": optx.BFGS(**TIGHT),
    "DFP": optx.DFP(**TIGHT),
    "LBFGS": optx.LBFGS(**TIGHT),
    "NonlinearCG": optx.NonlinearCG(**TIGHT),
    "GradientDescent": optx.GradientDescent(0.1, 1e-6, 1e-6),
    "NelderMead": optx.BestSoFarMinimiser(optx.NelderMead(**TIGHT)),
    "OptaxMinimiser": optx.OptaxMinimiser(optax.lbfgs(), **TIGHT),
    "adam": optax.adam(0.03),
    "momentum": optax.sgd(0.01, 0.9),
    "lbfgs": optax.lbfgs(),
}


@pytest.fixture(scope="module")
def optima():
    """By the method that other tests check against references."""
    return [fit(problem, progress=False).z for problem in (BOUND, INSIDE)]


# one of least squares, of minimizers with and without a gradient, and of optax; those that are checked at bounds
QUICK = ("Dogleg", "BFGS", "NelderMead", "adam")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in QUICK else pytest.mark.slow) for n in METHODS])
def test_every_method_reaches_the_optimum_in_the_box_and_on_its_bound(name, optima):
    method = as_method(METHODS[name], INSIDE)
    run = eqx.filter_jit(lambda problem, z: advance(method, problem, method.init(problem, z), 4000).standing)
    for problem, expected in zip((BOUND, INSIDE), optima, strict=True):
        found = run(problem, problem.start())
        assert found.done and found.verdict == 0
        np.testing.assert_allclose(found.cost, problem.evaluate(expected).cost, rtol=1e-3)
        np.testing.assert_allclose(found.z, expected, rtol=0.01, atol=1e-3)
        assert np.isnan(found.gradient_norm) or found.gradient_norm < 1e-3
        assert found.num_accepted <= found.num_steps <= found.num_evaluations
    if name in ("BFGS", "Dogleg", "adam"):
        assert run(BOUND, BOUND.start()).z[2] == 0.1  # a bound is met exactly
        for start in ([0.0, 5.0, 3.0], [4.9, 0.01, 0.1]):  # and left again; the second is next to failures
            np.testing.assert_allclose(run(INSIDE, jnp.asarray(start)).z, optima[1], rtol=1e-3)
        held = eqx.tree_at(
            lambda p: (p.lower, p.upper), INSIDE, (INSIDE.lower.at[2].set(0.1), INSIDE.upper.at[2].set(0.1))
        )
        found = run(held, held.start().at[2].set(0.1))
        np.testing.assert_allclose(found.z, optima[0], rtol=1e-4)


def test_failures_are_recorded_and_never_the_best_point():
    uphill = optax.sgd(-0.1)
    model = {**MODEL, "a": jnp.asarray(4.5)}
    problem = Problem(model, residuals, (T, DATA), parameters=declared())
    result = fit(problem, method=uphill, max_steps=30, throw=False, progress=False)
    (failure,) = result.starts.failures()
    assert 0 < failure.times < 30 and "residuals" in failure.reason
    assert np.isfinite(result.cost) and result.z[0] <= 5
    problem = Problem({**MODEL, "a": jnp.asarray(6.0)}, residuals, (T, DATA), parameters=declared())
    with pytest.raises(ValueError, match="fails at the starting values"):
        fit(problem, method=uphill, progress=False)


def test_fit_from_many_starts(optima):
    # Failing starts among them.
    starts = UserStarts([{"a": a, "k": k} for a, k in ((1.0, 2.0), (9.0, 1.0), (4.0, 0.1))])
    result = fit(BOUND, method=METHODS["BFGS"], starts=starts, progress=False)
    np.testing.assert_allclose(result.z, optima[0], rtol=1e-6)
    assert result.at_bound.tolist() == [False, False, True]
    best, *_ = result.starts.optima()
    assert set(best.starts) == {0, 1, 3}


@pytest.mark.slow
def test_minibatches_are_unbiased_and_resume_to_the_same_bits(tmp_path, optima):
    z = INSIDE.start()
    problems = [
        INSIDE,
        Problem(
            MODEL,
            residuals,
            (T, DATA),
            parameters=[*declared()[:2], Parameter(lambda m: m["c"], name="c", prior=LogNormal(0.1, 1.0))],
        ),
        Problem(
            MODEL, residuals, Experiments({str(k): (T[k::5], DATA[k::5]) for k in range(5)}), parameters=declared()
        ),
    ]
    for problem in problems:
        n = problem.num_rows
        parts = [problem.subset(jnp.asarray([k, (k + 1) % n])) for k in range(n)]
        np.testing.assert_allclose(sum(p.evaluate(z).cost for p in parts) / n, problem.evaluate(z).cost)
        np.testing.assert_allclose(sum(p.gradient(z) for p in parts) / n, problem.gradient(z), rtol=1e-9)
        linear = [p.linearize(z).gradient for p in parts]
        np.testing.assert_allclose(sum(linear) / n, problem.gradient(z), rtol=1e-9)

    draw = jax.vmap(lambda step: Minibatch(6, num_steps=1, key=jax.random.key(1)).draw(20, step))(jnp.arange(3000))
    assert (np.diff(draw, axis=1) > 0).all() and np.ptp(np.bincount(np.ravel(draw))) < 200  # of about 900

    minibatch = Minibatch(5, num_steps=600, key=jax.random.key(0))
    optimizer = optax.adam(optax.exponential_decay(0.1, 100, 0.5))
    go = lambda path, n: fit(
        INSIDE, method=Optax(optimizer, minibatch=minibatch), max_steps=n, throw=False, progress=False, checkpoint=path
    )
    whole = go(tmp_path / "whole", 1000)
    assert whole.stats["num_steps"] == 600 and whole.starts.verdict[0] == 0
    np.testing.assert_allclose(whole.starts.cost[0], INSIDE.evaluate(whole.z).cost, rtol=1e-12)
    np.testing.assert_allclose(whole.z, optima[1], rtol=0.05, atol=0.02)
    assert go(tmp_path / "parts", 217).starts.verdict[0] != 0
    resumed = go(tmp_path / "parts", 1000)
    np.testing.assert_array_equal(resumed.z, whole.z)
    assert resumed.stats == whole.stats


def test_checkpoints_tell_methods_apart():
    digests = {
        method_digest(as_method(m, INSIDE), INSIDE) for m in (optax.sgd(0.1), optax.sgd(0.2), optx.BFGS(1e-8, 1e-8))
    }
    assert len(digests) == 3
    assert method_digest(Optax(optax.sgd(0.1)), INSIDE) in digests


@pytest.mark.parametrize("size", [20, 2000])  # of the longer ones, text shows but the ends
def test_digests_see_what_a_compiled_function_is_closed_over(size):
    def digests(values):
        inner = jax.jit(lambda a: jnp.sum(a * values))
        problem = Problem(MODEL, lambda m, d: inner(m["a"]) - d, DATA, parameters=declared()[:1])
        return fingerprint(problem)["formula"], method_digest(as_method(None, problem), problem)

    for kind in (jnp.asarray, np.asarray):
        one, other = (kind(np.arange(size) + (np.arange(size) == size // 2) * c) for c in (0.0, 1.0))
        assert digests(one) == digests(one)
        assert not set(digests(one)) & set(digests(other))


def test_a_plateau_beyond_the_best_point_is_no_convergence():
    plateau = lambda m, d: jnp.where(m["a"] > 3, 9.0, m["a"] - d)
    problem = Problem(MODEL, plateau, 1.0, parameters=[Parameter(lambda m: m["a"], name="a")])
    found = fit(problem, method=optax.sgd(-5.0), max_steps=20, throw=False, progress=False)
    assert found.starts.verdict[0] != 0 and found.starts.gradient_norm[0] == 1
    assert fit(problem, method=optax.sgd(0.5), progress=False).values["a"] == pytest.approx(1)


@pytest.mark.parametrize("method", [optax.adam(0.1), optx.BFGS(rtol=1e-8, atol=1e-8)])
def test_a_gradient_that_is_not_finite_is_a_failure_and_no_optimum(method):
    kinked = lambda m, d: jnp.stack([jnp.sqrt(m["a"] ** 2) - d])  # its slope at zero is 0 / 0
    parameter = [Parameter(lambda m: m["a"], name="a")]
    with pytest.raises(ValueError, match="NaN or infinite"):
        fit({"a": jnp.asarray(0.0)}, kinked, 2.0, parameters=parameter, method=method, progress=False)


def test_golden_search():
    one = Problem(MODEL, residuals, (T, DATA), parameters=declared()[1:2])
    found = fit(one, method=optx.GoldenSearch(1e-9, 1e-9), progress=False)
    cost = lambda k: float(jnp.sum(residuals({**MODEL, "k": k}, (T, DATA)) ** 2))
    best: Any = scipy.optimize.minimize_scalar(cost, bounds=(0.01, 5), method="bounded", options={"xatol": 1e-10})
    np.testing.assert_allclose(found.z, best.x, rtol=1e-5)
    with pytest.raises(ValueError, match="one free parameter"):
        as_method(optx.GoldenSearch(1e-6, 1e-6), INSIDE)


def test_what_is_refused():
    prior = Parameter(lambda m: m["k"], name="k", prior=LogNormal(0.0, 1.0))
    with pytest.raises(ValueError, match="sums of squares"):
        fit(MODEL, residuals, (T, DATA), parameters=[prior], method=optx.GaussNewton(1e-6, 1e-6))
    with pytest.raises(TypeError, match="method"):
        as_method("lm", INSIDE)
    with pytest.raises(ValueError, match="larger than the data"):
        Minibatch(21, num_steps=5, key=jax.random.key(0)).draw(20, jnp.asarray(0))
    with pytest.raises(ValueError, match="positive size"):
        Minibatch(0, num_steps=5, key=jax.random.key(0))
    ragged = lambda m, data: jnp.concatenate(
        [residuals(m, (data[0][:3], data[1])), residuals(m, (data[0][:3], data[1]))]
    )
    with pytest.raises(ValueError, match="one length"):
        _ = Problem(MODEL, ragged, (T, DATA[:3]), parameters=declared()).num_rows
    apart = Experiments({"a": (T, DATA), "b": (T[:5], DATA[:5])})
    with pytest.raises(ValueError, match="different shapes"):
        _ = Problem(MODEL, residuals, apart, parameters=declared()).num_rows


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_smooth_map_onto_a_box(dtype):
    inf, eps = np.inf, float(jnp.finfo(dtype).eps)
    lower = jnp.asarray([0.0, 0.0, -inf, -inf, 2.0, 0.0, -1e3], dtype)
    upper = jnp.asarray([1e-6, inf, 1.0, inf, 2.0, 1e4, 1e3], dtype)
    box = Unconstrained(lower, upper)

    @jax.jit
    @jax.vmap
    def look(u):
        z, slope = jax.jvp(box.to_z, (u,), (jnp.ones_like(u),))
        bend = jax.jvp(box.log_slope, (u,), (jnp.ones_like(u),))[1]
        return z, slope, box.log_slope(u), bend, box.to_u(z)

    u = jnp.broadcast_to(jnp.asarray([-12.0, -0.5, 0.0, 0.3, 3.0, 12.0], dtype)[:, None], (6, 7))
    z, slope, log_slope, bend, back = look(u)
    assert ((z >= lower[None]) & (z <= upper[None])).all() and jnp.isfinite(bend).all()
    free = [k for k in range(7) if k != 4]
    np.testing.assert_allclose(slope[:, free], jnp.exp(log_slope)[:, free], rtol=100 * eps)
    np.testing.assert_allclose(back[:4, free], u[:4, free], rtol=1e3 * eps, atol=100 * eps)
    assert (z[:, 4] == 2).all() and (slope[:, 4] == 0).all() and (log_slope[:, 4] == 0).all()
    ends = jnp.asarray([0.0, 0.0, 1.0, 5.0, 2.0, 1e4, -1e3], dtype)
    assert jnp.isfinite(box.to_u(ends)).all()
    np.testing.assert_allclose(box.to_z(box.to_u(ends)), ends, atol=1e-6)
    np.testing.assert_allclose(box.inside(ends)[:4], jnp.asarray([1e-9, 1e-3, 0.999, 5.0]), rtol=1e-6)
