"""Robots of different shape in one program."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import (
    Body,
    family,
    Hinge,
    Inertia,
    JointState,
    mechanism,
    Multibody,
    Passive,
    SemiImplicitEuler,
    SoftLimits,
)
from kinax.solvers import rollout, TimeState
from tests.mechanisms import chain, every_joint, floating, somewhere

MEMBERS = (every_joint, floating, lambda: chain(5))


def answers(made, q, v, a):
    """What a mechanism says, and a step."""
    step = SemiImplicitEuler(Multibody(made), dt=0.01)
    end = rollout(step, TimeState(t=jnp.zeros(()), y=Multibody(made).state(q, v)), 3).state.y
    return dict(
        matrix=made.mass_matrix(q),
        tau=made.inverse_dynamics(q, v, a),
        q=end.q,
        v=end.v,
        change=made.difference(end.q, q),
        position=made.poses(q).position,
        energy=made.energy(q, v),
    )


@pytest.mark.slow
def test_members_of_a_family_move_as_they_do_alone():
    alone = [make() for make in MEMBERS]
    together = family(*alone)
    states = [somewhere(made) for made in alone]
    nq, nv = together.topology.nq, together.topology.nv
    q = jnp.stack([rest.at[: x.size].set(x) for (x, _, _), rest in zip(states, together.rest, strict=True)])
    pad = lambda x: jnp.pad(x, (0, nv - x.size))
    v, a = (jnp.stack([pad(state[k]) for state in states]) for k in (1, 2))
    found = eqx.filter_jit(eqx.filter_vmap(answers))(together, q, v, a)
    for k, (made, state) in enumerate(zip(alone, states, strict=True)):
        expected = eqx.filter_jit(answers)(made, *state)
        for name, value in expected.items():
            mine = np.asarray(found[name][k])[tuple(slice(n) for n in value.shape)]
            np.testing.assert_allclose(mine, value, rtol=0, atol=1e-11 * max(1, np.abs(value).max()), err_msg=name)

    @eqx.filter_jit
    def slope(made, q):
        return eqx.filter_grad(lambda m: jnp.sum(jax.vmap(lambda m, q: m.energy(q, 0 * m.armature))(m, q)))(made)

    gradient = slope(together, q)
    assert gradient.inertia.mass.shape == (3, together.topology.nb) and nq > nv
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(gradient))


def test_a_family_of_families_is_refused():
    two = family(chain(2), chain(3))
    with pytest.raises(ValueError, match="families"):
        family(two, chain(2))
    with pytest.raises(ValueError, match="at least one"):
        family()


def test_limits_that_only_pad_a_family_take_no_force_away():
    mass = Inertia(1.0, (0, 0, -1), (0.1, 0.1, 0.1))
    stop = Hinge([0.0, 1, 0], passive=Passive(limits=(-1.0, 1.0)))
    one = mechanism(Body("a", joint=stop, inertia=mass))
    two = mechanism(Body("a", joint=stop, inertia=mass), Body("b", joint=stop, inertia=mass))
    force = SoftLimits(stiffness=100.0, damping=0.0)
    q = jnp.asarray([[1.4, 0.0], [1.4, 1.4]])
    push = eqx.filter_jit(lambda made, q: force(made, 0.0, JointState(q, 0 * q)))
    found = eqx.filter_jit(eqx.filter_vmap(lambda made, q: force(made, 0.0, JointState(q, 0 * q))))(family(one, two), q)
    np.testing.assert_allclose(found[0, 0], push(one, q[0, :1])[0])
    np.testing.assert_allclose(found[1], push(two, q[1]))
    assert found[0, 0] < -30
