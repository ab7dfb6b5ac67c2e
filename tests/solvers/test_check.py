"""`check_gradient` confirms what is right and names what is wrong."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import check_gradient


@jax.custom_vjp
def wrong_reverse(x):
    return x**3


wrong_reverse.defvjp(lambda x: (x**3, x), lambda x, ct: (2.9 * x**2 * ct,))


@jax.custom_jvp
def modes_differ(x):
    return x**2


@modes_differ.defjvp
def _(primals, tangents):
    (x,), (t,) = primals, tangents
    transposed_wrongly = jax.custom_derivatives.linear_call(lambda x, t: 2 * x * t, lambda x, ct: 2.1 * x * ct, x, t)
    return x**2, transposed_wrongly


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32], ids=["float64", "float32"])
def test_right_gradients_are_confirmed(dtype):
    x = {"a": jnp.asarray(1.5, dtype), "b": jnp.arange(1, 5, dtype=dtype), "zero": jnp.zeros(3, dtype)}
    fn = lambda x: (jnp.sin(x["a"] * x["b"]) * jnp.exp(-x["b"]), jnp.sum((x["zero"] - 1) ** 2))
    report = check_gradient(fn, x)
    assert report.ok and bool(report), str(report)
    assert [leaf.name for leaf in report.leaves] == ["x['a']", "x['b']", "x['zero']"]
    assert "The gradient is right." in str(report)
    for leaf in report.leaves:
        assert leaf.forward is not None and leaf.reverse is not None
        np.testing.assert_allclose(leaf.forward, leaf.difference, rtol=1e-8 if dtype == jnp.float64 else 1e-3)


WRONG = {
    "the gradient differs from the differences": (lambda x: jax.lax.stop_gradient(x) * x, 2.0),
    "forward and reverse mode disagree": (modes_differ, 2.0),
    "the gradient is not finite": (lambda x: jnp.sqrt(x**2), 0.0),
    "a kink": (jnp.abs, 0.0),
    "too noisy to tell": (lambda x: jnp.float32(1e8) + x, np.float32(2.0)),
}


@pytest.mark.parametrize("verdict", WRONG)
def test_wrong_gradients_are_named(verdict):
    fn, x = WRONG[verdict]
    report = check_gradient(fn, jnp.asarray(x))
    assert not report.ok and verdict in str(report), str(report)
    assert "NOT confirmed" in str(report)


def test_a_mode_that_is_missing_is_noted():
    report = check_gradient(wrong_reverse, jnp.asarray(2.0))
    assert report.leaves[0].forward is None and "Forward mode is not available" in str(report)
    assert "differs from the differences" in report.leaves[0].verdict


def test_zero_gradients_and_what_is_left_out():
    report = check_gradient(
        lambda x: 0 * x["flat"] + x["used"] ** 2, {"flat": jnp.ones(()), "n": 3, "used": jnp.ones(())}
    )
    assert report.ok and "x['n']" in str(report)


BAD = {
    "no float array leaf": (lambda x: 1.0 * x["n"], {"n": 3}),
    "finite ones": (jnp.log, jnp.asarray(-1.0)),
    "must have float outputs": (lambda x: jnp.asarray(1), jnp.asarray(1.0)),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input(message):
    fn, x = BAD[message]
    with pytest.raises(ValueError, match=message):
        check_gradient(fn, x)
