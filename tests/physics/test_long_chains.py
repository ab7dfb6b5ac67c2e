"""Many degrees of freedom: what is solved by levels is what is solved by factors."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import Ball, Fixed, Free, Hinge, mechanism, Passive, Screw, Slide, Universal
from tests.mechanisms import chain, Maker, somewhere


def herd(count=9):
    """Robots that branch, with several joints on a body, joints of several freedoms and bodies that are fixed."""
    make, bodies = Maker(3), []
    axis = make.vector
    for k in range(count):
        joints = {
            "base": ("world", Free()),
            "wrist": ("base", (Hinge(axis(), passive=Passive(armature=0.05)), Slide(axis()), Hinge(axis(), axis(0.2)))),
            "shoulder": ("base", Ball(axis(0.2))),
            "lid": ("shoulder", Fixed()),
            "cardan": ("lid", Universal(axis(), axis(), axis(0.2))),
            "jack": ("shoulder", Screw(axis(), 0.3, axis(0.2))),
            "thumb": ("wrist", Hinge(axis())),
        }
        rename = lambda name, k=k: name if name == "world" else f"{name}{k}"
        bodies += [make.body(rename(name), rename(parent), joint) for name, (parent, joint) in joints.items()]
    return mechanism(*bodies)


@pytest.fixture(scope="module")
def robots():
    return herd()


def factors(made, q, v, tau, added):
    """The acceleration with a matrix in place of its diagonal, which takes the way of few degrees of freedom."""
    return made.forward_dynamics(q, v, tau, jnp.diag(added))


def levels(made, q, v, tau, added):
    return made.forward_dynamics(q, v, tau, added)


@eqx.filter_jit
def given(made):
    """Forces that keep accelerations near one, and what an implicit step adds."""
    q, v, a = somewhere(made, size=0.2)
    added = jnp.linspace(0.01, 0.1, made.topology.nv)
    return q, v, made.inverse_dynamics(q, v, a) + added * a, added


def weighted(a):
    return jnp.sum(jnp.sin(jnp.arange(1.0, a.size + 1)) * a**2)


def assert_close(found, expected, within):
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=within * np.abs(y).max(initial=1e-300))


def test_a_chain_moves_as_with_factors_in_both_precisions():
    made = chain(150)
    q, v, tau, added = given(made)

    @jax.jit
    @jax.vmap
    def at(added):
        a = levels(made, q, v, tau, added)
        return a, made.inverse_dynamics(q, v, a) - tau

    (a, _, unknown), (_, left, _) = at(jnp.stack([added, 0 * added, -added]))
    expected = jax.jit(factors)(made, q, v, tau, added)
    assert_close(a, expected, 1e-10)
    # nothing added: the matrix is nearly singular, but what is left of the forces is small
    assert np.abs(left).max() < 1e-10 * np.abs(tau).max()
    assert np.isnan(unknown).any()  # not a positive definite matrix

    single = lambda tree: jax.tree.map(lambda x: x.astype(jnp.float32) if eqx.is_inexact_array(x) else x, tree)
    rounded = jax.jit(levels)(*single((made, q, v, tau, added)))
    assert rounded.dtype == jnp.float32
    assert_close(rounded, expected, 1e-3)


def test_robots_that_branch_move_as_with_factors(robots):
    """With the gradient by what a step knows of the state."""
    found, expected = (
        jax.jit(jax.value_and_grad(lambda at, way=way: weighted(way(robots, *at))))(given(robots))
        for way in (levels, factors)
    )
    assert_close(found, expected, 1e-10)


@pytest.mark.slow
def test_derivatives_of_both_modes_and_orders(robots):
    """With respect to everything: parameters, coordinates, velocities, forces and what is added."""
    floats, rest = eqx.partition(robots, eqx.is_inexact_array)
    at = (floats, *given(robots))
    rng = np.random.default_rng(4)
    along = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)) * (1 + jnp.abs(x)) / 10, at)

    def derivatives(way):
        value = lambda floats, *others: weighted(way(eqx.combine(floats, rest), *others))
        both = jax.value_and_grad(value, argnums=tuple(range(5)))
        return jax.jit(lambda at, along: jax.jvp(both, at, along))(at, along)

    assert_close(derivatives(levels), derivatives(factors), 1e-9)
