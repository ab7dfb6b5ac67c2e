"""Input that is no ensemble: an error that names the thing and the cure."""

import concurrent.futures
import multiprocessing

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import ensemble, Pilot

X = np.arange(4.0)


def double(x):
    return 2 * x


@pytest.mark.parametrize(
    "inputs, error, says",
    [
        ({"a": np.ones(3), "b": np.ones((4, 2))}, ValueError, r"disagree.*inputs\['a'\]: 3, inputs\['b'\]: 4"),
        ({"a": np.ones((0, 2))}, ValueError, r"no members.*inputs\['a'\]"),
        ({"a": X, "b": np.float64(3.0)}, ValueError, r"`inputs\['b'\]` is a scalar.*Close over"),
        ({"a": X, "b": 3.0}, TypeError, r"`inputs\['b'\]` is 3.0 \(float\), not an array.*Close over"),
        ({"a": X, "b": "label"}, TypeError, r"`inputs\['b'\]` is 'label'"),
        ({"a": np.array([object()])}, TypeError, "dtype object"),
        ({}, ValueError, "no array leaf"),
    ],
)
def test_inputs(inputs, error, says):
    with pytest.raises(error, match=says):
        ensemble(lambda member: member["a"], inputs)


@pytest.mark.parametrize(
    "options, error, says",
    [
        ({"cost": np.ones(3)}, ValueError, r"shape \(3,\), but there are 4 members"),
        ({"cost": lambda x: jnp.stack([x, x])}, ValueError, r"shape \(4, 2\)"),
        ({"cost": np.array([1, np.nan, 1, 1])}, ValueError, "member 1 has nan"),
        ({"cost": -X}, ValueError, "not negative"),
        ({"cost": "slow"}, TypeError, "`cost` must be an array"),
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer of at least 1"),
        ({"devices": []}, ValueError, "`devices` is empty"),
        ({"executor": 3}, TypeError, "`executor` must be"),
    ],
)
def test_options(options, error, says):
    with pytest.raises(error, match=says):
        ensemble(double, X, **options)


def test_function():
    with pytest.raises(TypeError, match="fn"):
        ensemble(3, X)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="returns no array"):
        ensemble(lambda x: None, X)
    with pytest.raises(ZeroDivisionError):  # a defect of the function is raised as it is
        ensemble(lambda x: x / (1 // 0), X)
    with pytest.raises(ValueError, match="at least 2 members"):
        Pilot(members=1)


@pytest.mark.parametrize("transform", [jax.jit, jax.grad, lambda f: jax.vmap(f)])
def test_under_a_transformation(transform):
    with pytest.raises(TypeError, match=r"jax\.vmap\(fn\)\(inputs\)"):
        transform(lambda x: jnp.sum(ensemble(double, x).values))(jnp.ones(4) if transform is not None else X)


def test_fork_is_refused():
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as executor:
        with pytest.raises(ValueError, match=r'get_context\("spawn"\)'):
            ensemble(double, X, executor=executor)
        devices = jax.local_devices()
    with concurrent.futures.ThreadPoolExecutor(1) as executor, pytest.raises(ValueError, match="not both"):
        ensemble(double, X, executor=executor, devices=devices)
