"""Each adjoint, each ready-made system, each dtype: derivatives agree with each other and with finite differences."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from kinax.solvers import (
    check_gradient,
    Checkpointed,
    FixedStep,
    Forward,
    integrate,
    rollout,
    stiff,
    TimeState,
    Unrolled,
)
from tests.helpers import all_systems, astype

pytestmark = pytest.mark.usefixtures("backward_sweep")

QUICK = {"lotka_volterra"}
slow_unless_quick = [
    pytest.param(case, id=case.name, marks=() if case.name in QUICK else pytest.mark.slow) for case in all_systems
]
DTYPES = [jnp.float64, jnp.float32]


def gradients(run, adjoints, x):
    """The derivative of sum(run(adjoint, x)), flat, by every adjoint in the mode that it is for."""
    flat, unravel = ravel_pytree(x)
    results = {}
    for adjoint in adjoints:
        mode = jax.jacfwd if isinstance(adjoint, Forward) else jax.jacrev
        loss = lambda z, adjoint=adjoint: _weigh(run(adjoint, unravel(z)))
        results[repr(adjoint)] = np.asarray(eqx.filter_jit(mode(loss))(flat))
    return results


def _weigh(ys):
    """A scalar that sees every number, with weights of both signs and entries scaled to order one."""
    flat, _ = ravel_pytree(ys)
    weights = jnp.asarray(np.random.default_rng(0).normal(size=flat.size), flat.dtype)
    return jnp.sum(weights * flat / (1e-3 + jax.lax.stop_gradient(jnp.abs(flat))))


def check_agreement(run, adjoints, x, dtype, difference_rtol):
    reference = astype(x, jnp.float64)
    exact = gradients(run, adjoints[:1], reference).popitem()[1]
    tolerance = 1e-9 if dtype == jnp.float64 else 5e-3
    scale = np.abs(exact).max()
    found = gradients(run, adjoints, astype(x, dtype))
    for name, gradient in found.items():
        assert gradient.dtype == dtype
        np.testing.assert_allclose(gradient, exact, rtol=tolerance, atol=tolerance * scale, err_msg=name)
    if dtype == jnp.float64:
        report = check_gradient(lambda x: run(adjoints[0], x), reference, rtol=difference_rtol)
        assert report.ok, str(report)


@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("case", slow_unless_quick)
def test_rollout(case, dtype):
    dynamic, static = eqx.partition((case.system, case.y0), eqx.is_inexact_array)
    n = 12
    dt = float(case.ts[-1] - case.ts[0]) / n if not case.stiff else 1e-4

    def run(adjoint, dynamic):
        system, y0 = eqx.combine(dynamic, static)
        time = jnp.zeros((), jax.tree.leaves(y0)[0].dtype)
        simulator = FixedStep(vector_field=system, dt=time + dt, solver=diffrax.Heun())
        return rollout(simulator, TimeState(t=time, y=y0), n, save_every=4, adjoint=adjoint, throw=False).ys.y

    check_agreement(run, [Unrolled(), Checkpointed(), Checkpointed(3), Forward()], dynamic, dtype, 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES, ids=["float64", "float32"])
@pytest.mark.parametrize("case", slow_unless_quick)
def test_integrate(case, dtype):
    dynamic, static = eqx.partition((case.system, case.y0), eqx.is_inexact_array)
    ts = case.ts[:2]

    def run(adjoint, dynamic):
        system, y0 = eqx.combine(dynamic, static)
        double = jax.tree.leaves(y0)[0].dtype == jnp.float64
        return integrate(
            system,
            y0,
            ts,
            solver=stiff() if case.stiff else None,
            rtol=1e-9 if double else 1e-5,
            atol=1e-12 if double else 1e-8,
            adjoint=adjoint,
            max_steps=1000,
            throw=False,
        ).ys

    check_agreement(run, [Checkpointed(), Unrolled(), Forward()], dynamic, dtype, 1e-5)
