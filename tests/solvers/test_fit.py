"""`fit`: values, standard errors and intervals against SciPy, closed forms and lmfit; starts, failures; bad input."""

import re
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
import scipy.optimize
from kinax.solvers import fit, integrate, Log, Normal, Parameter, parameter, RESULTS, Tied

RNG = np.random.default_rng(1)
T = np.linspace(0.0, 4.0, 25)
DATA = 3.0 * np.exp(-0.8 * T) + 0.5 + 0.02 * RNG.normal(size=T.size)


class Curve(eqx.Module):
    """a exp(-b t) + c."""

    a: Any = parameter(default=1.0)
    b: Any = parameter(default=1)
    c: Any = parameter(default=0.0)
    label: str = eqx.field(default="curve", static=True)

    def __call__(self, t):
        return self.a * jnp.exp(-self.b * t) + self.c


PARAMETERS = [
    Parameter(lambda m: m.a, name="a", unit="V"),
    Parameter(lambda m: m.b, name="b", unit="1/s", transform=Log()),
    Parameter(lambda m: m.c, name="c"),
]


TRACES = []


def residuals(model, data):
    TRACES.append(1)
    return model(T) - data


def test_agrees_with_scipy_and_prints_a_table():
    result = fit(Curve(), residuals, DATA, parameters=PARAMETERS, progress=False)
    model = lambda t, a, b, c: a * np.exp(-b * t) + c
    best, covariance = scipy.optimize.curve_fit(model, T, DATA, p0=[1, 1, 0], ftol=1e-14, xtol=1e-14)
    np.testing.assert_allclose(list(result.values.values()), best, rtol=1e-7)
    np.testing.assert_allclose(result.covariance, covariance, rtol=1e-5)
    np.testing.assert_allclose(result.cost, 0.5 * np.sum((model(T, *best) - DATA) ** 2), rtol=1e-12)
    assert result.result == RESULTS.successful and result.degrees_of_freedom == 22
    error, t95 = result.standard_errors["a"], scipy.stats.t.ppf(0.975, 22)
    np.testing.assert_allclose(result.intervals()["a"], best[0] + np.array([-1, 1]) * t95 * error)
    low, high = result.intervals()["b"]
    np.testing.assert_allclose(low * high, best[1] ** 2, rtol=1e-6)  # symmetric on the logarithmic scale
    value, spread = result.predict(lambda m: m(jnp.asarray(0.0)))
    gradient = np.array([1.0, 0.0, 1.0])
    np.testing.assert_allclose(value, best[0] + best[2], rtol=1e-7)
    np.testing.assert_allclose(spread, np.sqrt(gradient @ covariance @ gradient), rtol=1e-5)
    text = str(result)
    assert all(word in text for word in ("parameter", "1/s", "95 % interval", "converged", "22 degrees of freedom"))
    assert result.model.label == "curve" and isinstance(result.model, Curve)


@pytest.mark.slow
def test_fixed_parameters_and_vectors_and_methods():
    model = {"ab": jnp.array([1.0, 1.0]), "c": jnp.asarray(0.5)}
    run = lambda m, data: m["ab"][0] * jnp.exp(-m["ab"][1] * T) + m["c"] - data
    vector = [Parameter(lambda m: m["ab"], name="ab", transform=Log())]
    result = fit(model, run, DATA, parameters=vector)
    assert result.names == ("ab[0]", "ab[1]") and result.model["c"] == 0.5
    dogleg = fit(model, run, DATA, parameters=vector, method=optx.Dogleg(1e-12, 1e-12))
    np.testing.assert_allclose(dogleg.model["ab"], result.model["ab"], rtol=1e-8)
    single = fit(
        jax.tree.map(lambda x: x.astype(jnp.float32), model),
        lambda m, data: m["ab"][0] * jnp.exp(-m["ab"][1] * jnp.asarray(T, jnp.float32)) + m["c"] - data,
        jnp.asarray(DATA, jnp.float32),
        parameters=vector,
    )
    assert single.model["ab"].dtype == jnp.float32
    np.testing.assert_allclose(single.model["ab"], result.model["ab"], rtol=1e-4)


@pytest.mark.slow
def test_a_simulation_in_reverse_mode_and_what_the_data_do_not_tell():
    # Only the product of k and s is seen, and forward mode is not there.
    once = jax.custom_vjp(lambda x: x)
    once.defvjp(lambda x: (x, None), lambda _, g: (g,))

    class Decay(eqx.Module):
        k: Any = parameter(default=1.0)
        s: Any = parameter(default=1.0)

        def __call__(self, t, y, args):
            return -self.k * self.s * y

    run = lambda m, data: once(integrate(m, 2.0, T, rtol=1e-8, throw=False).ys) - data
    data = 2 * np.exp(-0.6 * T) + 0.01 * RNG.normal(size=T.size)
    both = [Parameter(lambda m: m.k, name="k", transform=Log()), Parameter(lambda m: m.s, name="s", transform=Log())]
    result = fit(Decay(), run, data, parameters=both)
    np.testing.assert_allclose(result.model.k * result.model.s, 0.6, rtol=0.05)
    assert np.isinf(list(result.standard_errors.values())).all()
    alone = fit(Decay(), run, data, parameters=both[:1])
    assert 0 < alone.standard_errors["k"] < 0.05


def test_failure_to_converge_is_raised_or_reported():
    with pytest.raises(RuntimeError, match="did not converge in 3 steps"):
        fit(Curve(), residuals, DATA, parameters=PARAMETERS, max_steps=3)
    result = fit(Curve(), residuals, DATA, parameters=PARAMETERS, max_steps=3, throw=False)
    assert result.result == RESULTS.nonlinear_max_steps_reached


def test_a_second_fit_traces_nothing():
    first = fit(Curve(), residuals, DATA, parameters=PARAMETERS, progress=False)
    traces = len(TRACES)
    again = fit(Curve(), residuals, DATA, parameters=PARAMETERS, progress=False)
    assert len(TRACES) == traces > 0 and again.values == first.values
    other = fit(Curve(), residuals, DATA + 0.1, parameters=PARAMETERS, progress=False)
    assert len(TRACES) == traces and other.values["c"] > first.values["c"]


@pytest.mark.slow
def test_a_second_fit_of_a_simulation_traces_nothing():
    calls = []

    def counted(model, data):
        calls.append(1)
        return integrate(lambda t, y, args: -model.b * y, 3.0, T, throw=False).ys - data

    run = lambda data: fit(Curve(), counted, data, parameters=PARAMETERS[1:2], progress=False)
    first = run(DATA)
    traces = len(calls)
    again = run(DATA)
    assert len(calls) == traces > 0 and again.values == first.values
    other = run(DATA + 0.1)
    assert len(calls) == traces and other.values["b"] < first.values["b"]


PAIR = [Parameter(lambda m: m["a"], name="a"), Parameter(lambda m: m["b"], name="b")]
ABC = {"a": jnp.asarray(2.0), "b": jnp.asarray(1.0), "c": jnp.asarray(0.5)}


@pytest.mark.slow
def test_errors_where_the_data_do_not_tell():
    # N = p: no scatter
    line = fit(ABC, lambda m, d: m["a"] + m["b"] * jnp.array([1.0, 2.0]) - d, jnp.array([3.0, 5.0]), parameters=PAIR)
    assert np.isinf(list(line.standard_errors.values())).all() and np.isinf(line.intervals()["a"]).all()
    assert np.isinf(line.predict(lambda m: m["a"])[1]) and "0 degrees of freedom" in str(line)
    # c is not seen at all, which does not touch what a and b determine
    three = [*PAIR, Parameter(lambda m: m["c"], name="c")]
    seen = lambda m, d: m["a"] + m["b"] * T - d
    result = fit(ABC, seen, DATA, parameters=three)
    alone = fit(ABC, seen, DATA, parameters=PAIR)
    scale = np.sqrt(23 / 22)  # one degree of freedom less
    half = lambda m: 0.5 * m["a"] + m["b"]
    np.testing.assert_allclose(result.predict(half)[1], alone.predict(half)[1] * scale, rtol=1e-8)
    np.testing.assert_allclose(result.covariance[:2, :2], alone.covariance * scale**2, rtol=1e-8)
    assert np.isinf(result.standard_errors["c"]) and np.isinf(result.predict(lambda m: m["a"] + m["c"])[1])
    # only the product is seen
    both = [PAIR[0], three[2]]
    product = fit(ABC, lambda m, d: m["a"] * m["c"] - d, DATA, parameters=both)
    value, spread = product.predict(lambda m: m["a"] * m["c"])
    np.testing.assert_allclose([value, spread], [DATA.mean(), np.sqrt(np.var(DATA) / 23)], rtol=1e-6)
    assert np.isinf(list(product.standard_errors.values())).all()


def test_more_parameters_than_data_fit_and_say_so():
    three = [*PAIR, Parameter(lambda m: m["c"], name="c")]
    few, seen = jnp.array([1.0, 2.0]), lambda m, d: m["a"] + m["b"] * d + m["c"] - 2 * d
    result = fit(ABC, seen, few, parameters=three, progress=False)
    np.testing.assert_allclose(result.cost, 0, atol=1e-20)
    text = str(result)
    assert np.isinf(list(result.standard_errors.values())).all() and text.count("error unknown") == 3
    assert "1 direction(s) that the data do not determine" in text and "no datum is left to tell the scatter" in text


def test_a_lower_start_that_did_not_converge_is_told():
    result = fit(Curve(), residuals, DATA, parameters=PARAMETERS, progress=False)
    table = result.starts
    both = jax.tree.map(lambda x: np.concatenate([x, x]), table)
    missed = eqx.tree_at(lambda t: (t.cost, t.verdict), both, (both.cost - np.array([0, 0.05]), np.array([0, 9])))
    assert table.missed is None and missed.missed == 1 and missed.best == 0
    text = str(eqx.tree_at(lambda r: r.starts, result, missed))
    assert "start 1 did not converge, but ended lower, at cost" in text and "max_steps" in text


def test_priors_and_bounds_are_told():
    bounded = [Parameter(lambda m: m["a"], name="a", bounds=(0, float(DATA.mean()) + 0.01), prior=Normal(1.0, 10.0))]
    result = fit(ABC | {"a": jnp.asarray(0.5)}, lambda m, d: m["a"] - d, DATA, parameters=bounded, progress=False)
    assert "residuals in units of their standard deviation" in str(result)
    assert result.intervals()["a"][1] == bounded[0].bounds[1]


def test_fit_under_a_transformation_says_so():
    inner = lambda a: fit({**ABC, "a": a}, lambda m, d: m["a"] - d, DATA, parameters=PAIR[:1]).cost
    closed = lambda a: fit(ABC, lambda m, d: a * m["a"] - d, DATA, parameters=PAIR[:1]).cost
    for transform in (jax.jit, jax.grad):
        for fn in (inner, closed):
            with pytest.raises(TypeError, match="fit runs outside jit, grad and vmap"):
                transform(fn)(jnp.asarray(2.0))
    with pytest.raises(TypeError, match="residuals"):
        fit(ABC, 3.0, DATA, parameters=PAIR)  # pyright: ignore[reportArgumentType]


@pytest.mark.parity
def test_agrees_with_lmfit():
    lmfit = pytest.importorskip("lmfit")
    peer = lmfit.Model(lambda t, a, b, c: a * np.exp(-b * t) + c).fit(DATA, t=T, a=1, b=1, c=0)
    result = fit(Curve(), residuals, DATA, parameters=PARAMETERS)
    for name, value in result.values.items():
        np.testing.assert_allclose(value, peer.params[name].value, rtol=1e-5)
        np.testing.assert_allclose(result.standard_errors[name], peer.params[name].stderr, rtol=1e-3)


class Rough(eqx.Module):
    """Fields as a newcomer writes them."""

    number: float = 2.0
    count: Any = eqx.field(default_factory=lambda: jnp.asarray(3))
    array: Any = eqx.field(default_factory=lambda: jnp.ones(2))


one = lambda where, **more: dict(model=Rough(), parameters=[Parameter(where, name="p", **more)])
BAD = {
    "'p' is 2.0, which has no derivative": one(lambda m: m.number),
    "'p' is Array(3": one(lambda m: m.count),
    "has shape (2,), its bounds (3,)": one(lambda m: m.array, bounds=(np.zeros(3), 9)),
    "index 5 is out of bounds": one(lambda m: m.array[5]),
    "name entries singly": one(lambda m: m.array[:1]),
    "or an entry of one, not a Rough": one(lambda m: m),
    "or an entry of one, but: 'Rough' object has no attribute 'mass'": one(lambda m: m.mass),
    "or an entry of one, not 'curve': static fields": dict(parameters=[Parameter(lambda m: m.label, name="label")]),
    "'p' and 'q' pick the same leaf": dict(
        model=Rough(), parameters=[Parameter(lambda m: m.array[1], name="p"), Parameter(lambda m: m.array, name="q")]
    ),
    "starts at 0, which Log() does not allow": dict(parameters=[Parameter(lambda m: m.c, name="c", transform=Log())]),
    "'a' starts at 1, outside its bounds": dict(parameters=[Parameter(lambda m: m.a, name="a", bounds=(2, 3))]),
    "'a': its lower bound exceeds its upper one": dict(parameters=[Parameter(lambda m: m.a, name="a", bounds=(3, 0))]),
    "'a': its bounds (1, 1) leave no room": dict(parameters=[Parameter(lambda m: m.a, name="a", bounds=(1, 1))]),
    "'a': its bounds (nan, 1) hold NaN": dict(parameters=[Parameter(lambda m: m.a, name="a", bounds=(np.nan, 1))]),
    "'a': scale must be positive": dict(parameters=[Parameter(lambda m: m.a, name="a", scale=0.0)]),
    "round in a circle: a -> b -> a": dict(
        parameters=[
            Parameter(lambda m: m.a, name="a", tied=Tied(lambda p: p["b"])),
            Parameter(lambda m: m.b, name="b", tied=Tied(lambda p: 2 * p["a"])),
            PARAMETERS[2],
        ]
    ),
    "The tie of 'a' asks for 'd'": dict(
        parameters=[Parameter(lambda m: m.a, name="a", tied=Tied(lambda p: p["d"])), PARAMETERS[1]]
    ),
    "Every parameter is fixed or tied": dict(parameters=[Parameter(lambda m: m.a, name="a", fixed=True)]),
    "parameters is empty": dict(parameters=[]),
    "names must differ": dict(parameters=[PARAMETERS[0], PARAMETERS[0]]),
    "'a' and 'again' pick the same leaf": dict(parameters=[PARAMETERS[0], Parameter(lambda m: m.a, name="again")]),
    "data holds 1 NaN": dict(data=np.where(T == 0, np.nan, DATA)),
    "fails at the starting values. Experiment 'data': The residuals became NaN": dict(
        residuals=lambda m, data: jnp.log(-jnp.exp(m.a) * data)
    ),
    "residuals is of type complex128": dict(residuals=lambda m, data: jax.lax.complex(m.a * data, m.a * data)),
    "residuals is of type int64": dict(residuals=lambda m, data: jnp.round(m.a * data).astype(int)),
    "residuals(model, data) returned None": dict(residuals=lambda m, data: None),
    "holds no number": dict(residuals=lambda m, data: m.a * data[:0]),
    "'p' is complex": dict(model=jnp.asarray(1j), parameters=[Parameter(lambda m: m, name="p")]),
    "changes its shape with the values": dict(residuals=lambda m, data: (m.a * data)[data > m.a]),
    "Its derivative is not finite": dict(
        model={"a": jnp.asarray(2.0)},
        residuals=lambda m, data: jnp.sqrt((m["a"] - 2) ** 2) * T - data,
        parameters=[Parameter(lambda m: m["a"], name="a")],
    ),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_names_the_thing_and_the_cure(message):
    arguments = dict(model=Curve(), residuals=residuals, data=DATA, parameters=PARAMETERS) | BAD[message]
    with pytest.raises(ValueError, match=re.escape(message)):
        fit(arguments["model"], arguments["residuals"], arguments["data"], parameters=arguments["parameters"])
