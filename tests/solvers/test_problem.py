"""`Problem`: its cost against SciPy's densities, its derivatives, experiments, ties, missing and censored data."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats as stats
from kinax.solvers import (
    AbstractDistribution,
    best_line,
    best_offset,
    best_scale,
    best_sd,
    Beta,
    Cauchy,
    Experiments,
    fit,
    Gamma,
    HalfNormal,
    Huber,
    Laplace,
    Log,
    Logit,
    LogNormal,
    LogUniform,
    Normal,
    Observed,
    Parameter,
    PerExperiment,
    Problem,
    RESULTS,
    SoftL1,
    StudentT,
    StudentTLoss,
    Tied,
    TimeSeries,
    Uniform,
)

RNG = np.random.default_rng(3)
T = np.linspace(0.1, 4.0, 12)
Y = 2.0 * np.exp(-0.7 * T) * np.exp(0.1 * RNG.normal(size=T.size))
GAPS = np.where(np.arange(T.size) % 5 == 2, np.nan, Y)
BELOW, ABOVE = np.arange(T.size) == 3, np.arange(T.size) == 6

MODEL = {"a": jnp.asarray(1.5), "k": jnp.asarray(0.5), "s": jnp.asarray(0.3), "df": jnp.asarray(5.0)}
PARAMETERS = [
    Parameter(lambda m: m["a"], name="a", bounds=(0, 10), prior=Gamma(2.0, 1.0)),
    Parameter(lambda m: m["k"], name="k", unit="1/s", transform=Log(), prior=LogNormal(-0.5, 0.4)),
    Parameter(lambda m: m["s"], name="s", transform=Logit(0, 2), prior=HalfNormal(1.0)),
    Parameter(lambda m: m["df"], name="df", scale=3.0, prior=Uniform(1.0, 30.0)),
]


def everything(m, data):
    y = m["a"] * jnp.exp(-m["k"] * T)
    series = data["series"]
    return {
        "plain": (y - data["y"]) / 0.2,
        "normal": series.observed(Normal(y, m["s"])),
        "lognormal": Observed(data["y"], LogNormal(jnp.log(y), m["s"])),
        "laplace": Observed(series.values, Laplace(y, jnp.full(T.size, 0.4))),
        "student": Observed(data["y"], StudentT(m["df"], y, m["s"])),
    }


SERIES = TimeSeries(T, GAPS, below=BELOW, above=ABOVE)
DATA = {"y": Y, "series": SERIES}


def by_scipy(a, k, s, df):
    y = a * np.exp(-k * T)
    seen = ~np.isnan(GAPS)
    exact = seen & ~BELOW & ~ABOVE
    log = stats.norm.logpdf(GAPS[exact], y[exact], s).sum()
    log += stats.norm.logcdf(GAPS[BELOW], y[BELOW], s).sum() + stats.norm.logsf(GAPS[ABOVE], y[ABOVE], s).sum()
    log += stats.lognorm.logpdf(Y, s, scale=y).sum() + stats.laplace.logpdf(GAPS[seen], y[seen], 0.4).sum()
    log += stats.t.logpdf(Y, df, y, s).sum() - 0.5 * np.sum(((y - Y) / 0.2) ** 2)
    log += stats.gamma.logpdf(a, 2) + stats.lognorm.logpdf(k, 0.4, scale=np.exp(-0.5)) + stats.halfnorm.logpdf(s)
    return -(log + stats.uniform.logpdf(df, 1, 29))


def test_cost_is_minus_the_log_posterior_density_and_its_derivatives_agree():
    problem = Problem(MODEL, everything, DATA, parameters=PARAMETERS)
    assert not problem.is_plain and problem.num_data == 3 * T.size + 2 * np.sum(~np.isnan(GAPS))
    look = eqx.filter_jit(lambda p, z: (p.evaluate(z), p.gradient(z), p.linearize(z), p.values(z)))
    z = problem.start() + 0.1
    evaluation, gradient, linear, values = look(problem, z)
    np.testing.assert_allclose(evaluation.cost, by_scipy(*np.asarray(values)), rtol=1e-12)
    np.testing.assert_allclose(linear.gradient, gradient, rtol=1e-10)
    step = 1e-6 * np.eye(z.size)
    costs = [[float(look(problem, z + sign * h)[0].cost) for sign in (1, -1)] for h in step]
    np.testing.assert_allclose([(up - down) / 2e-6 for up, down in costs], gradient, rtol=1e-6, atol=1e-6)
    assert np.linalg.eigvalsh(linear.jacobian.T @ linear.jacobian).min() > 0
    text = str(problem)
    assert all(word in text for word in ("4 coordinates", "LogNormal(-0.5, 0.4)", "1/s", "Logit", "[0, 10]"))
    assert "<table>" in problem._repr_html_()


def test_fisher_information_is_the_expected_curvature():
    # the mean over data of the outer product of the score, channel by channel
    probes = np.array([0.3, 1.5])
    for noise, draw in [
        (Normal(1.0, 0.5), stats.norm(1, 0.5)),
        (LogNormal(0.2, 0.4), stats.lognorm(0.4, scale=np.exp(0.2))),
        (Laplace(1.0, 0.5), stats.laplace(1, 0.5)),
        (StudentT(5.0, 1.0, 0.5), stats.t(5, 1, 0.5)),
    ]:
        x = jnp.asarray(draw.rvs(200_000, random_state=1))

        @eqx.filter_jit
        def look(noise, x):
            score = jax.vmap(lambda x: jax.grad(lambda n: n.log_density(x))(noise))(x)
            found = jax.tree.map(lambda s: jnp.mean(s**2), score)
            tails = [jax.vmap(tail)(jnp.asarray(probes)) for tail in (noise.log_cdf, noise.log_survival)]
            return found, noise.information(), tails, noise.draw(jax.random.key(0), (20_000,))

        found, information, (below, above), sample = look(noise, x)
        for name, value in vars(information).items():
            np.testing.assert_allclose(value, getattr(found, name), rtol=0.03, err_msg=f"{noise}.{name}")
        np.testing.assert_allclose(below, draw.logcdf(probes), rtol=1e-10)
        np.testing.assert_allclose(above, draw.logsf(probes), rtol=1e-10)
        assert stats.kstest(np.asarray(sample), draw.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("prior", "peer"),
    [
        (Gamma(2.0, 3.0), stats.gamma(2, scale=1 / 3)),
        (Beta(2.0, 3.0), stats.beta(2, 3)),
        (HalfNormal(2.0), stats.halfnorm(scale=2)),
        (Uniform(-1.0, 2.0), stats.uniform(-1, 3)),
        (LogUniform(0.1, 10.0), stats.loguniform(0.1, 10)),
    ],
)
def test_priors_are_scipys(prior, peer):
    x = peer.ppf([0.1, 0.5, 0.9])
    look = eqx.filter_jit(lambda prior, x, key: (prior.log_density(x), prior.support, prior.draw(key, (5000,))))
    density, support, drawn = look(prior, jnp.asarray(x), jax.random.key(1))
    np.testing.assert_allclose(density, peer.logpdf(x), rtol=1e-12)
    np.testing.assert_allclose(support, peer.support())
    assert stats.kstest(np.asarray(drawn), peer.cdf).pvalue > 1e-3


def test_losses_are_scipys():
    r = np.array([-9.0, -1.0, -0.2, 0.0, 0.3, 2.5])
    c = 0.7
    z = (r / c) ** 2
    peers = [
        (SoftL1(c), 2 * ((1 + z) ** 0.5 - 1)),
        (Huber(c), np.where(z <= 1, z, 2 * z**0.5 - 1)),
        (Cauchy(c), np.log1p(z)),
        (StudentTLoss(3.0, c), 3 * np.log1p(z / 3)),
    ]
    for loss, rho in peers:
        np.testing.assert_allclose(loss.rho(jnp.asarray(r**2)), c**2 * rho, rtol=1e-12)
    many = [Parameter(lambda m: m, name="m")]
    look = eqx.filter_jit(lambda problem, z: (problem.linearize(z), problem.gradient(z)))
    for loss, _ in peers:  # slope and curvature at a residual of zero, of an outlier, and on Huber's corner
        problem = Problem(jnp.asarray([*r, c]), lambda m, d: m, (), parameters=many, loss=loss)
        linear, gradient = look(problem, problem.start())
        np.testing.assert_allclose(linear.gradient, gradient, rtol=1e-12)
        assert np.isfinite(linear.jacobian).all() and (np.diag(linear.jacobian) > 0).all()


class Drug(eqx.Module):
    """Decay of a dose."""

    rate: Any
    gain: Any

    def __call__(self, t, dose):
        return self.gain * dose * jnp.exp(-self.rate[0] * t)


@pytest.mark.slow
def test_experiments_share_some_parameters_and_own_others():
    model = Drug(jnp.asarray([0.5, 0.1]), jnp.asarray(1.0))
    run = lambda m, d: m(d["t"], d["dose"])[None] * jnp.ones((1, 1)) - d["y"] + m.rate[1]
    short, long = jnp.asarray(T[:5]), jnp.asarray(T)
    data = {
        "low": {"t": long, "dose": jnp.asarray(1.0), "y": jnp.asarray(Y)[None]},
        "high": {"t": long, "dose": jnp.asarray(4.0), "y": jnp.asarray(3 * Y)[None]},
        "brief": {"t": short, "dose": jnp.asarray(2.0), "y": jnp.asarray(Y[:5])[None]},
    }
    gain = Parameter(lambda m: m.gain, name="gain", per_experiment=PerExperiment({"high": 2.0}))
    problem = Problem(
        model,
        run,
        Experiments(data),
        parameters=[
            Parameter(lambda m: m.rate[0], name="rate", transform=Log()),
            gain,
            Parameter(lambda m: m.rate[1], name="offset", tied=Tied(lambda p: 0.1 * p["gain"] / p["rate"])),
        ],
    )
    assert problem.names == ("rate", "gain[low]", "gain[high]", "gain[brief]")
    assert [group.members for group in problem.groups] == [(0, 1), (2,)]
    z = problem.start()
    np.testing.assert_allclose(z, [np.log(0.5), 1, 2, 1])
    linear = problem.linearize(z)
    cost = 0
    for name, one in data.items():
        by_hand = problem.model(z, name)
        own = 2.0 if name == "high" else 1.0
        np.testing.assert_allclose([by_hand.gain, by_hand.rate[1]], [own, 0.1 * own / 0.5])
        np.testing.assert_allclose(problem.predictions(z)[name], run(by_hand, one))
        cost += 0.5 * np.sum(np.asarray(run(by_hand, one)) ** 2)
    np.testing.assert_allclose(problem.evaluate(z).cost, cost, rtol=1e-12)
    np.testing.assert_allclose(linear.gradient, problem.gradient(z), rtol=1e-10)
    assert {row.label for row in problem.layout.derived(z)} == {"offset[low]", "offset[high]", "offset[brief]"}
    with pytest.raises(ValueError, match="starts in experiments"):
        other = Parameter(lambda m: m.gain, name="gain", per_experiment=PerExperiment({"none": 2.0}))
        Problem(model, run, Experiments(data), parameters=[other])


def test_a_failed_experiment_is_a_penalty_without_gradient_and_named():
    def run(m, d):
        bad = m["a"] > d
        return jnp.where(bad, jnp.nan, m["a"]) * T, RESULTS.where(bad, RESULTS.stalled, RESULTS.successful)

    data = Experiments({"tight": jnp.asarray(1.0), "loose": jnp.asarray(3.0)})
    problem = Problem({"a": jnp.asarray(0.5)}, run, data, parameters=[Parameter(lambda m: m["a"], name="a")])
    fine, failed = (problem.evaluate(jnp.asarray([a])) for a in (0.5, 2.0))
    assert not fine.failed and failed.failed
    stalled = int(jax.tree.leaves(RESULTS.stalled)[0])
    np.testing.assert_array_equal(failed.verdicts, [stalled, 0])
    assert np.isfinite(failed.cost) and failed.cost > 1e100
    np.testing.assert_array_equal(problem.gradient(jnp.asarray([2.0])), [0])
    linear = problem.linearize(jnp.asarray([2.0]))
    assert not np.any(linear.jacobian) and not np.any(linear.residuals)


def test_scale_offset_and_noise_are_eliminated_as_by_least_squares():
    x, sd = np.exp(-T), 0.1 + 0.05 * T
    w = np.where(np.isnan(GAPS), 0, 1 / sd**2)
    y = np.where(np.isnan(GAPS), 0, GAPS)
    np.testing.assert_allclose(best_scale(x, GAPS, sd), np.sum(w * x * y) / np.sum(w * x * x))
    np.testing.assert_allclose(best_offset(x, GAPS, sd), np.sum(w * (y - x)) / np.sum(w))
    design = np.stack([x, np.ones_like(x)], 1) * np.sqrt(w)[:, None]
    line, *_ = np.linalg.lstsq(design, np.sqrt(w) * y, rcond=None)
    np.testing.assert_allclose(best_line(x, GAPS, sd), line)
    np.testing.assert_allclose(best_sd(x, GAPS), np.sqrt(np.nanmean((GAPS - x) ** 2)))

    # the derivative follows the optimum: that of the whole minimum over scale and offset
    def cost(k):
        x = jnp.exp(-k * T)
        scale, offset = best_line(x, Y)
        return jnp.sum((scale * x + offset - Y) ** 2)

    k, h, both = 0.6, 1e-6, jax.jit(jax.value_and_grad(cost))
    np.testing.assert_allclose(both(k)[1], (both(k + h)[0] - both(k - h)[0]) / (2 * h), rtol=1e-6)


WRONG: Any = {"transform": Log, "prior": Normal, "tied": lambda p: 2 * p["b"], "per_experiment": True}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TimeSeries([0.0, 1.0], [1.0]), "one row each"),
        (lambda: TimeSeries([1.0, 0.0], [1.0, 2.0]), "times decrease"),
        (lambda: TimeSeries([0.0, 1.0], [np.nan, np.nan]), "holds no value"),
        (lambda: TimeSeries([0.0, 1.0], [np.inf, 1.0]), "infinite"),
        (lambda: Experiments({}), "non-empty mapping"),
        (lambda: Parameter(lambda m: m, name="a", fixed=True, tied=Tied(lambda p: p["b"])), "both fixed and tied"),
        (lambda: Parameter(lambda m: m, name="a", prior=Normal(0, 1), tied=Tied(lambda p: p["b"])), "out its prior"),
        (lambda: Parameter(lambda m: m, name="a", bounds=(0, None), tied=Tied(lambda p: p["b"])), "out its bounds"),
        (lambda: Parameter(lambda m: m, name="a", scale=2.0, tied=Tied(lambda p: p["b"])), "out its scale"),
        (lambda: Parameter(lambda m: m, name="a", fixed=True, prior=Normal(0, 1)), "prior has no effect"),
        (lambda: Parameter(lambda m: m, name="a", scale=2.0, transform=Log()), "scale counts on the Identity"),
        *[(lambda k=k: Parameter(lambda m: m, name="a", **{k: WRONG[k]}), k) for k in WRONG],
        (lambda: Experiments({1: 0.5, "1": 0.6}), "differ as text"),
        (lambda: decay(data={"y": jnp.asarray(Y), "used": {1, 2}}), r"data\['used'\] is a set"),
    ],
)
def test_bad_pieces_are_refused(make, message):
    with pytest.raises((ValueError, TypeError), match=message):  # beartype, if it looks, comes first with its TypeError
        make()


def decay(residuals=lambda m, d: m["a"] * jnp.exp(-m["k"] * T) - d["y"], data: Any = None, parameters=None):
    named = [Parameter(lambda m: m["a"], name="a"), Parameter(lambda m: m["k"], name="k")]
    data = {"y": jnp.asarray(Y)} if data is None else data
    return Problem(MODEL, residuals, data, parameters=named if parameters is None else parameters)


def test_measured_values_that_depend_on_parameters_are_refused():
    noise = Normal(jnp.zeros(T.size), jnp.ones(T.size))
    wrong = lambda m, d: Observed(m["a"] * T - d["y"], noise)
    with pytest.raises(ValueError, match="put the prediction into the distribution"):
        decay(wrong)
    with pytest.raises(ValueError, match="put the prediction into the distribution"):
        decay(lambda m, d: jax.jit(wrong)(m, d))
    with pytest.raises(ValueError, match="put the prediction into the distribution"):
        decay(lambda m, d: Observed(jnp.where(m["a"] > d["y"], jnp.nan, d["y"]), noise))
    compiled = jax.jit(lambda m, d: Observed(2 * d["y"], Normal(m["a"] * T, m["s"])))  # all in one compiled function
    decay(lambda m, d: compiled(m, d))

    def talks(m, d):
        jax.debug.callback(lambda a: None, m["a"])  # an effect that looks at a parameter
        return compiled(m, d)

    decay(talks)


@pytest.mark.parametrize(
    ("residuals", "message"),
    [
        (lambda m, d: d["y"][jnp.nonzero(m["a"] > d["y"])], "changes its shape"),
        (lambda m, d: d["y"][: int(m["a"])], "changes its shape"),
        (lambda m, d: jnp.compress(m["a"] > d["y"], d["y"]), "compress"),
        (lambda m, d: d["y"] * list(range(9))[m["k"].astype(int)], "changes its shape"),
        (lambda m, d: m["a"] * d["y"] if m["a"] > 1 else d["y"], "decides by a value"),
        (lambda m, d: jnp.asarray(np.sin(m["a"])) * d["y"], "NumPy"),
    ],
)
def test_residuals_that_cannot_be_traced_are_explained(residuals, message):
    with pytest.raises(ValueError, match=message):
        decay(residuals)


@pytest.mark.parametrize("prior", [LogUniform(0.1, 10.0), pytest.param(Uniform(0.1, 10.0), marks=pytest.mark.slow)])
def test_a_prior_reaches_to_the_ends_of_its_support_in_every_coordinate(prior):
    assert np.exp(np.log(10.0)) > 10  # the rounding that must not matter
    parameter = Parameter(lambda m: m["a"], name="a", transform=Log(), prior=prior)
    residuals = lambda m, d: m["a"] - d
    for start in (10.0, 1.0):  # on the bound, and towards it
        model = MODEL | {"a": jnp.asarray(start)}
        result = fit(model, residuals, 20.0, parameters=[parameter], progress=False)
        np.testing.assert_allclose(result.cost, 50 - np.asarray(prior.log_density(jnp.asarray(10.0))))
        assert result.at_bound[0] and result.values["a"] == pytest.approx(10)


def test_a_cost_that_is_not_finite_is_a_failure():
    class Cut(AbstractDistribution):  # a support that is wider than where its density is finite
        @property
        def support(self):
            return -jnp.asarray(jnp.inf), jnp.asarray(jnp.inf)

        def log_density(self, x):
            return jnp.where(x > 2, -jnp.inf, 0.0)

        def draw(self, key, shape):
            return jnp.zeros(shape)

    problem = decay(parameters=[Parameter(lambda m: m["a"], name="a", prior=Cut())])
    fine, cut = (problem.evaluate(jnp.asarray([a])) for a in (1.0, 3.0))
    assert not fine.failed and cut.failed and cut.first_failure == cut.verdicts[0] != 0
    assert np.isfinite(cut.cost) and cut.cost > 1e100
    look = eqx.filter_jit(lambda noise, x: (noise.log_density(x), noise.log_cdf(x), noise.log_survival(x)))
    for noise in (Normal(1.0, -0.5), LogNormal(1.0, -0.5), Laplace(1.0, 0.0), StudentT(4.0, 1.0, -0.5)):
        assert np.isnan(look(noise, 1.3)).all()


def test_the_model_of_an_experiment_is_asked_for_by_name():
    parameters = [Parameter(lambda m: m["a"], name="a", per_experiment=PerExperiment({"two": 3.0}))]
    data = Experiments({"one": {"y": jnp.asarray(Y)}, "two": {"y": jnp.asarray(Y)}})
    problem = decay(data=data, parameters=parameters)
    assert problem.model(problem.start(), "two")["a"] == 3
    with pytest.raises(ValueError, match="a have a value for each experiment"):
        problem.model(problem.start())
    with pytest.raises(ValueError, match="No experiment 'tow'; there are one, two"):
        problem.model(problem.start(), "tow")


def test_labels_are_unique_and_know_their_units():
    model = {"a": jnp.ones(2), "b": jnp.asarray(1.0), "c": jnp.asarray(0.5)}
    residuals = lambda m, d: m["a"][0] * T + m["b"] + m["c"] - d
    vector = Parameter(lambda m: m["a"], name="a", bounds=(np.array([0, -np.inf]), np.array([np.inf, 5])))
    kinds: list[dict[str, Any]] = [{}, {"fixed": True}, {"tied": Tied(lambda p: p["a"][0])}]
    for more in kinds:
        with pytest.raises(ValueError, match=r"Two numbers are called a\[0\]"):
            Problem(model, residuals, Y, parameters=[vector, Parameter(lambda m: m["b"], name="a[0]", **more)])
    fixed = Parameter(lambda m: m["b"], name="k[1]", unit="1/s", fixed=True)
    tied = Parameter(lambda m: m["c"], name="half[x]", unit="m", tied=Tied(lambda p: p["a"][0] / 2))
    problem = Problem(model, residuals, Y, parameters=[vector, fixed, tied])
    rows = problem.layout.derived(problem.start())
    assert [(r.label, r.unit, float(r.value), r.is_tied) for r in rows] == [
        ("k[1]", "1/s", 1.0, False),
        ("half[x]", "m", 0.5, True),
    ]
    assert "[0, inf], [-inf, 5]" in str(problem)
    text = str(fit(problem, progress=False))
    assert "k[1]" in text and "1/s" in text and "half[x]" in text


def test_numbers_in_the_data_do_not_divide_experiments():
    dosed = lambda m, d: m["a"] * d["dose"] * jnp.exp(-m["k"] * T) - d["y"]
    data = {str(dose): {"dose": dose, "y": jnp.asarray(Y), "kind": "oral"} for dose in (0.5, 1.0, 2.0)}
    data["more"] = data["0.5"] | {"kind": "iv"}
    problem = decay(dosed, Experiments(data))
    assert [group.members for group in problem.groups] == [(0, 1, 2), (3,)]
    np.testing.assert_allclose(problem.predicted(problem.start())[-T.size :], dosed(MODEL, data["more"]))
