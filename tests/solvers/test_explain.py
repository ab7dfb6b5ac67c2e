"""`explain`: the chosen way and why, predictions against what is measured, growth, one gradient; bad input."""

import inspect
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import Lorenz, LotkaVolterra
from kinax.solvers import (
    AbstractSimulator,
    Checkpointed,
    Experiments,
    explain,
    Forward,
    integrate,
    Log,
    lyapunov_exponent,
    Parameter,
    parameter,
    Problem,
    rollout,
    Unrolled,
)
from kinax.solvers._explain._cost import measured_compile_time
from kinax.solvers._explain._growth import growth_of
from kinax.solvers._explain._ways import predict

T = jnp.linspace(0.0, 5.0, 30)
START = {"a": jnp.asarray(1.0), "k": jnp.asarray(0.2)}
ENTRIES = [Parameter(lambda m: m["a"], name="a"), Parameter(lambda m: m["k"], name="k", transform=Log())]


class Pendulums(AbstractSimulator[Any]):
    """Damped pendulums, semi-implicit Euler."""

    stiffness: Any = parameter(default=1.0)
    damping: Any = parameter(default=0.1)
    dt: Any = parameter(default=0.01)

    def __call__(self, state):
        angle, velocity = state
        velocity = velocity - self.dt * (self.stiffness * jnp.sin(angle) + self.damping * velocity)
        return angle + self.dt * velocity, velocity


class Growing(AbstractSimulator[Any]):
    """x -> (1 + rate) x."""

    rate: Any = parameter()
    dt: Any = parameter(default=1.0)

    def __call__(self, state):
        return (1 + self.rate) * state


REST = (jnp.linspace(0.5, 1.0, 100), jnp.zeros(100))
PENDULUM = [Parameter(lambda m: m.stiffness, name="stiffness"), Parameter(lambda m: m.damping, name="damping")]


def swings(adjoint, n=400):
    """A problem on the mean angle of many pendulums."""

    def residuals(model, data):
        mean = lambda state: jnp.mean(state[0])
        run = rollout(model, REST, n, save_every=n // 20, observe=mean, adjoint=adjoint, throw=False)
        return run.ys - data, run.result

    return Problem(Pendulums(), residuals, jnp.zeros(20), parameters=PENDULUM)


def by_name(explanation):
    return {way.name: way for way in explanation.ways}


def test_closed_form_has_both_ways():
    residuals = lambda m, d: m["a"] * jnp.exp(-m["k"] * T) - d
    found = explain(Problem(START, residuals, jnp.ones(30), parameters=ENTRIES))
    assert (found.inputs, found.outputs) == (2, 30) and found.seconds > 0
    assert [way.name for way in found.chosen] == ["Jacobian, forward", "gradient, forward"]
    assert all(way.is_available and way.memory > 0 and way.compile_time > 0 for way in found.ways)
    assert found.ok and found.gradient is not None and found.gradient.ok and found.growth == ()
    text = str(found)
    assert "2 forward sweep(s) against 30 backward sweep(s)" in text
    assert "Growth of small changes: not checked" in text and "The gradient is right." in text
    page = found._repr_html_()
    assert "<table>" in page and "Jacobian, reverse" in page and "<pre>" in page


@pytest.mark.slow
def test_an_ode_problem():
    truth = LotkaVolterra(alpha=0.5, beta=0.025, gamma=0.8, delta=0.025)
    y0 = LotkaVolterra.State(prey=jnp.asarray(30.0), predator=jnp.asarray(4.0))

    def residuals(model, data):
        ts, prey = data
        run = integrate(model, y0, ts, throw=False)
        return run.ys.prey - prey, run.result

    names = ("alpha", "beta", "gamma", "delta")
    entries = [Parameter(lambda m, name=name: getattr(m, name), name=name) for name in names]
    ts = jnp.linspace(0.0, 20.0, 21)
    problem = Problem(truth, residuals, (ts, jnp.full(21, 30.0)), parameters=entries)
    found = explain(problem, dynamics=lambda model, data: (model, y0, data[0][-1]))
    assert (found.inputs, found.outputs) == (4, 21)
    ways = by_name(found)
    mode = problem.mode
    assert ways["Jacobian, forward"].is_chosen == mode.jacobian_is_forward
    assert ways["gradient, forward"].is_chosen == mode.gradient_is_forward
    assert all(way.is_available for way in found.chosen)
    assert found.ok, str(found)  # gradient of an adaptive solve, to its tolerance; neutral orbits
    (growth,) = found.growth
    np.testing.assert_allclose(growth.horizon, 20.0)
    assert growth.dimension == 2 and growth.num_steps > 20 and abs(growth.growth) < 5 and not growth.is_at_rest
    assert "steady state, implicit" in ways and not ways["steady state, implicit"].is_available


@pytest.mark.slow
def test_an_adjoint_of_one_mode_leaves_one_way():
    backward = explain(swings(Checkpointed(5)))
    assert [way.name for way in backward.chosen] == ["Jacobian, reverse", "gradient, reverse"]
    assert "the only mode that this simulation supports" in str(backward)
    assert "custom_vjp" in by_name(backward)["Jacobian, forward"].remark and backward.ok
    forward = explain(swings(Forward()))
    assert [way.name for way in forward.chosen] == ["Jacobian, forward", "gradient, forward"]
    assert not by_name(forward)["gradient, reverse"].is_available and forward.ok


@pytest.mark.parametrize("horizon, ok", [(1.0, True), (50.0, False)], ids=["short", "long"])
def test_chaos_is_warned_of_where_it_matters(horizon, ok):
    y0 = Lorenz.State(*map(jnp.asarray, (1.0, 1.0, 20.0)))
    end = lambda rho: integrate(Lorenz(rho=rho), y0, jnp.array([0.0, horizon]), adjoint=Forward()).state.y.z
    found = explain(end, jnp.asarray(28.0), dynamics=lambda rho: (Lorenz(rho=rho), y0, horizon))
    (growth,) = found.growth
    assert bool(growth.warning) is not ok and (growth.warning in found.warnings or ok)
    assert found.ok is ok, str(found)
    assert [way.name for way in found.chosen] == ["gradient, forward"]
    if not ok:
        assert 0.7 * 50 < growth.growth < 1.1 * 50 and growth.rounding > 1
        assert "WARNING: Small changes grow" in str(found) and "meaningless" in found._repr_html_()


def test_growth_that_dominates_is_told_from_growth_that_destroys():
    field = lambda t, y, args: y
    growth = lambda horizon: growth_of("", lambda x: (field, x, horizon), jnp.asarray(1.0))
    np.testing.assert_allclose(growth(2.0).growth, 2.0, rtol=1e-5)
    assert growth(2.0).warning == ""
    assert "dominates the gradient" in growth(10.0).warning
    assert "meaningless" in growth(36.0).warning
    np.testing.assert_allclose(growth(36.0).rounding, np.finfo(float).eps * np.exp(36.0), rtol=1e-3)


def test_the_worst_experiment_is_named_and_failures_are_told():
    experiments = Experiments({"slow": jnp.asarray(0.1), "fast": jnp.asarray(9.0)})
    residuals = lambda m, rate: jnp.stack([m["a"] * rate, m["k"]])
    problem = Problem(START, residuals, experiments, parameters=ENTRIES)
    found = explain(problem, dynamics=lambda model, rate: (Growing(rate=rate), model["a"], 4))
    assert found.worst_growth is not None and found.worst_growth.name == "fast"
    np.testing.assert_allclose(found.worst_growth.growth, 4 * np.log(10.0), rtol=1e-9)
    assert "experiment 'fast', the worst of 2" in str(found)
    blown = growth_of("", lambda x: (Growing(rate=1e300), x, 4), jnp.asarray(1.0))
    assert "not known" in str(blown) and "NaN or infinite" in blown.warning
    found = explain(problem, dynamics=lambda model, rate: lyapunov_exponent(Growing(rate=rate), model["a"], 4))
    assert "is not known" in by_name(found)["steady state, implicit"].remark


def test_a_simulation_that_comes_to_rest_offers_the_implicit_way():
    relax = Pendulums(damping=2.0, dt=0.1)
    end = lambda damping: rollout(Pendulums(damping=damping, dt=0.1), REST, 400).state[0]
    found = explain(end, relax.damping, dynamics=lambda damping: (Pendulums(damping=damping, dt=0.1), REST, 400))
    implicit = by_name(found)["steady state, implicit"]
    assert found.growth[0].is_at_rest and implicit.is_available and not implicit.is_chosen
    np.testing.assert_allclose(implicit.run_time, 1 + 201 / 400)
    assert "if only the final state is observed" in str(found)


def test_a_point_where_the_simulation_fails():
    problem = Problem(START, lambda m, d: jnp.sqrt(m["a"] - 5.0) * d, jnp.ones(3), parameters=ENTRIES[:1])
    found = explain(problem)
    assert found.gradient is None and "fails here, first 'data'" in found.warnings[0]
    assert explain(problem, jnp.array([6.0])).ok


def test_functions_take_any_tree_and_choose_by_cost():
    wide = lambda x: x["a"] ** 2 @ jnp.ones(300) + x["b"]
    found = explain(wide, {"a": jnp.ones(300), "b": jnp.asarray(1.0), "n": 3})
    assert (found.inputs, found.outputs) == (301, 1)
    assert [way.name for way in found.chosen] == ["gradient, reverse"] and found.ok
    tall = explain(lambda x: jnp.sin(x * jnp.arange(50.0)), jnp.asarray(0.3))
    assert by_name(tall)["Jacobian, forward"].is_chosen
    wrong = jax.custom_jvp(lambda x: x**2)
    wrong.defjvp(lambda primals, tangents: (primals[0] ** 2, 3 * tangents[0]))
    assert any("not confirmed" in warning for warning in explain(wrong, jnp.asarray(2.0)).warnings)


def programs():
    """Derivatives of simulations, for predictions."""
    for adjoint in (Unrolled(), Checkpointed(), Checkpointed(5)):
        problem = swings(adjoint, 1000)
        yield repr(adjoint), lambda problem, z: jax.grad(lambda z: problem.evaluate(z).cost)(z), problem


@pytest.mark.parametrize("name, fn, problem", list(programs()), ids=lambda v: v if isinstance(v, str) else "")
def test_memory_is_predicted(name, fn, problem):
    predicted = predict(fn, problem, problem.start())
    analysis: Any = predicted.lowered.compile().memory_analysis()
    ratio = predicted.memory / (analysis.temp_size_in_bytes + analysis.output_size_in_bytes)
    assert 1 / 3 < ratio < 4, ratio


def test_a_larger_program_is_predicted_to_compile_for_longer():
    counts = [predict(fn, problem, problem.start()).operations for _, fn, problem in programs()]
    estimate = measured_compile_time()
    assert all(estimate(count) > 0 for count in counts)
    assert np.argmax([estimate(count) for count in counts]) == np.argmax(counts)


@pytest.mark.parametrize(
    "arguments, options, message",
    [
        ((3,), {}, "a Problem, or a function"),
        ((jnp.sin,), {}, "needs the point x"),
        ((jnp.sin, 3), {}, "no float array leaf"),
        ((jnp.sin, jnp.asarray(1.0)), {"dynamics": lambda x: 3}, "dynamics must return"),
    ],
)
def test_bad_input_is_refused(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(explain)(*arguments, **options)  # without the tests' type checker


def test_coordinates_of_another_shape_are_refused():
    problem = Problem(START, lambda m, d: m["a"] * T - d, jnp.ones(30), parameters=ENTRIES[:1])
    with pytest.raises(ValueError, match="shape"):
        explain(problem, jnp.ones(2))
