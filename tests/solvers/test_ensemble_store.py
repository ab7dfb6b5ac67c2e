"""Results on the disk: streamed, readable after an interrupt, resumed to the same bits."""

import importlib.util
import pathlib
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import ensemble, integrate, read_store

WORKER = pathlib.Path(__file__).parent / "ensemble_worker.py"
_spec = importlib.util.spec_from_file_location("ensemble_worker", WORKER)
assert _spec is not None and _spec.loader is not None
worker = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(worker)


def wave(member):
    return {"y": jnp.sin(member["x"]) * member["k"], "half": jnp.asarray(member["x"], jnp.bfloat16)}


MEMBERS = {"x": np.linspace(-1.0, 1.0, 50), "k": np.ones((50, 3))}
ONE = jax.local_devices()[:1]


def test_stream_to_disk_and_read_back(tmp_path):
    plain = ensemble(wave, MEMBERS, batch_size=4, devices=ONE)
    stored = ensemble(wave, MEMBERS, batch_size=4, store=tmp_path / "run", devices=ONE)
    assert isinstance(stored.values["y"], np.memmap)
    for name in ("y", "half"):
        np.testing.assert_array_equal(stored.values[name], plain.values[name], strict=True)
    held = read_store(tmp_path / "run")
    assert held.done.all() and not held.failed.any() and "50 of 50 members done" in repr(held)
    np.testing.assert_array_equal(held.values["['y']"], plain.values["y"])
    assert ensemble(wave, MEMBERS, batch_size=4, store=tmp_path / "run", devices=ONE).stats["units"] == 0


def test_a_leaf_without_elements(tmp_path):
    fn = lambda x: {"x": 2 * x, "none": jnp.zeros(0), "nowhere": jnp.zeros((3, 0))}
    for store in (None, tmp_path / "run", tmp_path / "run"):
        result = ensemble(fn, MEMBERS["x"], batch_size=4, store=store, devices=ONE)
        np.testing.assert_array_equal(result.values["x"], 2 * MEMBERS["x"])
        assert result.values["none"].shape == (50, 0) and result.values["nowhere"].shape == (50, 3, 0)
        assert not result.failed.any()


class Interrupting:
    """A progress bar on which someone presses Ctrl-C as soon as it moves."""

    def __init__(self, bar):
        self.bar = bar

    def __getattr__(self, name):
        return getattr(self.bar, name)

    def update(self, n):
        raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, monkeypatch, capsys):
    members = {**MEMBERS, "x": np.where(np.arange(50) % 20 == 3, np.nan, MEMBERS["x"])}
    whole = ensemble(wave, members, batch_size=4, devices=ONE)
    module = sys.modules["kinax.solvers._ensemble._ensemble"]
    tqdm = module.tqdm
    with monkeypatch.context() as patch:
        patch.setattr(module, "tqdm", lambda **options: Interrupting(tqdm(**options)))
        with pytest.raises(KeyboardInterrupt):
            ensemble(wave, members, batch_size=4, store=tmp_path, devices=ONE)
    before = read_store(tmp_path)
    assert 4 <= before.done.sum() < 50
    np.testing.assert_array_equal(before.values["['y']"][before.done], whole.values["y"][before.done])
    resumed = ensemble(wave, members, batch_size=4, store=tmp_path, progress=True, devices=ONE)
    np.testing.assert_array_equal(resumed.values["y"], whole.values["y"])
    assert resumed.failures == whole.failures and sorted(whole.failures) == [3, 23, 43]
    np.testing.assert_array_equal(resumed.failed, whole.failed)
    assert "50/50" in capsys.readouterr().err


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_process_that_is_stopped_leaves_its_results(tmp_path, how):
    process = subprocess.Popen(
        [sys.executable, str(WORKER), str(tmp_path / "run")], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.05)
        if (tmp_path / "run" / "manifest.json").exists() and read_store(tmp_path / "run").done.any():
            break
    asked = time.monotonic()
    process.send_signal(how)
    out, err = process.communicate(timeout=60)
    assert "finished" not in out and time.monotonic() - asked < 10
    assert "KeyboardInterrupt" in err or how == signal.SIGKILL
    held = read_store(tmp_path / "run")
    assert 0 < held.done.sum() < 400
    resumed = ensemble(worker.iterate, worker.inputs(), batch_size=2, store=tmp_path / "run")
    assert resumed.stats["units"] > 0
    whole = jax.jit(jax.vmap(worker.iterate))(worker.inputs())
    np.testing.assert_array_equal(resumed.values["x"], whole["x"])
    np.testing.assert_array_equal(resumed.values["twice"], whole["twice"])


def test_a_store_of_something_else_is_refused(tmp_path):
    run, members = tmp_path / "run", MEMBERS
    ensemble(wave, members, store=run, devices=ONE)
    cases = [
        (wave, {**members, "x": members["x"] + 1}, "its inputs had other values"),
        (wave, jax.tree.map(lambda leaf: leaf[:9], members), "it holds 50 members, this call has 9"),
        (lambda member: {"y": member["x"]}, members, r"its outputs are \['half'\].*this function returns \['y'\]"),
        (lambda member: {**wave(member), "y": member["k"] * 2}, members, "computed something else"),
    ]
    for fn, inputs, says in cases:
        with pytest.raises(ValueError, match=says):
            ensemble(fn, inputs, store=run, devices=ONE)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="is not a store of `ensemble`"):
        ensemble(wave, members, store=tmp_path / "other", devices=ONE)
    with pytest.raises(ValueError, match="is not a store of `ensemble`"):
        read_store(tmp_path / "nothing")


def solved(rate):
    ts = jnp.array([0.0, 1.0])
    return lambda y: integrate(lambda t, y, args: -jnp.sum(rate) * y, y, ts, throw=False).ys[-1]


def scanned(rate):
    return lambda y: jax.lax.scan(lambda y, _: (jax.jit(lambda y: y * jnp.sum(rate))(y), None), y, length=2)[0]


@pytest.mark.parametrize("shape", [(), (2,)])
@pytest.mark.parametrize("make", [solved, scanned])
def test_a_constant_of_an_inner_program_is_part_of_the_function(tmp_path, make, shape):
    y = np.ones(3)
    first = ensemble(make(jnp.full(shape, 1.0)), y, store=tmp_path, batch_size=2, devices=ONE)
    with pytest.raises(ValueError, match="computed something else"):
        ensemble(make(jnp.full(shape, 2.0)), y, store=tmp_path, batch_size=2, devices=ONE)
    again = ensemble(make(jnp.full(shape, 1.0)), y, store=tmp_path, batch_size=2, devices=ONE)
    assert again.stats["units"] == 0
    np.testing.assert_array_equal(again.values, first.values)
