"""A thousand starts of which many lead to simulations that blow up."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import fit, integrate, Log, Parameter, parameter, Problem, RESULTS

T = np.linspace(0.0, 2.0, 9)


class Explosion(eqx.Module):
    """dy/dt = growth y^2 - loss y: infinite in finite time, unless loss > growth y."""

    growth: Any = parameter(default=0.2)
    loss: Any = parameter(default=1.0)

    def __call__(self, t, y, args):
        return self.growth * y**2 - self.loss * y

    def exact(self, ts):
        """y = loss / (growth + (loss / y0 - growth) exp(loss t)) from y0 = 1."""
        return self.loss / (self.growth + (self.loss - self.growth) * np.exp(self.loss * ts))


def residuals(model, data):
    run = integrate(model, 1.0, T, rtol=1e-9, atol=1e-9, max_steps=5000, throw=False)
    return run.ys - data, run.result


def blowing_up(number):
    truth = Explosion(growth=0.5, loss=1.5)
    noise = 0.01 * np.random.default_rng(0).normal(size=T.size)
    parameters = [
        Parameter(lambda m: m.growth, name="growth", bounds=(0.05, 20.0), transform=Log()),
        Parameter(lambda m: m.loss, name="loss", bounds=(0.5, 20.0), transform=Log()),
    ]
    problem = Problem(Explosion(), residuals, np.asarray(truth.exact(T)) + noise, parameters=parameters)
    return problem, fit(problem, starts=number)


@pytest.mark.slow
def test_a_thousand_starts_of_which_many_blow_up():
    problem, result = blowing_up(1000)
    table = result.starts
    begun_badly = (table.num_steps == 0) & (table.verdict != 0)
    assert 0.1 < begun_badly.mean() < 0.5
    assert table.failure_count.sum() > 150 and not np.isnan(table.cost).any()
    listed = table.failures()
    assert {f.start for f in listed} == set(np.flatnonzero(table.failure_count.sum(axis=1)).tolist())
    assert all(f.experiment == "data" and f.times >= 1 and f.first_step <= f.last_step for f in listed)
    reasons = {f.reason for f in listed}
    assert reasons <= {RESULTS[r] for r in (RESULTS.stalled, RESULTS.max_steps_reached)} and reasons
    single = fit(problem)
    np.testing.assert_allclose(list(result.values.values()), list(single.values.values()), rtol=1e-6)
    np.testing.assert_allclose(list(result.values.values()), [0.5, 1.5], rtol=0.1)
    optima = table.optima()
    assert len(optima[0].starts) > 500
    assert "failed simulations" in str(result)


def test_all_starts_failing_says_which_and_why():
    always = lambda model, data: jnp.full(3, jnp.nan) * model.growth
    growth = [Parameter(lambda m: m.growth, name="growth", bounds=(0.1, 1.0))]
    with pytest.raises(ValueError, match="fails at all 3 starts. Experiment 'data': The residuals became NaN"):
        fit(Explosion(), always, jnp.zeros(3), parameters=growth, starts=3)
