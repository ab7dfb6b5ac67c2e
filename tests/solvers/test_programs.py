"""What the verbs compile: no host callbacks, few programs, the user's functions traced once."""

import itertools
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from jax.extend.core import ClosedJaxpr, Jaxpr
from kinax import md
from kinax.solvers import (
    Checkpointed,
    Crossing,
    Doses,
    ensemble,
    estimate,
    fit,
    FixedStep,
    hybrid,
    ImplicitMidpoint,
    integrate,
    Log,
    Normal,
    Observed,
    Parameter,
    parameter,
    Problem,
    profile,
    RESULTS,
    rollout,
    sample,
    stiff,
    TimeState,
)
from kinax.solvers._codes import promoted

TS = jnp.linspace(0.0, 2.0, 6)


def primitives(jaxpr: Jaxpr | ClosedJaxpr) -> Iterator[str]:
    """The names of all operations of a program, those inside others too."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for param in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: isinstance(x, Jaxpr)):
            if isinstance(param, Jaxpr | ClosedJaxpr):
                yield from primitives(param)


class Decay(eqx.Module):
    rate: Any = parameter()

    def __call__(self, t, y, args):
        return -self.rate * y


def by_integrate(solver, adjoint=None):
    return lambda rate: integrate(Decay(rate), 1.0, TS, solver=solver, dt0=0.01, adjoint=adjoint).ys


def by_rollout(rate):
    start = TimeState(t=0.0, y=jnp.asarray(1.0))
    return rollout(FixedStep(Decay(rate), 0.1, diffrax.Heun()), start, 10).ys.y


def by_midpoint(rate):
    return rollout(ImplicitMidpoint(Decay(rate), 0.1), TimeState(t=0.0, y=jnp.asarray(1.0)), 10).ys.y


def by_hybrid(rate):
    fall = Crossing(lambda t, y, args: y - 0.5, reset=lambda t, y, args: y + 1.0, direction=False)
    dose = Doses([0.5], 0.3, where=lambda y: y)
    return hybrid(Decay(rate), 1.0, TS, transitions=[fall, dose], max_events=5).ys


def by_estimate(rate):
    data = by_integrate(None)(rate)
    problem = Problem(
        Decay(1.0), lambda m, d: integrate(m, 1.0, TS).ys - d, data, parameters=[Parameter(lambda m: m.rate, name="k")]
    )
    return estimate(problem).values


PROGRAMS = {
    "integrate": by_integrate(None),
    "integrate stiff": by_integrate(stiff()),
    "integrate, swept backward": by_integrate(None, Checkpointed(100)),
    "rollout": by_rollout,
    "rollout implicit": by_midpoint,
    "hybrid": by_hybrid,
    "estimate": by_estimate,
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_hold_no_host_callback(name):
    """With `throw=True`, and in both modes of differentiation: JAX's cache and `jax.export` refuse such programs."""
    run, rate = PROGRAMS[name], jnp.asarray(0.7)
    both = jax.make_jaxpr(lambda r: (jax.jvp(run, (r,), (r,)), jax.grad(lambda r: jnp.sum(run(r)))(r)))
    forward = jax.make_jaxpr(lambda r: jax.jvp(run, (r,), (r,)))
    found = set(primitives((forward if name == "estimate" else both)(rate)))
    assert found & {"while", "scan"}
    assert not {x for x in found if "callback" in x}


def test_verbs_that_compile_by_themselves_ask_for_no_host_callback(monkeypatch):
    """What their programs hold cannot be looked at from here, but whatever calls the host is named by these three."""

    def refuse(*args, **kwargs):
        raise AssertionError("a host callback")

    for place, name in ((jax, "pure_callback"), (jax.experimental, "io_callback"), (jax.debug, "callback")):
        monkeypatch.setattr(place, name, refuse)
    jax.clear_caches()
    with pytest.raises(AssertionError, match="a host callback"):
        eqx.filter_jit(lambda x: eqx.error_if(x, x > 1, ""))(jnp.asarray(0.0))

    data = np.exp(-0.7 * np.asarray(TS)) + 1e-3 * np.cos(np.arange(6.0))
    residuals = lambda model, data: Observed(data, Normal(integrate(model, 1.0, TS, throw=False).ys, 1e-3))
    found = fit(
        Decay(1.0), residuals, data, parameters=[Parameter(lambda m: m.rate, name="rate", bounds=(0.1, 2.0))], starts=2
    )
    assert len(profile(found, num_points=2)) == 1
    assert sample(found, num_samples=4, num_warmup=4, chains=2, key=jax.random.key(0), progress=False) is not None
    assert not ensemble(by_integrate(None), jnp.array([0.5, 0.7])).failed.any()

    crystal = md.draw_velocities(md.fcc(3, 1.6), 0.5, key=jax.random.key(0))
    bath = md.Langevin(potential=md.LennardJones(cutoff=md.Truncated(radius=2.2)), kT=0.5, friction=1.0, dt=0.005)
    assert np.isfinite(rollout(bath, bath.start(crystal, key=jax.random.key(1)), 2).state.system.position).all()
    assert md.minimize(bath.potential, crystal, max_steps=5, throw=False) is not None


def test_a_solve_can_be_exported():
    """To a program that another process, and another platform, can run."""
    solve = jax.jit(lambda rate: integrate(Decay(rate), 1.0, TS).ys)
    exported = jax.export.export(solve, platforms=("cpu", "cuda"))(jnp.asarray(0.7))
    np.testing.assert_array_equal(exported.call(jnp.asarray(0.7)), solve(jnp.asarray(0.7)))


def test_a_failure_under_jit_is_nan():
    """Where nothing can be raised, all floats are NaN, for the member that failed, and so is their derivative."""
    blow_up = lambda y: integrate(lambda t, y, args: y**2, y, [0.0, 0.9])
    runs = jax.jit(jax.vmap(blow_up))(jnp.array([0.5, 2.0]))
    assert np.isfinite(runs.ys[0]).all() and np.isnan(runs.ys[1]).all() and np.isnan(runs.state.y[1])
    assert bool((runs.result == RESULTS.successful)[0]) and bool((runs.result == RESULTS.stalled)[1])
    slopes = jax.jit(jax.vmap(jax.grad(lambda y: blow_up(y).ys[-1])))(jnp.array([0.5, 2.0]))
    assert np.isfinite(slopes[0]) and np.isnan(slopes[1])
    dense = integrate(lambda t, y, args: -y, 1.0, [0.0, 1.0], saveat=diffrax.SaveAt(dense=True))
    inside, outside = jax.jit(jax.vmap(dense.evaluate))(jnp.array([0.5, 1.5]))
    np.testing.assert_allclose(inside, np.exp(-0.5), rtol=1e-5)
    assert np.isnan(outside)


def test_results_of_diffrax_keep_their_codes():
    for name in ("successful", "event_occurred", "max_steps_reached", "nonlinear_divergence"):
        item = getattr(diffrax.RESULTS, name)
        assert bool(promoted(item) == RESULTS.promote(item)) and bool(promoted(item) == getattr(RESULTS, name))
    assert bool(RESULTS.promote(optx.RESULTS.nonfinite) == promoted(optx.RESULTS.nonfinite))


@contextmanager
def compiled_programs() -> Iterator[list[str]]:
    """The programs that XLA compiles meanwhile."""
    found: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record):
            if record.getMessage().startswith("Finished XLA compilation"):
                found.append(record.getMessage())

    logger, handler = logging.getLogger("jax"), Handler()
    before = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    jax.config.update("jax_log_compiles", True)
    try:
        yield found
    finally:
        jax.config.update("jax_log_compiles", False)
        logger.removeHandler(handler)
        logger.propagate = before


def test_a_fit_compiles_few_programs_and_another_of_its_shape_none():
    """The residuals are traced once; new lambdas with the same code, new data and starts need nothing new."""
    traces = itertools.count()
    data = np.exp(-0.7 * np.asarray(TS))

    def run(start, noise):
        def residuals(model, data):
            next(traces)
            return integrate(model, 1.0, TS).ys - data

        rates = [Parameter(lambda m: m.rate, name="rate", transform=Log())]
        result = fit(Decay(start), residuals, jax.device_put(data + noise), parameters=rates)
        return result, result.summary(), result.predict(lambda m: 1 / m.rate)

    jax.clear_caches()
    with compiled_programs() as first:
        _, _, (value, _) = run(1.0, 0.0)
    np.testing.assert_allclose(value, 1 / 0.7, rtol=1e-6)
    assert len(first) <= 6, first
    with compiled_programs() as second:
        result, _, _ = run(1.3, 1e-3 * np.cos(np.arange(6.0)))
    assert second == [], second
    assert next(traces) == 1
    assert 0.6 < result.values["rate"] < 0.8
