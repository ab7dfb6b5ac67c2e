"""`Implicit`: fixed points, minima, roots; forward, reverse, second order; a point that is no solution."""

import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import pytest
from kinax.solvers import check_gradient, Implicit, RESULTS, rollout

A = jnp.array([[3.0, 1.0], [1.0, 2.0]])


def fixed_point(theta):
    """x = cos(theta x), by iterating."""
    return rollout(lambda x: jnp.cos(theta * x), jnp.full(2, 0.5), 300, save_every=300, adjoint=Implicit()).state


def minimum(theta):
    """The minimum of a strictly convex function, found by Newton's method; a scalar of it."""
    energy = lambda x, theta: 0.5 * x @ A @ x - theta @ x + 0.1 * jnp.sum(x**4)
    fixed = jax.lax.stop_gradient(theta)
    newton = lambda _, x: x - jnp.linalg.solve(A + jnp.diag(1.2 * x**2), A @ x - fixed + 0.4 * x**3)
    return Implicit().minimum(energy, jax.lax.fori_loop(0, 12, newton, jnp.zeros(2)), theta)


def root(theta):
    """x^3 + theta x = 1 in closed form (Cardano), as a PyTree; `theta` enters by closure."""
    d = jax.lax.stop_gradient(theta)
    s = jnp.sqrt(0.25 + d**3 / 27)
    x = {"x": jnp.cbrt(0.5 + s) + jnp.cbrt(0.5 - s)}
    return Implicit(linear_solver=lx.LU()).root(lambda x, args: {"x": x["x"] ** 3 + theta * x["x"] - 1}, x)


def roots(theta):
    """Three roots, each in the equation of the next, in a scan."""

    def step(x, _):
        fixed = jax.lax.stop_gradient(theta * x)
        newton = lambda _, y: y - (y**3 + y - fixed) / (3 * y**2 + 1)
        y = jax.lax.fori_loop(0, 12, newton, fixed)
        return Implicit().root(lambda y, right: y**3 + y - right, y, theta * x), None

    return jax.lax.scan(step, jnp.asarray(0.7), None, length=3)[0]


CASES = {
    "fixed point": (fixed_point, jnp.array([0.9, 0.4])),
    "minimum": (minimum, jnp.array([1.0, -2.0])),
    "root": (root, jnp.array(0.7)),
    "roots": (roots, jnp.array(1.3)),
}


@pytest.mark.parametrize("name", CASES)
def test_first_and_second_derivatives(name):
    solve, theta = CASES[name]
    first = check_gradient(solve, theta)
    assert first.ok and not first.notes, str(first)
    loss = lambda theta: sum(jnp.sum(jnp.sin(leaf)) for leaf in jax.tree.leaves(solve(theta)))
    second = check_gradient(jax.grad(loss), theta)  # reverse over reverse, forward over reverse, differences
    assert second.ok and not second.notes, str(second)
    twice, mixed = jax.jit(lambda theta: (jax.jacfwd(jax.jacfwd(loss))(theta), jax.hessian(loss)(theta)))(theta)
    np.testing.assert_allclose(twice, mixed, rtol=1e-10)


def test_closed_form_jit_and_vmap():
    theta = jnp.array([0.5, 0.9, 1.3])
    x, slope = jax.vmap(jax.jit(jax.value_and_grad(lambda t: root(t)["x"])))(theta)
    np.testing.assert_allclose(slope, -x / (3 * x**2 + theta), rtol=1e-12)


def test_a_point_that_is_no_solution_has_no_derivative():
    start = jnp.asarray(0.5)
    run = lambda theta, n: rollout(
        lambda x: jnp.cos(theta * x), start, n, save_every=n, adjoint=Implicit(), throw=False
    )
    short = run(0.9, 4)
    assert short.result == RESULTS.not_converged
    with pytest.raises(RuntimeError, match="fixed point"):
        rollout(lambda x: jnp.cos(x), 0.5, 4, save_every=4, adjoint=Implicit())
    # one member only: its value stays, its derivative is NaN, in both modes
    solve = lambda theta, x: Implicit().fixed_point(lambda x, theta: jnp.cos(theta * x), x, theta)
    thetas = jnp.array([0.9, 0.9])
    points = jnp.stack([fixed_point(0.9)[0], jnp.asarray(0.3)])
    for mode in (jax.grad, jax.jacfwd):
        slopes = jax.jit(jax.vmap(mode(solve)))(thetas, points)
        assert np.isfinite(slopes[0]) and np.isnan(slopes[1])
    np.testing.assert_array_equal(jax.jit(jax.vmap(solve))(thetas, points), points)


def test_the_start_does_not_matter_and_the_simulator_may_be_a_module():
    class Relax(eqx.Module):
        target: jax.Array

        def __call__(self, state):
            return {"x": state["x"] + 0.3 * (self.target - state["x"]), "count": state["count"] + 1}

    def settle(target, x0):
        state = {"x": x0, "count": jnp.asarray(0)}
        return rollout(Relax(target), state, 150, save_every=150, adjoint=Implicit()).state["x"]

    target, x0 = jnp.asarray(2.0), jnp.asarray(-1.0)
    slopes = jax.jit(jax.grad(settle, argnums=(0, 1)))(target, x0)
    np.testing.assert_allclose(slopes, (1.0, 0.0), atol=1e-14)


def test_a_solution_that_is_not_isolated_has_no_derivative():
    def conserving(p):  # any multiple of the fixed point is one: the sum is conserved
        step = lambda x: jnp.stack([(1 - p) * x[0] + 0.2 * x[1], p * x[0] + 0.8 * x[1]])
        return rollout(step, jnp.array([1.0, 2.0]), 400, save_every=400, adjoint=Implicit()).state

    double_root = lambda theta: Implicit().root(lambda x, theta: x**2 - theta, jnp.asarray(0.0), theta)
    both = lambda theta: Implicit().root(lambda x, theta: (x - theta) ** 2, jnp.ones(2), theta)
    for mode in (jax.jacfwd, jax.jacrev):
        slopes = jax.jit(
            lambda *x, mode=mode: [mode(f)(x) for f, x in zip((conserving, double_root, both), x, strict=True)]
        )
        assert all(np.isnan(slope).all() for slope in slopes(0.3, 0.0, 1.0))


def test_what_the_equation_does_not_use_moves_nothing():
    for mode in (jax.jacfwd, jax.jacrev):
        slope = jax.jit(mode(lambda a: Implicit().root(lambda x, a: x - 1, jnp.ones(2), a)))(2.0)
        np.testing.assert_array_equal(slope, 0)


def test_python_numbers_are_differentiated_too():
    cube_root = lambda theta: Implicit().root(lambda x, theta: x**3 - theta, 2.0, theta)
    np.testing.assert_allclose(jax.grad(cube_root)(8.0), 1 / 12, rtol=1e-12)
    with pytest.raises(ValueError, match="float leaves"):
        rollout(lambda n: n, jnp.asarray(1), 3, save_every=3, adjoint=Implicit())
