"""Mechanics that holds for every mechanism, and what is refused."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import (
    about,
    Ball,
    Body,
    Free,
    Hinge,
    Inertia,
    LogCholesky,
    mechanism,
    Multibody,
    Passive,
    rotate,
    rotation_matrix,
    Screw,
    Slide,
    Universal,
)
from tests.helpers import astype
from tests.mechanisms import every_joint, Maker, MECHANISMS, somewhere


@pytest.fixture(scope="module", params=MECHANISMS, ids=str)
def case(request):
    """A mechanism, a state, and what all tests here compute, in one program."""
    made = MECHANISMS[request.param]()
    q, v, a = somewhere(made)
    body = made.topology.names[-1]
    point = jnp.asarray([0.1, -0.2, 0.3])

    def place(q):
        pose = made.poses(q)
        return pose.position[-1] + rotate(pose.orientation[-1], point)

    def along(fn):
        """The derivative along the motion."""
        return jax.jvp(fn, (q, v), (made.rate(q, v), a))[1]

    @jax.jit
    def all_of(q, v, a):
        tau = made.inverse_dynamics(q, v, a)
        small = jnp.zeros_like(v)
        numeric = lambda u, v: made.inverse_dynamics(made.retract(q, u), v, a)
        free = made.forward_dynamics(q, v, made.passive(q, v) + made.damping * v)
        energy_rate = jax.jvp(made.energy, (q, v), (made.rate(q, v), free))[1]
        return dict(
            tau=tau,
            matrix=made.mass_matrix(q),
            matrix_rate=along(lambda q, v: made.mass_matrix(q)),
            coriolis=made.bias(q, v) - made.bias(q, 0 * v),
            bias=made.bias(q, v),
            back=made.forward_dynamics(q, v, tau),
            slopes=made.inverse_dynamics_derivatives(q, v, a),
            forward=jax.jacfwd(numeric, argnums=(0, 1))(small, v),
            reverse=jax.jacrev(numeric, argnums=(0, 1))(small, v),
            regressor=made.regressor(q, v, a),
            power=energy_rate,
            kinetic=made.kinetic_energy(q, v),
            momentum=made.momentum(q, v),
            momentum_rate=along(made.momentum),
            center_rate=along(lambda q, v: made.center_of_mass(q)),
            weight=made.bias(q, 0 * v),
            twists=made.twists(q, v),
            accelerations=made.accelerations(q, v, a),
            twist_rates=along(made.twists),
            jacobian=made.jacobian(q, body, point),
            jacobian_rate=made.jacobian_rate(q, v, body, point),
            jacobian_along=along(lambda q, v: made.jacobian(q, body, point)),
            velocity=along(lambda q, v: place(q)),
        )

    return made, (q, v, a), all_of(q, v, a)


inverse_dynamics = eqx.filter_jit(lambda made, q, v, a: made.inverse_dynamics(q, v, a))
poses = eqx.filter_jit(lambda made, q: made.poses(q))


def assert_close(found, expected, tolerance=1e-12):
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * max(1, np.abs(np.asarray(expected)).max()))


def test_inverse_dynamics_is_mass_times_acceleration_and_bias(case):
    made, (q, v, a), found = case
    matrix = np.asarray(found["matrix"])
    assert_close(matrix @ a + found["bias"], found["tau"])
    assert_close(found["back"], a, 1e-10)
    assert_close(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix)[0] > 0
    assert_close(found["kinetic"], v @ matrix @ v / 2)


def test_coriolis_forces_do_no_work_beyond_the_change_of_the_mass_matrix(case):
    _, (_, v, _), found = case
    assert_close(v @ found["matrix_rate"] @ v, 2 * v @ found["coriolis"])


def test_energy_is_conserved_without_dampers(case):
    _, _, found = case
    assert_close(found["power"], 0, 1e-10 * float(np.abs(found["kinetic"])))


def test_momentum_changes_by_the_forces_on_the_mechanism(case):
    """Only what floats has no forces from the world on it."""
    made, _, found = case
    mass = made.inertia.mass.sum()
    assert_close(found["momentum"].linear, mass * found["center_rate"])
    if made.topology.joints[0].kinds == ("slide",) * 3 + ("ball",) and made.topology.parents.count(-1) == 1:
        tau = np.asarray(found["tau"])
        assert_close(found["momentum_rate"].linear, tau[:3], 1e-11)


def test_jacobians_are_derivatives(case):
    _, (q, v, a), found = case
    assert_close(found["jacobian"][3:] @ v, found["velocity"])
    assert_close(found["jacobian_rate"], found["jacobian_along"])
    assert_close(found["accelerations"], found["twist_rates"])


def test_closed_derivatives_are_those_of_the_function(case):
    """The rules in both modes against the formulas; against differences in `test_mechanism_gradients`."""
    _, _, found = case
    for mode in ("forward", "reverse"):
        assert_close(found[mode][0], found["slopes"].q)
        assert_close(found[mode][1], found["slopes"].v)
    assert_close(found["slopes"].a, found["matrix"])


def test_regressor_is_linear_in_the_ten_parameters(case):
    made, (_, _, a), found = case
    linear = found["regressor"] @ made.inertia.ten().T.reshape(-1)
    assert_close(linear + made.armature * a, found["tau"])


def test_configurations_come_back():
    made = every_joint()
    q, v, _ = somewhere(made)
    moved = made.retract(q, v)
    assert_close(made.difference(moved, q), v)
    assert_close(made.tangent(q, made.rate(q, v)), v)
    assert_close(
        made.tangent(q, q), jnp.where(made.masks.carried, 0, made.tangent(q, q))
    )  # length of a quaternion: no turn


def test_the_length_of_a_quaternion_changes_nothing():
    made = every_joint()
    q, v, a = somewhere(made)
    longer = q.at[made.masks.chart.ball_q].multiply(1.7)
    assert_close(inverse_dynamics(made, longer, v, a), inverse_dynamics(made, q, v, a))


def test_nothing_depends_on_where_the_world_is_or_on_the_order_of_bodies():
    make, shift = Maker(3), jnp.asarray([30.0, -20.0, 10.0])
    bodies = [
        make.body("a", "world", Hinge(make.vector())),
        make.body("b", "a", (Slide(make.vector()), Ball(make.vector()))),
        make.body("c", "a", Hinge(make.vector(), make.vector())),
    ]
    first = mechanism(*bodies)
    moved = eqx.tree_at(lambda m: m.position, first, first.position.at[0].add(shift))
    other = mechanism(bodies[2], bodies[1], bodies[0])
    assert other.topology.names == ("a", "c", "b")
    q, v, a = somewhere(first)
    tau = inverse_dynamics(first, q, v, a)
    assert_close(inverse_dynamics(moved, q, v, a), tau)
    assert_close(poses(moved, q).position, poses(first, q).position + shift[None])
    by_name = lambda x, of: jnp.concatenate([x[of(joint)] for joint in ("a", "c", "b_1", "b_2")])
    q2, v2, a2 = by_name(q, first.topology.q_of), by_name(v, first.topology.v_of), by_name(a, first.topology.v_of)
    assert_close(inverse_dynamics(other, q2, v2, a2), by_name(tau, first.topology.v_of))


def test_poses_and_names_of_a_simple_arm():
    arm = mechanism(
        Body("upper", joint=Hinge([0.0, 1, 0], name="shoulder"), inertia=Inertia(1.0, (0, 0, -0.5))),
        Body("lower", "upper", Hinge([0.0, 1, 0]), (0, 0, -1), inertia=Inertia(1.0, (0, 0, -0.5))),
    )
    pose = poses(arm, jnp.asarray([np.pi / 2, -np.pi / 2]))
    assert_close(pose.position, np.array([[0, 0, 0], [-1, 0, 0]]))
    assert_close(rotation_matrix(pose.orientation[1]), np.eye(3))
    assert [joint.name for joint in arm.topology.joints] == ["shoulder", "lower"]
    assert arm.topology.v_of("lower") == slice(1, 2)


def test_an_inertia_is_the_same_however_it_is_given():
    turn, principal = np.asarray(about([1.0, 2, 3], 0.7)), np.array([1.0, 2.0, 2.5])
    matrix = np.asarray(rotation_matrix(jnp.asarray(turn)))
    full = (matrix * principal) @ matrix.T
    given = [
        Inertia(1.0, (0, 0, 1), principal, orientation=turn),
        Inertia(1.0, (0, 0, 1), np.diag(principal), orientation=turn),
        Inertia(1.0, (0, 0, 1), full),
        Inertia(1.0, (0, 0, 1), full[[0, 1, 1, 2, 2, 2], [0, 0, 1, 0, 1, 2]]),
    ]
    for inertia in given[1:]:
        assert_close(inertia.ten(), given[0].ten())
    one = mechanism(Body("a", joint=Ball(), inertia=LogCholesky.of(given[0])))
    assert_close(one.inertia.ten()[:, 0], given[0].ten())


def test_a_spring_in_a_ball_pulls_down_its_energy():
    """Also one that is harder about one axis, turned far."""
    springs = Passive(stiffness=(1.0, 3.0, 6.0))
    made = mechanism(Body("a", joint=Ball(passive=springs), inertia=Inertia(1.0, (0, 0, 0), (1, 1, 1))))
    q = made.retract(made.rest, jnp.asarray([0.8, -1.1, 0.6]))
    slope = jax.grad(lambda u: made.potential_energy(made.retract(q, u)))(jnp.zeros(3))
    assert_close(made.passive(q, jnp.zeros(3)), -slope)


def test_log_cholesky_is_the_same_inertia_and_always_physical():
    made = every_joint()
    other = LogCholesky.of(made.inertia)
    assert_close(other.ten(), made.inertia.ten())
    theta = jnp.asarray(np.random.default_rng(0).normal(size=(20, 10)))
    mass, mx, my, mz, xx, xy, yy, xz, yz, zz = np.asarray(LogCholesky(theta).ten())
    for k in range(20):
        full = np.array([[xx[k], xy[k], xz[k]], [xy[k], yy[k], yz[k]], [xz[k], yz[k], zz[k]]])
        center = np.array([mx[k], my[k], mz[k]]) / mass[k]
        Inertia(mass[k], center, full - mass[k] * (center @ center * np.eye(3) - np.outer(center, center)))


def build(*bodies):
    return lambda: mechanism(*bodies)


def wrong(body, where):
    """With a number in place of what belongs there, past the type checks of the tests."""
    return eqx.tree_at(where, body, 0.1)


mass = Inertia(1.0, (0, 0, 1), (0.1, 0.1, 0.1))
REFUSED = {
    "names clash": (build(Body("a", inertia=mass), Body("a", inertia=mass)), "'a'"),
    "name of the world": (build(Body("world", inertia=mass)), "'world'"),
    "cyclic": (build(Body("a", "b", inertia=mass), Body("b", "a", inertia=mass)), "circle"),
    "no parent": (build(Body("a", "hip", inertia=mass)), "'hip'"),
    "no joint": (build(Body("a", joint="hinge", inertia=mass)), "Hinge"),
    "zero axis": (build(Body("a", joint=Hinge([0.0, 0, 0]), inertia=mass)), "axis"),
    "quaternion": (build(Body("a", orientation=(0, 0, 0, 0), inertia=mass)), "orientation of body 'a'"),
    "quaternion not unit": (build(Body("a", orientation=(1, 1, 0, 0), inertia=mass)), "length 1.41421"),
    "springref": (build(Body("a", joint=Ball(passive=Passive(springref=0.0)), inertia=mass)), "springref of joint 'a'"),
    "springref without spring": (
        build(Body("a", joint=Hinge(passive=Passive(springref=0.0)), inertia=mass)),
        "no spring",
    ),
    "armature": (
        build(Body("a", joint=Ball(passive=Passive(armature=(1, 2, 3))), inertia=mass)),
        "same about all axes",
    ),
    "asymmetric": (lambda: Inertia(1.0, moments=[[1, 0.5, 0], [0, 1, 0], [0, 0, 1]]), "symmetric"),
    "limits": (build(Body("a", joint=Hinge(passive=Passive(limits=(1, -1))), inertia=mass)), "swapped"),
    "damping": (build(Body("a", joint=Hinge(passive=Passive(damping=-1)), inertia=mass)), "damping of joint 'a'"),
    "massless": (
        build(Body("a", joint=Hinge(), inertia=mass), Body("b", "a", Hinge([1.0, 0, 0]))),
        "'b' moves no mass",
    ),
    "on its axis": (build(Body("a", joint=Hinge(), inertia=Inertia(1.0, (0, 0, 1)))), "'a' moves no mass"),
    "free inside": (build(Body("a", inertia=mass), Body("b", "a", Free(), inertia=mass)), "Free"),
    "nothing": (build(), "at least one"),
    "negative mass": (lambda: Inertia(-1.0), "mass is -1"),
    "negative moment": (lambda: Inertia(1.0, moments=(-0.1, 0.1, 0.1)), "negative"),
    "triangle": (lambda: Inertia(1.0, moments=(0.1, 0.1, 0.3)), "triangle"),
    "nan": (lambda: Inertia(np.nan), "NaN"),
    "anchor": (build(Body("a", joint=Ball(anchor=(0.0, 1.0)), inertia=mass)), "anchor of joint 'a' has shape"),
    "pitch": (build(Body("a", joint=Screw(pitch=(0.1, 0.2)), inertia=mass)), "pitch of joint 'a' has shape"),
    "reference": (build(Body("a", joint=Slide(reference=(1.0, 2.0)), inertia=mass)), "reference of joint 'a'"),
    "one limit": (build(Body("a", joint=Hinge(passive=Passive(limits=(1,))), inertia=mass)), "give .lower, upper."),
    "passive": (build(wrong(Body("a", joint=Hinge(), inertia=mass), lambda b: b.joint.passive)), "write Passive"),
    "inertia": (build(wrong(Body("a", joint=Hinge()), lambda b: b.inertia)), "write Inertia"),
    "stiffness": (build(Body("a", joint=Hinge(passive=Passive(stiffness=np.inf)), inertia=mass)), "must be finite"),
    "parallel": (lambda: Universal((1.0, 0, 0), (-2.0, 0, 0)), "parallel"),
    "no turn": (lambda: about((0.0, 0, 0), 1.0), "not zero"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_with_what_it_is(name):
    make, says = REFUSED[name]
    with pytest.raises(ValueError, match=says):
        make()


def test_sizes_are_refused_with_the_joint():
    made = every_joint()
    q, v, _ = somewhere(made)
    with pytest.raises(ValueError, match="joint 'pole'"):
        made.mass_matrix(q[:-1])
    with pytest.raises(ValueError, match="v has 26 numbers, expected 25: it goes on after the last joint"):
        made.inverse_dynamics(q, jnp.append(v, 0), v)
    with pytest.raises(ValueError, match="vmap"):
        made.mass_matrix(jnp.stack([q, q]))
    with pytest.raises(ValueError, match="quaternion of joint 'base'.* length 0"):
        Multibody(made).state(0 * q)
    with pytest.raises(ValueError, match="There is no body 'hand'"):
        made.jacobian(q, "hand")


def test_float32_stays_float32_and_loses_nothing_far_from_the_origin():
    made = every_joint()
    q, v, a = somewhere(made)
    q = q.at[:3].set(0.0)
    exact = inverse_dynamics(made, q, v, a)
    single = astype(made, jnp.float32)
    q4, v4, a4 = (x.astype(jnp.float32) for x in (q, v, a))
    forward = eqx.filter_jit(lambda made, q, v, tau: made.forward_dynamics(q, v, tau))
    near = inverse_dynamics(single, q4, v4, a4)
    far = inverse_dynamics(single, q4.at[:3].set(jnp.asarray([1e4, -2e4, 3e3], jnp.float32)), v4, a4)
    back = forward(single, q4, v4, near)
    assert near.dtype == far.dtype == back.dtype == jnp.float32
    scale = np.abs(exact).max()
    np.testing.assert_allclose(near, exact, rtol=0, atol=3e-6 * scale)
    np.testing.assert_array_equal(far, near)
    np.testing.assert_allclose(back, a, rtol=0, atol=1e-4 * np.abs(a).max())
