"""`ensemble`: the same numbers as a loop, in the order of the inputs, whatever the schedule."""

import concurrent.futures
import gc
import sys

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import ensemble, integrate, pad_times, Pilot, RESULTS


def relax(member):
    """Relax x to 1 at rate k: slow rates take many steps."""
    x, k = member["x"], member["k"]

    def step(carry):
        x, n = carry
        return x + k * (1 - x) * jnp.exp(-k * x * x), n + 1

    unfinished = lambda carry: (jnp.abs(carry[0] - 1) > 1e-3) & (carry[1] < 3000)
    x, n = jax.lax.while_loop(unfinished, step, (x, jnp.zeros((), jnp.int32)))
    return {"x": x, "stats": {"num_steps": n}, "pair": jnp.stack([x, jnp.exp(-x) * k])}


def family(n, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=n).astype(dtype), "k": (10 ** rng.uniform(-2.5, -0.5, n)).astype(dtype)}


def assert_same(a, b):
    jax.tree.map(lambda u, v: np.testing.assert_array_equal(np.asarray(u), np.asarray(v), strict=True), a, b)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_same_numbers_whatever_the_schedule(dtype):
    members = family(300, dtype)
    together = jax.jit(jax.vmap(relax))(members)
    devices = jax.local_devices()
    assert len(devices) == 2
    choices = [
        {},
        {"cost": Pilot(members=40)},
        {"cost": 1 / members["k"], "batch_size": 4, "devices": devices[:1]},
        {"cost": lambda member: 1 / member["k"], "batch_size": 64},
        {"cost": np.arange(300), "batch_size": 4, "devices": devices[1:]},
        {"batch_size": 1000, "devices": devices[:1]},
    ]
    for choice in choices:
        result = ensemble(relax, members, **choice)
        assert_same(result.values, together)
        assert not result.failed.any() and result.failures == {}
        assert result.values["x"].dtype == dtype


def test_batch_size_one_is_the_plain_loop():
    members = family(12)
    compiled = jax.jit(relax)
    loop = [compiled({"x": x, "k": k}) for x, k in zip(members["x"], members["k"], strict=True)]
    assert_same(ensemble(relax, members, batch_size=1).values, jax.tree.map(lambda *leaves: np.stack(leaves), *loop))


def test_costs_from_a_pilot_make_better_batches():
    members = family(2048)
    blind = ensemble(relax, members, cost=np.ones(2048), batch_size=32)
    result = ensemble(relax, members, cost=Pilot(members=64), batch_size=32)
    told = ensemble(relax, members, cost=result.values["stats"]["num_steps"], batch_size=32)
    assert_same(result.values, blind.values)
    assert blind.stats["efficiency"] < 0.5 < 0.75 < result.stats["efficiency"] < told.stats["efficiency"]
    assert result.stats["pilot"] == 64
    assert "2048 members, 0 failed" in repr(result) and "values['pair']: float64[2048, 2]" in repr(result)


def test_pilot_by_the_clock():
    bare = lambda member: relax(member)["x"]
    members = family(300)
    result = ensemble(bare, members, cost=Pilot(members=16), batch_size=8)
    np.testing.assert_array_equal(result.values, jax.jit(jax.vmap(bare))(members))
    assert result.stats["pilot"] == 16 and result.stats["efficiency"] is None


def test_a_second_call_compiles_nothing():
    members = family(300)
    ensemble(relax, members)
    again = jax.tree.map(lambda leaf: 1.01 * leaf, members)
    assert ensemble(relax, again).stats["compile_seconds"] < 0.05


def test_a_measured_width_changes_no_bit(monkeypatch):
    monkeypatch.setattr(sys.modules["kinax.solvers._ensemble._tune"], "_WORTH", 0.0)  # measure, whatever it costs
    one = jax.local_devices()[:1]
    outer, inner = jax.random.normal(jax.random.key(0), (2, 64, 16), jnp.float32)

    def network(x):  # XLA multiplies matrices in another order for every width
        return jnp.sum(inner.T @ jnp.tanh(outer @ jnp.tanh(x)))

    x = np.random.default_rng(3).normal(size=(4096, 16)).astype(np.float32)
    fixed = ensemble(network, x, batch_size=64, devices=one)
    measured = [ensemble(network, x, devices=one) for _ in range(2)]
    for result in measured:
        np.testing.assert_array_equal(result.values, fixed.values)
    members = family(4096)
    together = jax.jit(jax.vmap(relax))(members)
    measured = [ensemble(relax, members, devices=one) for _ in range(2)]
    for result in measured:
        assert_same(result.values, together)
    assert 64 in measured[-1].stats["batch_sizes"] and len(measured[-1].stats["batch_sizes"]) == 4


def test_a_family_goes_with_its_function():
    families = sys.modules["kinax.solvers._ensemble._family"]._families
    before = set(families)
    doubled = lambda x: 2 * x
    ensemble(doubled, np.arange(4.0), batch_size=2)
    assert len(set(families) - before) == 1
    del doubled
    gc.collect()
    assert not set(families) - before
    for factor in range(40):
        ensemble(Static(float(factor)), np.arange(4.0), batch_size=2)
    assert len(families) <= 16


def test_the_devices_of_a_processor_share_a_program():
    slots = sys.modules["kinax.solvers._ensemble._workers"].slots_of
    assert len(jax.devices()) == 2
    assert slots(jax.devices()) == slots(jax.devices()[:1]) == [jax.devices()[0]] * len(slots(jax.devices()))
    result = ensemble(relax, family(300), devices=jax.devices()[::-1], batch_size=8)
    known = list(sys.modules["kinax.solvers._ensemble._family"]._families.values())[-1]
    assert {program.device for program in known._programs.values() if program.width == 8} == {jax.devices()[1]}
    assert_same(result.values, ensemble(relax, family(300), batch_size=8).values)


class Static(eqx.Module):
    factor: object = eqx.field(static=True)

    def __call__(self, x):
        return jnp.asarray(self.factor)


class Leaf(eqx.Module):
    factor: object  # not an array: a part of the program

    __call__ = Static.__call__


class Tagged(eqx.Module):
    x: jax.Array
    factor: object = eqx.field(static=True)


def read_factor(member):
    return jnp.asarray(member.factor)


@pytest.mark.parametrize(
    "evaluate",
    [
        lambda factor, x: ensemble(Static(factor), x, batch_size=2),
        lambda factor, x: ensemble(Leaf(factor), x, batch_size=2),
        lambda factor, x: ensemble(read_factor, Tagged(x=x, factor=factor), batch_size=2),
    ],
)
def test_equal_is_not_the_same(evaluate):
    x = jnp.arange(1, 4)
    for factor in (1, 1.0, True, 0.0, -0.0):
        result = evaluate(factor, x)
        expected = np.full(3, factor, jnp.asarray(factor).dtype)
        np.testing.assert_array_equal(result.values, expected, strict=True)
        np.testing.assert_array_equal(np.signbit(1.0 * result.values), np.signbit(1.0 * expected))


class Decay(eqx.Module):
    rate: jax.Array

    def __call__(self, t, y, args):
        return -self.rate * y


def decay(rate):
    """Grows for negative rates until the steps run out; not a rate at all if NaN."""
    ts = jnp.linspace(0.0, 1.0, 3)
    return integrate(Decay(rate=rate), jnp.asarray(1.0), ts, rtol=1e-8, max_steps=40, throw=False)


def throwing(rate):
    run = integrate(Decay(rate=rate), jnp.asarray(1.0), jnp.linspace(0.0, 1.0, 3), rtol=1e-8, max_steps=40, throw=False)
    return run.result.error_if(run.ys, ~run.succeeded)


def test_a_failed_member_is_flagged_and_not_contagious(caplog):
    rates = np.linspace(0.5, 3.0, 9)
    rates[4] = 3e3
    one = jax.local_devices()[:1]
    result = ensemble(decay, rates, batch_size=4, devices=one)
    good = np.arange(9) != 4
    np.testing.assert_allclose(result.values.ys[good, -1], np.exp(-rates[good]), rtol=1e-7)
    assert result.failed.tolist() == [i == 4 for i in range(9)]
    assert "max_steps" in result.failures[4] and "member 4 failed" in repr(result)
    np.testing.assert_array_equal(np.asarray(result.values.result == RESULTS.successful), good)

    raised = ensemble(throwing, rates, batch_size=4, devices=one)
    assert raised.failed.tolist() == result.failed.tolist()
    assert "max_steps" in raised.failures[4] and "Traceback" not in raised.failures[4]
    np.testing.assert_array_equal(raised.values[good], result.values.ys[good])
    assert np.isnan(raised.values[4]).all()
    assert "callback failed" not in caplog.text


def test_nan_is_a_failure_and_an_event_is_not():
    event = diffrax.Event(lambda t, y, args, **_: y < 0.5)

    def stopped(rate):
        return integrate(Decay(rate=rate), jnp.asarray(1.0), jnp.asarray([0.0, 1.0]), events=event, throw=False)

    assert not ensemble(stopped, np.array([0.1, 2.0, 3.0]), devices=jax.local_devices()[:1]).failed.any()
    result = ensemble(lambda x: {"root": jnp.sqrt(x), "count": 3}, np.array([4.0, -1.0, 9.0]))
    assert result.failures == {1: "['root'] contains NaN"}
    np.testing.assert_array_equal(result.values["count"], [3, 3, 3])


def test_padded_times_are_no_failure():
    ts = pad_times([[0.0, 1.0], [0.0, 0.5, 1.0], [0.0, 1.0]])
    members = {"ts": ts, "rate": np.array([1.0, 2.0, np.nan])}

    def solve(member):
        solution = integrate(Decay(rate=member["rate"]), jnp.asarray(1.0), member["ts"], max_steps=40, throw=False)
        return {"run": solution, "log": jnp.log(member["rate"] - 1.5)}

    runs = ensemble(lambda member: solve(member)["run"], members, batch_size=2)
    np.testing.assert_array_equal(np.isnan(runs.values.ts), np.isnan(ts))
    assert sorted(runs.failures) == [2]
    both = ensemble(solve, members, batch_size=2)  # another NaN still counts
    assert sorted(both.failures) == [0, 2] and both.failures[0] == "['log'] contains NaN"


def test_keys_modules_and_structure():
    keys = jax.random.split(jax.random.key(7), 10)
    draw = lambda key: (jax.random.normal(key, (3,)), jax.random.fold_in(key, 1), "note")
    normals, folded, note = ensemble(draw, keys, batch_size=4).values
    np.testing.assert_array_equal(normals, jax.vmap(lambda key: jax.random.normal(key, (3,)))(keys))
    np.testing.assert_array_equal(
        jax.random.key_data(folded), jax.random.key_data(jax.vmap(lambda key: jax.random.fold_in(key, 1))(keys))
    )
    assert note == "note"

    class Scale(eqx.Module):
        factor: jax.Array

        def __call__(self, x):
            return {"y": self.factor * x}

    x = np.arange(6.0)
    first = ensemble(Scale(jnp.asarray(2.0)), x, batch_size=2)
    second = ensemble(Scale(jnp.asarray(3.0)), x, batch_size=2)
    np.testing.assert_array_equal(first.values["y"], 2 * x)
    np.testing.assert_array_equal(second.values["y"], 3 * x)
    assert second.stats["compile_seconds"] < 0.05  # parameters are data
    gradients = ensemble(jax.grad(lambda x: jnp.sin(x) * x), x, batch_size=2)
    np.testing.assert_allclose(gradients.values, np.sin(x) + x * np.cos(x), rtol=1e-14)


def test_members_that_are_modules_and_threads_as_executor():
    systems = jax.vmap(lambda rate: Decay(rate=rate))(jnp.linspace(1.0, 2.0, 7))
    fn = lambda system: integrate(system, jnp.asarray(1.0), jnp.asarray([0.0, 1.0])).ys[-1]
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        values = ensemble(fn, systems, executor=executor, batch_size=2).values
    np.testing.assert_allclose(values, np.exp(-np.linspace(1.0, 2.0, 7)), rtol=1e-6)


def test_precision_of_the_caller_holds_in_the_workers():
    with jax.enable_x64(False):
        result = ensemble(lambda x: x * 3.1, np.linspace(0, 1, 9), batch_size=2)
    assert result.values.dtype == np.float32
