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


def safe_norm(x):
    zero = jnp.sum(x**2) == 0
    return jnp.where(zero, 0.0, jnp.sqrt(jnp.sum(jnp.where(zero, 1.0, x) ** 2)))


UNCONFIRMED = {
    "one-sided": (lambda x: jax.lax.stop_gradient(5 * x) + jnp.where(x >= 1, x, jnp.nan), 1.0, "not finite here"),
    "power": (lambda x: x**1.5, 0.0, "not finite here"),
    "safe norm": (safe_norm, np.zeros(3), "a kink"),
    "maximum": (lambda x: jnp.maximum(x, -x), 0.0, "a kink"),
    "jump": (lambda x: jnp.where(x >= 0.3, 1.0, 0.0) + 0 * x, 0.3, "too noisy to tell"),
}


@pytest.mark.parametrize("case", UNCONFIRMED)
@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32], ids=["float64", "float32"])
def test_what_cannot_be_checked_is_not_confirmed(case, dtype):
    fn, x, verdict = UNCONFIRMED[case]
    report = check_gradient(fn, jnp.asarray(x, dtype))
    assert not report.ok and verdict in report.leaves[0].verdict, str(report)


def test_bfloat16_is_reported_as_well_as_its_differences_tell():
    leaf = check_gradient(lambda x: 2 * x, jnp.asarray([1.5, 0.5], jnp.bfloat16)).leaves[0]
    assert leaf.forward is not None and leaf.reverse is not None
    np.testing.assert_allclose(leaf.forward, leaf.reverse)
    assert abs(leaf.forward - leaf.difference) < leaf.difference_error
    assert leaf.verdict in ("ok", "the differences are too noisy to tell")


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
    minimum = check_gradient(lambda x: jnp.sum((x - jnp.asarray([0.1, 1.3])) ** 2), jnp.asarray([0.1, 1.3]))
    assert minimum.ok, str(minimum)


BAD = {
    "no float array leaf": (lambda x: 1.0 * x["n"], {"n": 3}),
    "finite ones": (jnp.log, jnp.asarray(-1.0)),
    "x is complex": (lambda x: jnp.real(x), jnp.asarray(1j)),
    "an output of fn is complex": (lambda x: x + 1j, jnp.asarray(1.0)),
    "must have float outputs": (lambda x: jnp.asarray(1), jnp.asarray(1.0)),
}


@pytest.mark.parametrize("message", BAD)
def test_bad_input(message):
    fn, x = BAD[message]
    with pytest.raises(ValueError, match=message):
        check_gradient(fn, x)
