"""Every simulator of the registry: order, derivatives, float32, vmap, the way back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import rollout
from tests.dynamics import check_both_modes
from tests.helpers import astype
from tests.simulators import CASES

each = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
DT = 0.05


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def run(case, parameters, dt, n=4):
    return case.view(rollout(case.make(parameters, dt), case.start(parameters), n, save_every=n).state)


@pytest.mark.parametrize("case", [case for case in CASES if case.order], ids=lambda case: case.name)
def test_order(case):
    @jax.jit
    def end(n):
        simulator = case.make(case.parameters, jnp.asarray(case.span) / n)
        return case.view(jax.lax.fori_loop(0, n, lambda _, state: simulator(state), case.start(case.parameters)))

    exact = flat(case.reference(case.parameters, case.span))
    errors = [np.max(np.abs(flat(end(n)) - exact)) for n in case.counts]
    order = np.log(errors[0] / errors[-1]) / np.log(case.counts[-1] / case.counts[0])
    assert errors[-1] > 1e-13  # not the rounding
    assert abs(order - case.order) < 0.35, (order, errors)


@each
def test_derivatives_in_both_modes(case):
    check_both_modes(lambda given: run(case, *given), (case.parameters, jnp.asarray(DT)))


@each
def test_float32_vmap_and_jit(case):
    dt = jnp.asarray(DT)
    many = jax.tree.map(lambda x: jnp.stack([x, 1.01 * x, 0.98 * x]), case.parameters)
    one = jax.jit(lambda parameters: run(case, parameters, dt))
    loop = [one(jax.tree.map(lambda x, i=i: x[i], many)) for i in range(3)]
    mapped = jax.vmap(one)(many)
    if case.order is not None:  # a batch of normals is drawn in another order than one by one
        for i, found in enumerate(loop):
            np.testing.assert_allclose(flat(jax.tree.map(lambda x, i=i: x[i], mapped)), flat(found), rtol=1e-11)
    start = case.start(case.parameters)
    step = case.make(case.parameters, dt)
    np.testing.assert_allclose(
        flat(case.view(step(start))), flat(case.view(jax.jit(lambda s: step(s))(start))), rtol=1e-12
    )
    single = run(case, astype(case.parameters, jnp.float32), jnp.asarray(DT, jnp.float32))
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(single))
    if case.order is not None:
        np.testing.assert_allclose(flat(single), flat(loop[0]), rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("case", [case for case in CASES if case.reversible], ids=lambda case: case.name)
def test_a_step_back_undoes_one(case):
    @jax.jit
    def there_and_back(dt):
        start = case.start(case.parameters)
        there = case.make(case.parameters, dt)(start)
        return case.view(start), case.view(there), case.view(case.make(case.parameters, -dt)(there))

    start, there, back = map(flat, there_and_back(jnp.asarray(0.2)))
    assert np.max(np.abs(there - start)) > 0.01
    np.testing.assert_allclose(back, start, rtol=0, atol=1e-14)
