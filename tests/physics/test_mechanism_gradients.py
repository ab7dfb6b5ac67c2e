"""Derivatives of everything by everything, also where formulas divide by zero if they are written carelessly."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import JointState, Multibody, SemiImplicitEuler
from kinax.solvers import TimeState
from tests.mechanisms import every_joint, somewhere


def states(made):
    """Rest, away from it, without velocity, half turns of every ball with aligned hinges; stacked."""
    q, v, a = somewhere(made)
    half = made.rest.at[made.masks.chart.ball_q].set(jnp.asarray([0.0, 1, 0, 0])[None])
    still = jnp.zeros_like(v)
    rows = [(q, v, a), (made.rest, still, still), (q, still, a), (half, v, a), (made.rest.at[:3].add(2.0), v, still)]
    return [jnp.stack(column) for column in zip(*rows, strict=True)]


def outcome(made, q, v, tau):
    """One number that everything enters: accelerations, poses, energies, Jacobians, a step."""
    body = made.topology.names[-3]
    pose = made.poses(q)
    step = SemiImplicitEuler(Multibody(made), dt=0.01)
    end = step(TimeState(t=jnp.asarray(0.0), y=JointState(q, v))).y
    parts = (
        made.forward_dynamics(q, v, tau) / 10,
        made.inverse_dynamics(q, v, tau) / 10,
        pose.position,
        pose.orientation**2,  # a quaternion and its negative are one rotation
        made.jacobian_rate(q, v, body),
        made.momentum(q, v),
        made.energy(q, v) / 10,
        made.difference(end.q, q),
        end.v / 10,
    )
    leaves = [x.reshape(-1) for x in jax.tree.leaves(parts)]
    flat = jnp.concatenate(leaves)
    return jnp.sum(jnp.sin(jnp.arange(1.0, flat.size + 1)) * flat)


@pytest.fixture(scope="module")
def derivatives():
    made = every_joint()
    # not half a turn from any state: there a spring may pull either way, and its force jumps
    relaxed = made.springref.at[made.masks.springs.ball_q].set(jnp.asarray([0.8, 0.6, 0, 0])[None])
    made = eqx.tree_at(lambda m: m.springref, made, relaxed)
    rng = np.random.default_rng(2)
    floats, rest = eqx.partition(made, eqx.is_inexact_array)
    value = lambda floats, q, v, tau: outcome(eqx.combine(floats, rest), q, v, tau)
    grad = jax.grad(value, argnums=(0, 1, 2, 3))

    def shift(given, along, h):
        return jax.tree.map(lambda x, d: x + h * d, given, along)

    @jax.jit
    @jax.vmap
    def at(given, along):
        """Value and gradient, and the derivatives along a direction of both."""
        (gradient,), (second,) = jax.jvp(lambda given: (grad(*given),), (given,), (along,))
        return value(*given), gradient, jax.jvp(lambda g: value(*g), (given,), (along,))[1], second

    points = states(made)
    count = points[0].shape[0]
    spread = lambda x: jnp.broadcast_to(x, (count, *x.shape))
    given = (jax.tree.map(spread, floats), *points)
    draw = lambda x: jnp.asarray(rng.normal(size=x.shape))
    along = jax.tree.map(draw, given)
    return given, along, at, shift


def five_point(rows, h):
    """A derivative from values at h, -h, 2h, -2h."""
    up, down, up2, down2 = map(np.asarray, rows)
    return (8 * (up - down) - (up2 - down2)) / (12 * h)


def dot(a, b):
    """Over all but the first axis, and all leaves."""
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return sum(np.sum(np.asarray(x) * np.asarray(y), axis=tuple(range(1, x.ndim))) for x, y in pairs)


def agree(found, expected):
    np.testing.assert_array_less(np.abs(found - expected) / (1 + np.abs(expected)), 1e-6)


@pytest.mark.slow
def test_forward_reverse_and_second_derivatives_are_differences(derivatives):
    """For each parameter and coordinate alone, in all states at once."""
    given, along, at, shift = derivatives
    directions, tree = jax.tree.flatten(along)
    checked = 0
    for k, direction in enumerate(directions):
        if direction.size == 0:
            continue
        only = jax.tree.unflatten(tree, [d if j == k else 0 * d for j, d in enumerate(directions)])
        h = 1e-4
        _, gradient, forward, second = at(given, only)
        assert all(np.isfinite(x).all() for x in jax.tree.leaves((gradient, second)))
        near = [at(shift(given, only, step), only) for step in (h, -h, 2 * h, -2 * h)]
        rise = five_point([values for values, *_ in near], h)
        agree(forward, rise)
        agree(dot(gradient, only), rise)
        agree(dot(second, along), five_point([dot(slope, along) for _, slope, *_ in near], h))
        checked += 1
    assert checked >= 15
