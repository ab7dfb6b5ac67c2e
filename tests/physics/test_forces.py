"""Forces and actuators: closed forms, MuJoCo, slopes at rest, at limits and at zero length, jit, vmap, bad input."""

from typing import Any

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
    JointState,
    LogCholesky,
    mechanism,
    Passive,
    rotation_matrix,
    Slide,
)
from kinax.physics._forces import (
    Actuators,
    actuators,
    Affine,
    DryFriction,
    ExactFilter,
    Filter,
    FixedTendon,
    GravityCompensation,
    inertia_box_drag,
    InertiaBoxDrag,
    Integrator,
    Motor,
    PD,
    PointSpring,
    PositionServo,
    Residual,
    SoftLimits,
    VelocityServo,
    Wrench,
)
from kinax.solvers import check_gradient
from tests.helpers import astype

hinge = Hinge([0, 1, 0.2], name="hip", passive=Passive(friction=0.3, limits=(-0.5, 0.7)), reference=0.3)
run = eqx.filter_jit(lambda force, mechanism, y: force(mechanism, 0.5, y))


def make_arm(base: Any = hinge, foot=(0.015, 0.012, 0.01)):
    """A hinge, a ball, a slide; one body of different moments, one of equal ones."""
    return mechanism(
        Body("thigh", joint=base, inertia=Inertia(1.3, [0.1, 0, -0.2], [0.04, 0.05, 0.03])),
        Body("shin", "thigh", Ball(name="knee"), [0, 0, -0.5], inertia=Inertia(0.7, [0, 0, -0.1], [0.02, 0.02, 0.02])),
        Body(
            "foot",
            "shin",
            Slide([1.0, 0, 0], Passive(friction=0.1, limits=(-0.1, 0.2)), name="toe"),
            [0, 0.1, -0.4],
            about([0, 0, 1], 0.4),
            Inertia(0.4, [0.1, 0, 0], foot),
        ),
    )


arm = make_arm()
NV = arm.topology.nv


def state(seed, act=(), scale=1.0):
    rng = np.random.default_rng(seed)
    q = arm.retract(arm.rest, jnp.asarray(rng.normal(size=NV)))
    return JointState(q, jnp.asarray(scale * rng.normal(size=NV)), act)


def rows():
    """One of each kind, with what `laws` compares."""
    return (
        Motor("hip", gear=2.0, control_limits=(-1, 1)),
        Motor("knee", gear=[0.5, -1.0, 2.0], activation=ExactFilter(0.3)),
        PositionServo("toe", 50.0, 2.0, gear=1.5, force_limits=(-3, 4)),
        PositionServo("knee", 20.0, 1.0, gear=[1.0, 0.3, 0.0], activation=Integrator(limits=(-0.4, 0.4))),
        VelocityServo("hip", 3.0, activation=Filter(0.2)),
        Affine(FixedTendon(("hip", "toe"), (0.7, -1.2)), [1.0, 0.3, -0.2], [0.1, -0.5, -0.4], gear=1.1),
        PD("toe", 30.0, 2.0),
    )


CONTROL = jnp.asarray([1.7, 0.4, 0.3, -0.8, 0.6, 1.2, 0.1, -0.2])
ACT = jnp.asarray([0.25, -0.35, 0.45])

forces = {
    "dry friction": DryFriction(0.2),
    "soft limits": SoftLimits([100.0, 300.0], 2.0, 0.05),
    "point spring": PointSpring("foot", [0.1, 0, 0.2], "world", [0.4, 0.1, 0], 30.0, 0.2, 1.5),
    "wrench": Wrench("shin", [0.1, 0.2, -0.3, 1.0, 2.0, 3.0], [0.0, 0.1, 0.2]),
    "compensation": GravityCompensation([0.9, 1.0, 0.5]),
    "drag": inertia_box_drag(arm, density=30.0, viscosity=0.7, wind=[1.0, -2.0, 0.5]),
    "residual": Residual(eqx.nn.MLP(arm.topology.nq + NV, NV, 4, 1, key=jax.random.key(0))),
    "actuators": actuators(arm, *rows(), control=CONTROL),
}


# slopes


READ = lambda m: (m.inertia, m.gravity, m.friction, m.lower, m.upper)


def stacked(chosen, mechanism, y):
    """Of one state for all, because they share the kinematics and so the time to compile them."""
    of = lambda f: f(mechanism, 0.5, y if isinstance(f, Actuators) else y._replace(act=()))
    return jnp.stack([of(f) for f in chosen.values()])


JOINTS = ("dry friction", "soft limits", "residual", "actuators")
POINTS = ("point spring", "wrench", "compensation", "drag")


@pytest.mark.parametrize("names", [JOINTS, POINTS], ids=["joints", "points"])
def test_gradients_with_respect_to_all_numbers(names):
    """Of the force, of the state, and of what it reads of the mechanism; two of three moments of inertia are equal."""
    assert {*JOINTS, *POINTS} == set(forces)
    fn = lambda x: stacked(x[0], eqx.tree_at(READ, arm, x[1]), x[2])
    report = check_gradient(fn, ({name: forces[name] for name in names}, READ(arm), state(0, ACT)))
    assert report.ok, str(report)


at_rest = JointState(arm.rest, jnp.zeros(NV))
at_limits = JointState(arm.rest.at[0].set(0.7).at[-1].set(-0.1), jnp.linspace(-1.0, 1.0, NV))
at_full_width = at_limits._replace(q=arm.rest.at[0].set(0.7 + 0.05).at[-1].set(-0.1 - 0.05))


@eqx.filter_jit
def displaced(force, q, v, x):
    return force(arm, 0.0, JointState(arm.retract(q, x[:NV]), v + x[NV:]))


slopes_of = eqx.filter_jit(lambda force, q, v: jax.jacfwd(lambda x: displaced(force, q, v, x))(jnp.zeros(2 * NV)))


@pytest.mark.parametrize(
    "force, y",
    [
        (forces["dry friction"], at_rest),
        (forces["soft limits"], at_limits),
        (forces["soft limits"], at_full_width),
        (forces["drag"], at_rest),
        (eqx.tree_at(lambda f: f.wind, forces["drag"], jnp.zeros(3)), at_rest),
    ],
    ids=["friction at rest", "limits at the limit", "limits at full width", "drag in wind", "drag at rest"],
)
def test_slopes_where_formulas_change(force, y):
    moved = lambda x: displaced(force, y.q, y.v, x)
    slopes = slopes_of(force, y.q, y.v)
    step = 1e-8  # the slope is continuous, but has kinks: the error of differences is of the first order
    differences = [(moved(step * e) - moved(-step * e)) / (2 * step) for e in jnp.eye(2 * NV)]
    np.testing.assert_allclose(slopes, np.stack(differences, axis=1), atol=3e-5 * max(1, np.abs(slopes).max()))


def test_spring_of_no_length():
    y, point = state(3), [0.1, 0, 0.2]

    def at_zero(u, rest_length, damping):
        """The spring ends where the point was at u = 0."""
        poses = arm.poses(y.q)
        end = poses.position[2] + rotation_matrix(poses.orientation[2]) @ jnp.asarray(point)
        spring = PointSpring("foot", point, "world", end, 30.0, rest_length, damping)
        return spring(arm, 0.0, y._replace(q=arm.retract(y.q, u)))

    @jax.jit
    def found(u):
        grads = jax.grad(lambda *x: jnp.sum(at_zero(*x) ** 2), (0, 1, 2))(u, 0.3, 2.0)
        return at_zero(u, 0.0, 0.0), jax.jacfwd(at_zero)(u, 0.0, 0.0), arm.jacobian(y.q, "foot", point)[3:], grads

    force, slope, jacobian, grads = found(jnp.zeros(NV))
    np.testing.assert_allclose(force, 0, atol=1e-13)
    np.testing.assert_allclose(slope, -30 * np.asarray(jacobian).T @ jacobian, atol=1e-12)
    assert all(np.isfinite(g).all() for g in grads)


# closed forms


def test_dry_friction_is_coulombs():
    v = jnp.asarray([5.0, 0.1, 0.2, 0.3, -5.0])
    np.testing.assert_allclose(DryFriction(0.01)(arm, 0.0, state(0)._replace(v=v)), [-0.3, 0, 0, 0, 0.1], rtol=1e-12)


def test_soft_limits_far_beyond():
    """A spring that begins in the middle of the width, a damper, and nothing between the limits."""
    v = jnp.asarray([0.5, 1.0, 1.0, 1.0, 0.0])
    y = JointState(arm.rest.at[0].set(0.9).at[-1].set(-0.4), v)
    expected = [-100 * (0.2 - 0.025) - 2 * 0.5, 0, 0, 0, 300 * (0.3 - 0.025)]
    np.testing.assert_allclose(forces["soft limits"](arm, 0.0, y), expected, rtol=1e-12)
    np.testing.assert_allclose(forces["soft limits"](arm, 0.0, y._replace(q=arm.rest)), 0, atol=0)


def test_point_spring_is_the_slope_of_its_energy():
    y = state(1)
    spring = PointSpring("foot", [0.1, 0, 0.2], "thigh", [0.4, 0.1, 0], 30.0, 0.2, 1.5)

    def length(u):
        poses = arm.poses(arm.retract(y.q, u))
        end = lambda k, point: poses.position[k] + rotation_matrix(poses.orientation[k]) @ point
        return jnp.linalg.norm(end(2, spring.point_a) - end(0, spring.point_b))

    at, slope = jax.jit(jax.value_and_grad(length))(jnp.zeros(NV))
    expected = -(30 * (at - 0.2) + 1.5 * slope @ y.v) * slope
    np.testing.assert_allclose(run(spring, arm, y), expected, atol=1e-11)


def test_wrench_gives_its_power():
    y = state(2)
    twist = jax.jit(lambda y: arm.jacobian(y.q, "shin", [0.0, 0.1, 0.2]) @ y.v)(y)
    np.testing.assert_allclose(run(forces["wrench"], arm, y) @ y.v, forces["wrench"].wrench @ twist, rtol=1e-12)
    growing = Wrench("shin", lambda t, y: t * jnp.ones(6), [0.0, 0.1, 0.2])
    np.testing.assert_allclose(run(growing, arm, y) @ y.v, 0.5 * jnp.sum(twist), rtol=1e-12)


def test_gravity_is_compensated():
    y = state(4)
    weight = jax.jit(lambda q: arm.bias(q, jnp.zeros(NV)))(y.q)
    np.testing.assert_allclose(run(GravityCompensation(), arm, y), weight, atol=1e-13)


def test_drag_of_a_cube_in_oil_and_its_frame():
    """Stokes's law with the side for the diameter; and boxes do not depend on the frame the inertia is given in."""
    cube = mechanism(Body("box", joint=Free(), inertia=Inertia(6.0, moments=[0.25, 0.25, 0.25])))  # side 1/2
    y = JointState(cube.rest, jnp.asarray([1.0, 2, 3, 4, 5, 6]))
    expected = -np.pi * 2 * np.asarray([1.5, 3, 4.5, 0.5, 0.625, 0.75])
    np.testing.assert_allclose(run(inertia_box_drag(cube, viscosity=2.0), cube, y), expected, rtol=1e-12)
    turned, moments = about([1, 2, 3], 0.7), jnp.asarray([0.3, 0.25, 0.1])
    free = lambda inertia: mechanism(Body("box", joint=Free(), inertia=inertia))
    straight, skew = free(Inertia(6.0, moments=moments)), free(Inertia(6.0, moments=moments, orientation=turned))
    matrix = rotation_matrix(turned)
    force = run(inertia_box_drag(straight, density=3.0, viscosity=0.1), straight, y)
    moved = y._replace(v=jnp.concatenate([matrix @ y.v[:3], matrix @ y.v[3:]]))
    other = run(inertia_box_drag(skew, density=3.0, viscosity=0.1), skew, moved)
    np.testing.assert_allclose(other, np.concatenate([matrix @ force[:3], matrix @ force[3:]]), rtol=1e-11)
    fitted = eqx.tree_at(lambda m: m.inertia, straight, jax.vmap(LogCholesky.of)(straight.inertia))
    drag = InertiaBoxDrag(inertia_box_drag(straight).axes, density=3.0, viscosity=0.1)
    np.testing.assert_allclose(run(drag, fitted, y), force, rtol=1e-11)


def test_drag_has_finite_gradients_for_points_and_plates():
    def total(x, v):
        drag, inertia = x
        body = eqx.tree_at(lambda m: m.inertia, box, inertia)
        return jnp.sum(drag(body, 0.0, JointState(box.rest, v)) ** 2)

    grad = jax.jit(jax.grad(total))
    for mass, moments in ((1.0, (0.0, 0, 0)), (1.0, (0.2, 0.1, 0.1)), (1.0, (0.1, 0.1, 0)), (0.0, (0.0, 0, 0))):
        box = mechanism(Body("box", joint=Free(passive=Passive(armature=1.0)), inertia=Inertia(mass, moments=moments)))
        drag = inertia_box_drag(box, density=2.0, viscosity=0.1)
        for v in (jnp.zeros(6), jnp.arange(6.0)):
            assert all(np.isfinite(x).all() for x in jax.tree.leaves(grad((drag, box.inertia), v)))


# actuators


def test_actuators_are_their_formulas():
    y, made = state(5, ACT), forces["actuators"]
    hip, toe = y.q[0], y.q[-1]
    knee = np.asarray(arm.difference(y.q, arm.rest))[1:4]
    hip_v, knee_v, toe_v = y.v[0], np.asarray(y.v[1:4]), y.v[-1]
    length, rate = 1.1 * (0.7 * hip - 1.2 * toe), 1.1 * (0.7 * hip_v - 1.2 * toe_v)
    direction = np.asarray([1.0, 0.3, 0.0])
    expected = [
        1.0,  # clamped
        0.25,
        np.clip(50 * (0.3 - 1.5 * toe) - 2 * 1.5 * toe_v, -3, 4),
        20 * (-0.35 - direction @ knee) - direction @ knee_v,
        3 * (0.45 - hip_v),
        (1 + 0.3 * length - 0.2 * rate) * 1.2 + 0.1 - 0.5 * length - 0.4 * rate,
        30 * (0.1 - toe),
        2 * (-0.2 - toe_v),
    ]
    np.testing.assert_allclose(jax.jit(lambda y: made.forces(arm, 0.0, y))(y), expected, rtol=1e-12)
    f = expected
    joints = [2 * f[0] + f[4] + 0.77 * f[5], *(np.asarray([0.5, -1, 2]) * f[1] + direction * f[3])]
    joints += [1.5 * f[2] - 1.32 * f[5] + f[6] + f[7]]
    np.testing.assert_allclose(run(made, arm, y), joints, rtol=1e-12)
    rates = made.rate(0.0, y)
    np.testing.assert_allclose(rates, [(0.4 - 0.25) / 0.3, -0.8, (0.6 - 0.45) / 0.2], rtol=1e-12)
    after = made.advance(ACT, rates, 0.1)
    exact = 0.4 + (0.25 - 0.4) * np.exp(-0.1 / 0.3)
    np.testing.assert_allclose(after, [exact, -0.4, 0.45 + 0.1 * rates[2]], rtol=1e-12)
    assert made.initial().shape == (3,) and (made.nu, made.na) == (8, 3)
    assert made.names == ("hip", "knee", "toe", "knee 2", "hip 2", "hip+toe", "toe position", "toe velocity")


def test_a_policy_is_a_control_and_its_weights_have_gradients():
    class Feedback(eqx.Module):
        network: eqx.nn.Linear

        def __call__(self, t, y):
            return self.network(y.v)

    policy = eqx.nn.Linear(NV, 2, key=jax.random.key(1))
    made = actuators(arm, Motor("hip"), Motor("toe", gear=2.0), control=Feedback(policy))
    y = state(6)
    np.testing.assert_allclose(run(made, arm, y)[jnp.asarray([0, -1])], policy(y.v) * jnp.asarray([1.0, 2.0]))
    grads = eqx.filter_jit(eqx.filter_grad(lambda made: jnp.sum(made(arm, 0.0, y))))(made)
    np.testing.assert_allclose(grads.control.network.weight, jnp.stack([y.v, 2 * y.v]))
    given = made.with_control(lambda t, y: y.v[:2]).with_control([3.0, 4.0])
    np.testing.assert_allclose(run(given, arm, y), [3, 0, 0, 0, 8])


def test_clamps_have_the_mean_slope_at_the_limit():
    made = actuators(arm, Motor("hip", control_limits=(-1, 1)))
    force = lambda u: made.with_control(u[None])(arm, 0.0, state(0))[0]
    slope = jax.jit(jax.grad(force))
    slopes = [float(slope(jnp.asarray(u))) for u in (0.9, 1.0, 1.1)]
    assert slopes == [1.0, 0.5, 0.0]


def test_forces_under_vmap_and_in_float32():
    chosen = {name: forces[name] for name in ("soft limits", "point spring", "drag", "actuators")}
    total = eqx.filter_jit(stacked)
    each = [state(k, ACT) for k in range(3)]
    many = jax.tree.map(lambda *x: jnp.stack(x), *each)
    one = total(chosen, arm, each[1])
    np.testing.assert_allclose(jax.vmap(lambda y: total(chosen, arm, y))(many)[1], one, rtol=1e-12, atol=1e-12)
    single = total(*astype((chosen, arm, each[1]), jnp.float32))
    assert single.dtype == jnp.float32
    np.testing.assert_allclose(single, one, rtol=1e-4, atol=1e-4)


# MuJoCo

FLUID = """
<mujoco><option density="30" viscosity="0.7" wind="1 -2 0.5" timestep="0.01"><flag contact="disable"/></option>
<compiler angle="radian"/>
<worldbody><body name="thigh">{hip}<inertial mass="1.3" pos="0.1 0 -0.2" diaginertia="0.04 0.05 0.03" quat="{thigh}"/>
<body name="shin" pos="0 0 -0.5"><joint name="knee" type="ball"/>
<inertial mass="0.7" pos="0 0 -0.1" diaginertia="0.02 0.02 0.02" quat="{shin}"/>
<body name="foot" pos="0 0.1 -0.4" quat="0.980066577841242 0 0 0.198669330795061">
<joint name="toe" type="slide" axis="1 0 0"/><inertial mass="0.4" pos="0.1 0 0" diaginertia="{foot}"/>
</body></body></body></worldbody>{more}</mujoco>"""
HINGE = '<joint name="hip" axis="0 1 0.2" ref="0.3"/>'
ACTUATORS = """
<tendon><fixed name="cable"><joint joint="hip" coef="0.7"/><joint joint="toe" coef="-1.2"/></fixed></tendon>
<actuator><motor joint="hip" gear="2" ctrlrange="-1 1"/>
<general joint="knee" gear="0.5 -1 2" dyntype="filterexact" dynprm="0.3"/>
<position joint="toe" kp="50" kv="2" gear="1.5" forcerange="-3 4"/>
<general joint="knee" gear="1 0.3 0" dyntype="integrator" biastype="affine" gainprm="20" biasprm="0 -20 -1"
actlimited="true" actrange="-0.4 0.4"/>
<general joint="hip" dyntype="filter" dynprm="0.2" biastype="affine" gainprm="3" biasprm="0 0 -3"/>
<general tendon="cable" gear="1.1" gaintype="affine" gainprm="1 0.3 -0.2" biastype="affine" biasprm="0.1 -0.5 -0.4"/>
<position joint="toe" kp="30"/><velocity joint="toe" kv="2"/></actuator>"""


@pytest.mark.parity
def test_fluid_of_mujoco():
    mujoco = pytest.importorskip("mujoco")
    turned = "0.5 0.1 -0.7 0.4"
    free = '<freejoint name="hip"/>'
    plate = (0.02, 0.01, 0.01)
    for hip, mine, shin in (
        (HINGE, make_arm(foot=plate), "1 0 0 0"),
        (free, make_arm(Free(name="hip"), plate), turned),
    ):
        xml = FLUID.format(hip=hip, thigh=turned, shin=shin, foot="0.02 0.01 0.01", more="")
        model = mujoco.MjModel.from_xml_string(xml)
        data = mujoco.MjData(model)
        axes = jnp.asarray(model.body_iquat[1:])
        turned_thigh = Inertia(1.3, moments=[0.04, 0.05, 0.03], orientation=axes[0])
        moments: Any = mine.inertia
        thigh = moments.moments.at[0].set(turned_thigh.moments)
        mine = eqx.tree_at(lambda m: m.inertia.moments, mine, thigh)
        # where moments are equal only the axes in the file tell how the box lies
        own = InertiaBoxDrag(axes) if shin == turned else inertia_box_drag(mine)
        drag = InertiaBoxDrag(own.axes, density=30.0, viscosity=0.7, wind=[1.0, -2.0, 0.5])
        rng = np.random.default_rng(0)
        for _ in range(5):
            q = mine.retract(mine.rest, jnp.asarray(rng.normal(size=model.nv)))
            v = jnp.asarray(rng.normal(size=model.nv))
            data.qpos[:], data.qvel[:] = q, v
            mujoco.mj_forward(model, data)
            np.testing.assert_allclose(run(drag, mine, JointState(q, v)), data.qfrc_fluid, rtol=1e-9, atol=1e-9)


@pytest.mark.parity
def test_actuators_of_mujoco():
    mujoco = pytest.importorskip("mujoco")
    xml = FLUID.format(hip=HINGE, thigh="1 0 0 0", shin="1 0 0 0", foot="0.02 0.01 0.01", more=ACTUATORS)
    model = mujoco.MjModel.from_xml_string(xml)
    data, made = mujoco.MjData(model), forces["actuators"]
    of_each = jax.jit(lambda y: made.forces(arm, 0.0, y))
    for seed in range(5):
        y = state(seed, ACT)
        mujoco.mj_resetData(model, data)
        data.qpos[:], data.qvel[:], data.act[:], data.ctrl[:] = y.q, y.v, ACT, CONTROL
        mujoco.mj_forward(model, data)
        np.testing.assert_allclose(of_each(y), data.actuator_force, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(run(made, arm, y), data.qfrc_actuator, rtol=1e-9, atol=1e-9)
        rates = made.rate(0.0, y)
        np.testing.assert_allclose(rates, data.act_dot, rtol=1e-9)
        mujoco.mj_step(model, data)
        np.testing.assert_allclose(made.advance(ACT, rates, 0.01), data.act, rtol=1e-9)


# bad input


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: actuators(arm, Motor("elbow")), "no joint 'elbow'. There are: hip, knee, toe"),
        (lambda: actuators(arm, Motor("knee")), r"the joint has 3 degrees of freedom: give 3 numbers"),
        (lambda: actuators(arm, Motor("hip", gear=[1.0, 2.0])), r"gear of Motor\('hip'\) has shape \(2,\)"),
        (lambda: actuators(arm, Motor(FixedTendon(("hip", "knee"), (1, 2)))), "'knee' has 3"),
        (lambda: FixedTendon(("hip", "toe"), (1.0,)), r"coefficients has shape \(1,\), expected \(2,\)"),
        (lambda: FixedTendon(("hip", "hip"), (1.0, 2.0)), "each named once"),
        (lambda: Motor(3), "a joint's name or a FixedTendon"),
        (lambda: Motor("hip", control_limits=(1, -1)), "Motor.control_limits are swapped"),
        (lambda: Motor("hip", force_limits=(-np.inf, 1)), "holds NaN or infinity"),
        (lambda: Motor("hip", force_limits=3.0), r"must be \(lower, upper\)"),
        (lambda: Motor("hip", activation=0.3), "Filter"),
        (lambda: Filter(0.0), "Filter.time_constant must be positive"),
        (lambda: Filter(0.1, limits=(1, 0)), "Filter.limits are swapped"),
        (lambda: PositionServo("hip", -1.0), "PositionServo.stiffness must not be negative"),
        (lambda: Affine("hip", [1.0]), r"Affine.gain has shape \(1,\)"),
        (lambda: actuators(arm, "hip"), "no actuator"),
        (lambda: actuators(arm, Motor("hip", name="a"), Motor("toe", name="a")), "Names of actuators clash: 'a'"),
        (lambda: actuators(arm, Motor("hip"), control=[1.0, 2.0]), r"control has shape \(2,\), expected \(1,\).*hip"),
        (lambda: forces["actuators"](arm, 0.0, state(0)), r"activations of shape \(0,\), expected \(3,\)"),
        (lambda: actuators(make_arm(Free()), Motor("toe"))(arm, 0.0, state(0)), "made for 10 degrees of freedom"),
        (lambda: DryFriction(0.0), "DryFriction.slip must be positive"),
        (lambda: DryFriction([1.0, 2.0])(arm, 0.0, state(0)), r"slip has shape \(2,\), expected \(\) or \(5,\)"),
        (lambda: SoftLimits(10.0, width=0.0), "SoftLimits.width must be positive"),
        (lambda: Wrench("shin", [1.0, 2.0, 3.0]), r"Wrench.wrench has shape \(3,\), expected \(6,\)"),
        (lambda: Wrench("hand", jnp.zeros(6))(arm, 0.0, state(0)), "no body 'hand'. There are: thigh, shin, foot"),
        (lambda: PointSpring("shin", [0, 0, 0], "shin", [0, 0, 1], 1.0), "both ends are on 'shin'"),
        (lambda: GravityCompensation([1.0, 2.0])(arm, 0.0, state(0)), r"expected \(\) or \(3,\)"),
        (lambda: jax.jit(lambda m: inertia_box_drag(m).axes)(arm), "InertiaBoxDrag"),
        (lambda: Residual(lambda x: x)(arm, 0.0, state(0)), "maps 11 numbers"),
    ],
)
def test_bad_input(make, words):
    with pytest.raises(ValueError, match=words):
        make()
