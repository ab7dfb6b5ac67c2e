"""Interrupted fits go on to the same bits; files that belong to something else, or are damaged, are refused."""

import contextlib
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import types
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import _checkpoint, Checkpoint, fit, LatinHypercube, Parameter, Problem
from kinax.solvers._checkpoint import read_arrays, write_arrays
from kinax.solvers._fit._machine import Machine

WORKER = pathlib.Path(__file__).parent / "resume_worker.py"
T = np.linspace(0.0, 3.0, 12)
DATA = 2.0 * np.exp(-0.8 * T)
PARAMETERS = [
    Parameter(lambda m: m["a"], name="a", bounds=(0, 5)),
    Parameter(lambda m: m["k"], name="k", bounds=(0, 5)),
]
MODEL = {"a": jnp.asarray(1.0), "k": jnp.asarray(0.1)}


def residuals(model, data):
    return model["a"] * jnp.exp(-model["k"] * T) - data


def problem(data=DATA, model=MODEL, parameters=PARAMETERS, residuals=residuals):
    return Problem(model, residuals, data, parameters=parameters)


def begin(path, devices=1):
    cache = {  # of its own: a process that is killed may leave half of a program
        "JAX_COMPILATION_CACHE_DIR": str(path.parent / "cache"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    command = [sys.executable, str(WORKER), str(path), str(devices)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **cache})


def finish(path, devices=1):
    process = begin(path, devices)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0
    return out.split()[-1]


@pytest.mark.slow
def test_killed_at_twenty_random_moments_the_fit_ends_at_the_same_bits(tmp_path):
    whole = finish(tmp_path / "whole.npz")
    rng, kills, path = random.Random(0), 0, tmp_path / "part.npz"
    seconds = 2.0
    while kills < 20:
        process = begin(path, devices=1 + kills % 2)
        assert process.stdout is not None and process.stdout.readline() == "started\n"
        try:
            process.wait(timeout=rng.uniform(0, seconds))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL if kills % 5 else signal.SIGTERM)
            process.wait(timeout=60)
            kills += 1
            continue
        finally:
            process.stdout.close()
        # it ran to its end before it was killed: compare, and begin anew
        assert process.returncode == 0 and finish(path) == whole
        path.unlink()
        seconds *= 0.7
    assert finish(path, devices=2) == whole


@pytest.mark.slow
def test_a_saved_fit_goes_on_where_it_was_and_refuses_what_is_not_its_own(tmp_path):
    path = tmp_path / "fit.npz"
    starts = LatinHypercube(6)
    whole = fit(problem(), starts=starts)
    part = fit(problem(), starts=starts, max_steps=2, checkpoint=path, throw=False)
    assert (part.starts.num_steps == 2).any()
    resumed = fit(problem(), starts=starts, checkpoint=Checkpoint(path, every=0.0))
    for a, b in zip(jax.tree.leaves(whole.starts), jax.tree.leaves(resumed.starts), strict=True):
        np.testing.assert_array_equal(a, b)
    again = fit(problem(), starts=starts, checkpoint=path)  # finished: nothing is left to do
    assert again.values == whole.values
    others = {
        "data": lambda: fit(problem(DATA + 0.1), starts=starts, checkpoint=path),
        "model": lambda: fit(problem(model=MODEL | {"c": jnp.asarray(1.0)}), starts=starts, checkpoint=path),
        "parameters": lambda: fit(
            problem(parameters=[PARAMETERS[0], Parameter(lambda m: m["k"], name="k", bounds=(0, 6))]),
            starts=starts,
            checkpoint=path,
        ),
        "formula": lambda: fit(
            problem(residuals=lambda m, d: m["a"] * jnp.exp(-m["k"] * T**2) - d), starts=starts, checkpoint=path
        ),
        "starts": lambda: fit(problem(), starts=7, checkpoint=path),
    }
    for part, call in others.items():
        with pytest.raises(ValueError, match=f"belongs to something else: it differs in .*{part}"):
            call()


@pytest.mark.parametrize("content", [b"", b"nonsense", b"PK\x03\x04 cut"])
def test_a_damaged_file_is_refused(tmp_path, content):
    path = tmp_path / "fit.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape("cannot be read as a checkpoint: it is damaged")):
        fit(problem(), checkpoint=path)


def test_no_flipped_bit_changes_what_is_read(tmp_path):
    path, arrays = tmp_path / "some.npz", [np.arange(40.0), np.array([True, False])]
    write_arrays(path, {"kind": "test"}, arrays)
    whole = path.read_bytes()
    refused = 0
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        try:
            _, found = read_arrays(path)
        except ValueError as error:
            assert "cannot be read as a checkpoint" in str(error)
            refused += 1
            continue
        for a, b in zip(arrays, found, strict=True):
            np.testing.assert_array_equal(a, b)
    assert refused > len(whole) / 7 / 3


@pytest.mark.slow
def test_sigterm_inside_an_except_block_saves_what_has_begun(tmp_path, monkeypatch):
    """As after a first attempt that failed; and segments that take too long are as short as they can be."""
    path, widths, run = tmp_path / "fit.npz", [], Machine.run
    whole = fit(problem(), starts=9, batch_size=2)
    monkeypatch.setattr(_checkpoint, "_SEGMENT_SECONDS", 0.0)
    monkeypatch.setattr(Machine, "run", lambda self, fn, zs, of: (widths.append(zs), run(self, fn, zs, of))[1])
    flags = iter([False, True, True])
    asked = lambda active: contextlib.nullcontext(types.SimpleNamespace(is_set=lambda: next(flags)))
    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="saved"):
        patch.setattr(_checkpoint, "_termination", asked)
        try:
            raise OSError
        except OSError:
            fit(problem(), starts=9, batch_size=2, checkpoint=path)
    lanes = Machine(2, None).lanes
    assert len(read_arrays(path)[1][0]) == min(2 * lanes, 9)  # what began before and after the signal
    resumed = fit(problem(), starts=9, batch_size=2, checkpoint=path)
    assert max(len(jax.tree.leaves(members)[0]) for members in widths) <= lanes
    for a, b in zip(jax.tree.leaves(whole.starts), jax.tree.leaves(resumed.starts), strict=True):
        np.testing.assert_array_equal(a, b)


def test_an_exception_in_residuals_ends_a_fit_that_is_saved(tmp_path):
    raising = lambda m, d: residuals({**m, "a": eqx.error_if(m["a"], m["a"] > 1.5, "too much")}, d)
    path = tmp_path / "fit.npz"
    with pytest.raises(RuntimeError, match="`residuals` raised: .*too much.*throw=False"):
        fit(problem(residuals=raising), checkpoint=path)
    assert read_arrays(path)[1][0].shape == (1, 2)


def test_the_checkpoint_says_what_is_wrong_with_it():
    with pytest.raises(ValueError, match="number of seconds"):
        Checkpoint("x", every=-1.0)
    with pytest.raises(TypeError, match="must be a path"):
        fit(problem(), checkpoint=3)
    for name in ("max_steps", "batch_size"):
        wrong: Any = {name: 0}
        with pytest.raises(ValueError, match=f"{name} must be a positive integer, not 0"):
            fit(problem(), **wrong)
