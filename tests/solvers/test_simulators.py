"""Every simulator of the registry: order, the way back, float32, vmap, derivatives."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import rollout
from tests.dynamics import check_both_modes
from tests.helpers import astype
from tests.simulators import CASES

DT = 0.05
each = pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.name, marks=pytest.mark.slow if c.slow else ()) for c in CASES]
)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


@functools.cache
def program(name):
    """n steps, in one program for all n and dt."""
    (case,) = (case for case in CASES if case.name == name)

    def run(parameters, state, dt, n):
        simulator = case.make(parameters, dt)
        return jax.lax.fori_loop(0, n, lambda _, state: simulator(state), state)

    return jax.jit(run)


def advance(case):
    return program(case.name)


def end(case, parameters, dt, n):
    return flat(case.view(advance(case)(parameters, case.start(parameters), dt, n)))


@each
def test_order_and_the_way_back(case):
    p, start = case.parameters, case.start(case.parameters)
    if case.order is not None:
        exact = flat(case.reference(p, case.span))
        errors = [np.max(np.abs(end(case, p, jnp.asarray(case.span / n), n) - exact)) for n in case.counts]
        order = np.log(errors[0] / errors[-1]) / np.log(case.counts[-1] / case.counts[0])
        assert errors[-1] > 1e-13  # more than rounding
        assert abs(order - case.order) < 0.35, (order, errors)
    if case.reversible:
        there = advance(case)(p, start, jnp.asarray(0.2), 1)
        back = advance(case)(p, there, jnp.asarray(-0.2), 1)
        assert np.max(np.abs(flat(case.view(there)) - flat(case.view(start)))) > 0.01
        np.testing.assert_allclose(flat(case.view(back)), flat(case.view(start)), rtol=0, atol=1e-14)


@each
def test_vmap_and_float32(case):
    p, dt = case.parameters, jnp.asarray(DT)
    many = jax.tree.map(lambda x: jnp.stack([x, 1.01 * x, 0.98 * x]), p)
    mapped = jax.vmap(advance(case), in_axes=(0, 0, None, None))(many, jax.vmap(case.start)(many), dt, 4)
    for i in range(3):
        one = end(case, jax.tree.map(lambda x, i=i: x[i], many), dt, 4)
        np.testing.assert_allclose(flat(case.view(jax.tree.map(lambda x, i=i: x[i], mapped))), one, rtol=1e-11)
    single = end(case, astype(p, jnp.float32), dt.astype(jnp.float32), 4)
    assert single.dtype == jnp.float32
    if case.order is not None:  # normals of float32 are others
        np.testing.assert_allclose(single, end(case, p, dt, 4), rtol=2e-6, atol=2e-6)


@each
def test_derivatives_in_both_modes(case):
    def last(given):
        parameters, dt = given
        return case.view(rollout(case.make(parameters, dt), case.start(parameters), 4, save_every=4).state)

    check_both_modes(last, (case.parameters, jnp.asarray(DT)))


@pytest.mark.parametrize("case", [case for case in CASES if case.name in ("implicit_midpoint", "gauss_3", "rattle")])
@pytest.mark.slow
def test_second_derivatives_through_a_scan(case):
    """What solves equations, in all four orders of the modes."""
    grow = lambda s: jax.tree.map(lambda x: x * s, case.parameters)

    def last(s):
        parameters = grow(s)
        state = rollout(case.make(parameters, jnp.asarray(DT)), case.start(parameters), 3, save_every=3).state
        return sum(jnp.sum(leaf) for leaf in jax.tree.leaves(case.view(state)))

    at, h = jnp.asarray(1.1), 1e-4
    slope = jax.jit(jax.grad(last))
    expected = (slope(at + h) - slope(at - h)) / (2 * h)
    for outer in (jax.jacfwd, jax.jacrev):
        for inner in (jax.jacfwd, jax.jacrev):
            np.testing.assert_allclose(jax.jit(outer(inner(last)))(at), expected, rtol=1e-6)
