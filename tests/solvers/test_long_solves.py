"""Solves that are watched, interrupted, and resumed."""

import diffrax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import Robertson
from kinax.solvers import Checkpoint, integrate, RESULTS, stiff
from kinax.solvers._checkpoint import Keeper

START = Robertson.State(1.0, 0.0, 0.0)
TS = np.concatenate([[0.0], np.logspace(-4, 6, 12)])


def solve(path=None, system=None, ts=TS, **how):
    system = Robertson() if system is None else system
    return integrate(system, START, ts, solver=stiff(), rtol=1e-7, atol=1e-12, checkpoint=path, **how)


class Interrupted(Exception):
    pass


def test_an_interrupted_solve_ends_at_the_same_bits(tmp_path, monkeypatch):
    whole = solve(Checkpoint(tmp_path / "whole.npz", every=0.0))
    path, saves = Checkpoint(tmp_path / "part.npz", every=0.0), []
    save = Keeper.save

    def interrupt(self, arrays):
        save(self, arrays)
        saves.append(1)
        if len(saves) in (2, 5):
            raise Interrupted

    monkeypatch.setattr(Keeper, "save", interrupt)
    for _ in range(2):
        with pytest.raises(Interrupted):
            solve(path)
    found = solve(path)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(whole), strict=True):
        np.testing.assert_array_equal(a, b)
    assert solve(path).result == RESULTS.successful  # done: nothing is left to do


def test_the_result_is_that_of_a_plain_solve(tmp_path):
    swing = lambda t, y, args: jnp.stack([y[1], -jnp.sin(y[0])])
    run = lambda path: integrate(swing, jnp.asarray([2.0, 0.0]), [0.0, 0.5, 4.0, 9.0], rtol=1e-8, checkpoint=path)
    found, plain = run(tmp_path / "a.npz"), run(None)
    np.testing.assert_allclose(found.ys, plain.ys, rtol=1e-7)  # steps need not be the same
    np.testing.assert_array_equal(found.ts, plain.ts)
    np.testing.assert_array_equal(found.state.t, plain.state.t)
    assert abs(int(found.stats["num_steps"]) - int(plain.stats["num_steps"])) < 5


def test_a_file_of_something_else_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    solve(path, ts=TS[:3])
    with pytest.raises(ValueError, match="start and times"):
        solve(path, ts=TS[:4])
    with pytest.raises(ValueError, match="parameters"):
        solve(path, Robertson(k1=0.05), ts=TS[:3])


def test_more_steps_may_be_allowed_later(tmp_path):
    path = tmp_path / "a.npz"
    assert solve(path, throw=False, max_steps=50).result == RESULTS.max_steps_reached
    found = solve(path, max_steps=5000)
    assert found.stats["num_steps"] > 50
    np.testing.assert_array_equal(found.ys.a, solve(tmp_path / "b.npz").ys.a)


def test_misuse_is_refused(tmp_path):
    with pytest.raises(ValueError, match="outside jit"):
        jax.jit(lambda k: solve(tmp_path / "a.npz", Robertson(k1=k)).ys)(0.04)
    with pytest.raises(ValueError, match="leave out saveat"):
        solve(tmp_path / "a.npz", saveat=diffrax.SaveAt(t1=True))


def test_failures_are_kept(tmp_path):
    blow_up = lambda t, y, args: y**2
    path = tmp_path / "a.npz"
    for _ in range(2):  # the second time from the file
        found = integrate(blow_up, jnp.asarray(1.0), [0.0, 2.0], checkpoint=path, throw=False)
        assert found.result == RESULTS.stalled
        np.testing.assert_allclose(found.state.t, 1.0, rtol=1e-3)


def test_a_callback_sees_every_accepted_step_and_changes_nothing():
    seen = []
    ts = [0.0, 1.0, 3.0]
    field = lambda t, y, args: -y
    run = lambda callback: integrate(field, jnp.ones(2), ts, rtol=1e-8, callback=callback)
    found = run(lambda t, y: seen.append((float(t), y)))
    jax.effects_barrier()
    plain = run(None)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(plain), strict=True):
        np.testing.assert_array_equal(a, b)
    times = [t for t, _ in seen]
    assert len(seen) == found.stats["num_accepted_steps"] and times == sorted(times) and times[-1] == 3.0
    np.testing.assert_allclose([y[0] for _, y in seen], np.exp(-np.asarray(times)), rtol=1e-6)
    seen.clear()
    jax.vmap(lambda y: integrate(field, y, ts, callback=lambda t, y: seen.append(float(t))).ys)(jnp.ones((2, 1)))
    jax.effects_barrier()
    assert seen.count(3.0) == 2
