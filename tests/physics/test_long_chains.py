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
def long():
    return {"chain": chain(150), "herd": herd()}


def factors(made, q, v, tau, added):
    """The acceleration with a matrix in place of its diagonal, which takes the way of few degrees of freedom."""
    return made.forward_dynamics(q, v, tau, jnp.diag(added))


def levels(made, q, v, tau, added):
    return made.forward_dynamics(q, v, tau, added)


def given(made):
    """Forces that keep accelerations near one, and what an implicit step adds."""
    q, v, a = somewhere(made, size=0.2)
    added = jnp.linspace(0.01, 0.1, made.topology.nv)
    return q, v, made.inverse_dynamics(q, v, a) + added * a, added


@pytest.mark.parametrize("name", ["chain", "herd"])
def test_accelerations(long, name):
    made = long[name]
    q, v, tau, added = given(made)
    rows = jax.tree.map(lambda x: jnp.stack([x, 0.9 * x]), (q, v, tau))

    @jax.jit
    def found(made, rows, added):
        """With factors, with levels, and what is left of the forces without `added`."""
        each = lambda way: jax.vmap(lambda q, v, tau: way(made, q, v, tau, added))(*rows)
        a = made.forward_dynamics(q, v, tau)
        return each(factors), each(levels), made.inverse_dynamics(q, v, a) - tau

    expected, by_levels, left = found(made, rows, added)
    np.testing.assert_allclose(by_levels, expected, rtol=0, atol=1e-10 * np.abs(expected).max())
    assert np.abs(left).max() < 1e-10 * np.abs(tau).max()

    single = lambda tree: jax.tree.map(lambda x: x.astype(jnp.float32) if eqx.is_inexact_array(x) else x, tree)
    rounded = jax.jit(levels)(*single((made, q, v, tau, added)))
    assert rounded.dtype == jnp.float32
    np.testing.assert_allclose(rounded, expected[0], rtol=0, atol=1e-3 * np.abs(expected).max())


def test_a_matrix_that_is_not_positive_gives_nan(long):
    made = long["chain"]
    q, v, tau, added = given(made)
    assert np.isnan(jax.jit(levels)(made, q, v, tau, -added)).any()


def test_derivatives_of_both_modes_and_orders(long):
    """With respect to everything: parameters, coordinates, velocities, forces and what is added."""
    made = long["herd"]
    floats, rest = eqx.partition(made, eqx.is_inexact_array)
    at = (floats, *given(made))
    rng = np.random.default_rng(4)
    along = jax.tree.map(lambda x: jnp.asarray(rng.normal(size=x.shape)) * (1 + jnp.abs(x)) / 10, at)

    def derivatives(way):
        def value(floats, *others):
            a = way(eqx.combine(floats, rest), *others)
            return jnp.sum(jnp.sin(jnp.arange(1.0, a.size + 1)) * a**2)

        both = lambda *given: jax.value_and_grad(value, argnums=tuple(range(5)))(*given)
        return jax.jit(lambda at, along: jax.jvp(both, at, along))(at, along)

    found, expected = derivatives(levels), derivatives(factors)
    for x, y in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(x, y, rtol=0, atol=1e-9 * np.abs(y).max(initial=1e-300))
