"""`rollout`: values, saving, adjoints' memory, failures as values, bad input."""

import inspect
import re
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from kinax.solvers import (
    AbstractSimulator,
    Checkpointed,
    FixedStep,
    Forward,
    Implicit,
    parameter,
    RESULTS,
    rollout,
    StepwiseChord,
    TimeState,
    Unrolled,
)

ADJOINTS = [Unrolled(), Checkpointed(), Checkpointed(4), Forward()]


class Decay(AbstractSimulator[Any]):
    """x -> x - dt rate x: after k steps exactly (1 - dt rate)^k x."""

    rate: Any = parameter()
    dt: Any = parameter()

    def __call__(self, state):
        return state - self.dt * self.rate * state


def exact(x, k, rate=0.3, dt=0.1):
    return np.multiply.outer((1 - dt * rate) ** np.asarray(k, float), np.asarray(x))


@pytest.mark.parametrize("adjoint", ADJOINTS, ids=repr)
@pytest.mark.parametrize("n, save_every", [(1, 1), (24, 1), (97, 1), (97, 97), (60, 5), (202, 101)])
def test_states_are_exact_for_every_way_to_cut_the_loop(adjoint, n, save_every):
    x = np.array([1.0, -2.0])
    solution = rollout(Decay(rate=0.3, dt=0.1), x, n, save_every=save_every, adjoint=adjoint)
    steps = np.arange(save_every, n + 1, save_every)
    np.testing.assert_allclose(solution.ts, 0.1 * steps)
    np.testing.assert_allclose(solution.ys, exact(x, steps), rtol=1e-12)
    np.testing.assert_allclose(solution.state, exact(x, n), rtol=1e-12)
    assert solution.result == RESULTS.successful and solution.stats["num_steps"] == n


def test_observe_jit_and_vmap():
    simulator, x = Decay(rate=0.3, dt=0.1), np.array([1.0, -2.0])
    run = lambda x: rollout(simulator, x, 20, save_every=4, observe=lambda s: {"square": jnp.sum(s**2)}).ys["square"]
    plain = run(jnp.asarray(x))
    assert plain.shape == (5,)
    np.testing.assert_allclose(plain, np.sum(exact(x, np.arange(4, 21, 4)) ** 2, axis=1))
    np.testing.assert_array_equal(jax.jit(run)(x), plain)
    batch = np.stack([x, 2 * x, -x])
    np.testing.assert_allclose(jax.vmap(run)(batch), np.stack([run(jnp.asarray(b)) for b in batch]), rtol=1e-14)


def test_a_plain_function_counts_steps_and_states_may_hold_anything_arrays_can():
    state = {"key": jax.random.key(0), "count": jnp.asarray(0), "x": (jnp.asarray(1.0, jnp.float32),)}

    def step(s):
        key, sub = jax.random.split(s["key"])
        return {"key": key, "count": s["count"] + 1, "x": (s["x"][0] + jax.random.normal(sub, dtype=jnp.float32),)}

    solution = rollout(step, state, 7)
    np.testing.assert_array_equal(solution.ts, np.arange(1, 8))
    assert solution.state["count"] == 7 and solution.ys["x"][0].dtype == jnp.float32
    again = rollout(step, state, 7, adjoint=Unrolled())
    np.testing.assert_array_equal(solution.ys["x"][0], again.ys["x"][0])


def gradient_memory(adjoint, n):
    def loss(rate, x):
        return jnp.sum(rollout(Decay(rate=rate, dt=1e-3), x, n, save_every=n, adjoint=adjoint, throw=False).state)

    program = jax.jit(jax.grad(loss)).lower(jnp.asarray(0.3), jnp.ones(256)).compile()
    analysis: Any = program.memory_analysis()
    return analysis.temp_size_in_bytes


def test_memory_of_the_gradient_grows_like_the_square_root():
    sizes = {adjoint: [gradient_memory(adjoint, n) for n in (100, 1000, 10_000)] for adjoint in ADJOINTS[:3]}
    for small, large in zip(sizes[ADJOINTS[1]][:2], sizes[ADJOINTS[1]][1:], strict=True):
        assert 2.0 < large / small < 4.5  # sqrt(10) = 3.16
    assert sizes[ADJOINTS[0]][2] > 80 * sizes[ADJOINTS[0]][0]
    assert sizes[ADJOINTS[2]][2] < 1.1 * sizes[ADJOINTS[2]][0]


def test_a_broken_state_is_reported_as_a_value_and_raised_when_asked():
    grow = lambda factor, throw: rollout(lambda x: x * factor, 1.0, 400, throw=throw)
    solution = grow(10.0, False)
    assert solution.result == RESULTS.nonfinite_state
    with pytest.raises(RuntimeError, match="NaN or infinite(.|\n)*not finite = 308 of 400"):  # 1e309 overflows
        grow(10.0, True)
    results = jax.vmap(lambda f: grow(f, False))(jnp.array([10.0, 1.0]))
    np.testing.assert_array_equal(results.succeeded, [False, True])
    np.testing.assert_array_equal(results.ys[1], np.ones(400))
    inside = eqx.filter_jit(lambda f: grow(f, True))(jnp.asarray(10.0))
    assert np.isnan(inside.ys).all() and inside.result == RESULTS.nonfinite_state  # a program cannot raise


def test_forward_refuses_reverse_mode_and_implicit_refuses_trajectories():
    loss = lambda rate, adjoint: rollout(Decay(rate=rate, dt=0.1), 1.0, 10, adjoint=adjoint).state
    with pytest.raises(RuntimeError, match="Checkpointed"):
        jax.grad(loss)(0.3, Forward())
    with pytest.raises(ValueError, match="save_every=n"):
        loss(0.3, Implicit())
    with pytest.raises(ValueError, match="progress bar needs"):
        rollout(Decay(rate=0.3, dt=0.1), 1.0, 10, adjoint=Checkpointed(3), progress=True)
    with pytest.raises(RuntimeError, match="NaN or infinite"):  # also where the trajectory is traced
        jax.grad(lambda factor: rollout(lambda x: x * factor, 1.0, 4000).state)(1.5)


def test_progress_bar_reaches_the_end_from_under_jit_vmap_and_grad(capsys):
    def loss(rate):
        return rollout(Decay(rate=rate, dt=0.1), jnp.ones(2), 1000, save_every=100, progress=True).state.sum()

    for run in (loss, jax.jit(loss), jax.grad(loss), lambda r: jax.vmap(loss)(jnp.stack([r, r]))):
        jax.block_until_ready(run(jnp.asarray(0.3)))
        jax.effects_barrier()
        shown = capsys.readouterr().err
        assert "100%" in shown and re.search(r"1\.00k/1\.00k", shown)


finder = diffrax.with_stepsize_controller_tols(StepwiseChord)()
SOLVERS = [diffrax.Heun(), diffrax.Tsit5(), diffrax.Dopri8(), diffrax.Kvaerno5(root_finder=finder)]


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: type(solver).__name__)
def test_fixed_step_is_the_solver(solver):
    field = lambda t, y, args: {"x": -y["x"] * jnp.cos(3 * t)}
    start = TimeState(t=jnp.asarray(0.2), y={"x": jnp.asarray([1.0, 2.0])})
    solution = rollout(FixedStep(vector_field=field, dt=0.1, solver=solver), start, 10)
    ts = 0.2 + 0.1 * np.arange(11)
    if isinstance(solver, diffrax.Kvaerno5):
        solver = diffrax.Kvaerno5(root_finder=optx.Newton(1e-12, 1e-12))
    term, steps, saveat = diffrax.ODETerm(field), diffrax.StepTo(ts=jnp.asarray(ts)), diffrax.SaveAt(steps=True)
    peer = diffrax.diffeqsolve(
        term, solver, 0.2, ts[-1], None, start.y, stepsize_controller=steps, saveat=saveat, max_steps=10
    )
    np.testing.assert_allclose(solution.ys.y["x"], jax.tree.leaves(peer.ys)[0], rtol=1e-12)
    np.testing.assert_allclose(solution.ys.t, ts[1:], rtol=1e-14)


BAD = {
    "n must be at least 1": dict(n=0),
    "n must be an integer": dict(n=10.0),
    "save_every = 3 does not divide n = 10; use n = 9 or n = 12": dict(save_every=3),
    "save_every = 20 does not divide n = 10; use n = 20": dict(save_every=20),
    "holds 1 NaN or infinite value(s) (first at index (1,))": dict(state=np.array([1.0, np.nan])),
    "state['x'] is 'text'": dict(state={"x": "text"}),
    "simulator must be a callable": dict(simulator=3.0),
    "adjoint must be one of kinax's": dict(adjoint=diffrax.DirectAdjoint()),
    "simulator(state)[0] is float64[2] instead of float64[3], binomial": dict(
        simulator=lambda s: (s[0][:2],), state=(np.ones(3),), adjoint=Checkpointed(3)
    ),
    "simulator(state)[0] is float64[2] instead of float64[3]": dict(
        simulator=lambda s: (s[0][:2],), state=(np.ones(3),)
    ),
    "unexpected simulator(state)['v']": dict(simulator=lambda s: s | {"v": s["x"]}, state={"x": np.ones(3)}),
    "simulator(state) is float64[] instead of int64[]": dict(simulator=lambda s: s.astype(float), state=1),
    "simulator(state) is float32[2]": dict(simulator=lambda s: s.astype(jnp.float32), state=np.ones(2)),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input_names_the_thing_and_the_cure(message):
    good = dict(simulator=Decay(rate=0.3, dt=0.1), state=np.ones(2), n=10, save_every=1, adjoint=Unrolled())
    arguments = good | BAD[message]
    with pytest.raises(ValueError, match=re.escape(message.removesuffix(", binomial"))):
        inspect.unwrap(rollout)(  # without the tests' type checker, which refuses some of these in its own words
            arguments["simulator"],
            arguments["state"],
            arguments["n"],
            save_every=arguments["save_every"],
            adjoint=arguments["adjoint"],
        )
