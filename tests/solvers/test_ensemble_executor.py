"""`ensemble` in the worker processes of an executor."""

import concurrent.futures
import multiprocessing
import pickle
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import ensemble


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as executor:
        yield executor


def test_processes_give_the_same_numbers(processes, tmp_path):
    shift = jnp.asarray(0.25)
    members = {"x": np.linspace(0.1, 2.0, 21), "key": jax.random.split(jax.random.key(1), 21)}

    def fn(member):  # a local function: needs cloudpickle
        noise = jax.random.normal(member["key"])
        return {"y": jnp.log(member["x"] - 0.15) + shift * noise, "n": member["x"].astype(int)}

    here = ensemble(fn, members, batch_size=4, devices=jax.local_devices()[:1])
    there = ensemble(fn, members, batch_size=4, executor=processes, store=tmp_path)
    np.testing.assert_array_equal(there.values["y"], here.values["y"], strict=True)
    np.testing.assert_array_equal(there.values["n"], here.values["n"], strict=True)
    assert there.failures == here.failures and sorted(here.failures) == [0]
    assert there.values["y"].dtype == np.float64  # the workers took over the precision of the caller


def test_what_cannot_be_pickled(processes, monkeypatch):
    module = sys.modules["kinax.solvers._ensemble._remote"]
    monkeypatch.setattr(module, "_pickler", pickle)
    with pytest.raises(TypeError, match="pip install cloudpickle"):
        ensemble(lambda x: 2 * x, np.arange(3.0), executor=processes)
