"""Inertial parameters of an arm from noisy torques: what can be known is recovered, what cannot is named."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import Hinge, LogCholesky, mechanism
from kinax.solvers import fit, identifiability, Parameter
from tests.mechanisms import Maker

NOISE = 0.02


def arm():
    """Seven hinges in a row, in general position, on a base that stands still."""
    make = Maker(7)
    names = [f"link{k}" for k in range(1, 8)]
    return mechanism(
        *(make.body(n, p, Hinge(make.vector())) for n, p in zip(names, ["world", *names[:-1]], strict=True))
    )


def excitation(made, count):
    """Positions, velocities and accelerations along a sum of sines, (count, 7) each."""
    rng = np.random.default_rng(1)
    size, rate, phase = rng.uniform(0.2, 0.6, (3, 7)), rng.uniform(1, 4, (3, 7)), rng.uniform(0, 6, (3, 7))
    angle = rate * np.linspace(0, 10, count)[:, None, None] + phase
    q, v, a = (size * np.sin(angle), size * rate * np.cos(angle), -size * rate**2 * np.sin(angle))
    return tuple(jnp.asarray(x.sum(axis=1)) for x in (q, v, a))


@pytest.mark.slow
def test_fit_recovers_what_the_torques_determine_and_no_more():
    true = arm()
    motion = excitation(true, 300)
    torques = eqx.filter_jit(lambda made, m: jax.vmap(made.inverse_dynamics)(*m))
    rows = jax.jit(jax.vmap(true.regressor))(*motion)
    noise = NOISE * np.random.default_rng(2).normal(size=(300, 7))
    measured = torques(true, motion) + noise

    singular, directions = np.linalg.svd(np.asarray(rows).reshape(-1, 70), full_matrices=True)[1:]
    rank = int(np.sum(singular > 1e-10 * singular[0]))
    assert 40 < rank < 60  # of 70: the first link only turns about one axis, and neighbors share terms
    seen, unseen = directions[:rank], directions[rank:]

    nominal = eqx.tree_at(lambda m: m.inertia, true, LogCholesky.of(true.inertia))
    off = 0.1 * np.random.default_rng(3).normal(size=(7, 10))
    start = eqx.tree_at(lambda m: m.inertia.theta, nominal, nominal.inertia.theta + off)
    result = fit(
        start,
        lambda made, data: jax.vmap(made.inverse_dynamics)(*data[0]) - data[1],
        (motion, measured),
        parameters=[Parameter(lambda m: m.inertia.theta, name="theta")],
        progress=False,
    )
    pi = lambda made: np.asarray(made.inertia.ten().T).reshape(-1)
    errors = seen @ (pi(result.model) - pi(true)) * singular[:rank] / NOISE
    assert abs(np.mean(errors**2) - 1) < 5 * np.sqrt(2 / rank), "errors of the combinations seen, in standard errors"
    assert np.abs(unseen @ (pi(result.model) - pi(true))).max() > 0.01  # these stay where the search left them

    report = identifiability(result)
    assert int(report.structural.sum()) == 70 - rank
    flat = lambda theta: LogCholesky(theta.reshape(7, 10)).ten().T.reshape(-1)
    slope = np.asarray(jax.jacobian(flat)(result.model.inertia.theta.reshape(-1)))
    scale = np.where(report.values == 0, 1, report.values)
    named = slope @ (scale[:, None] * report.directions[:, report.structural])
    named = named / np.linalg.norm(named, axis=0)
    np.testing.assert_allclose(seen @ named, 0, atol=1e-6)
