"""Against MuJoCo's C code: kinematics, dynamics, actuators of the models that brax and mujoco-mjx ship, and of ours."""

import dataclasses
import importlib.util
import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.physics import (
    Ball,
    Body,
    Box,
    Capsule,
    Cylinder,
    Ellipsoid,
    Fixed,
    Free,
    Hinge,
    ImplicitFast,
    Inertia,
    JointState,
    Mechanism,
    mechanism,
    Mesh,
    Multibody,
    Passive,
    Planar,
    Plane,
    read_mjcf,
    read_urdf,
    Robot,
    RungeKutta4,
    SemiImplicitEuler,
    Slide,
    Sphere,
    Universal,
    write_mjcf,
)
from kinax.solvers import rollout, TimeState

pytestmark = pytest.mark.parity

ROBOTS = pathlib.Path(__file__).parent / "robots"
BRAX = ("humanoid", "ant", "half_cheetah", "walker2d", "hopper", "reacher", "swimmer", "pusher")
FILES = {
    **{name: f"brax/envs/assets/{name}.xml" for name in (*BRAX, "inverted_double_pendulum")},
    "pendula": "mujoco/mjx/test_data/pendula.xml",
    "shadow_hand": "mujoco/mjx/test_data/shadow_hand/right_hand.xml",
}
IGNORED = ("contact", "limit", "tendon", "transmission", "mocap")


def path_of(file: str) -> pathlib.Path:
    """In the installed package, which is not imported."""
    found = importlib.util.find_spec(file.split("/")[0])
    path = pathlib.Path(found.origin).parents[1] / file if found is not None and found.origin else None
    if path is None or not path.exists():
        pytest.skip(f"needs {file}: pip install --no-deps brax mujoco-mjx")
    return path


def model_there(mujoco: Any, path: pathlib.Path) -> Any:
    """The model without the parts that are ignored."""
    m = mujoco.MjModel.from_xml_path(str(path))
    flags = mujoco.mjtDisableBit
    m.opt.disableflags |= int(flags.mjDSBL_CONTACT) | int(flags.mjDSBL_LIMIT)
    m.tendon_stiffness[:] = 0
    m.tendon_damping[:] = 0
    for k in range(m.nu):
        pulls_in_parent = int(m.actuator_trntype[k]) == int(mujoco.mjtTrn.mjTRN_JOINTINPARENT)
        m.actuator_gear[k] *= not pulls_in_parent
    return m


def answers(model: Robot, y: JointState, control: jax.Array) -> dict[str, Any]:
    """What is compared, as one program."""
    made = model.mechanism
    poses = made.poses(y.q)
    actuators = model.actuators.with_control(control)
    tau = made.passive(y.q, y.v) + sum(force(made, 0.0, y) for force in (actuators, *model.forces[1:]))
    return dict(
        position=poses.position,
        orientation=poses.orientation,
        mass=made.mass_matrix(y.q),
        bias=made.bias(y.q, y.v),
        tau=tau,
        a=made.forward_dynamics(y.q, y.v, tau),
        act_dot=actuators.rate(0.0, y),
    )


def answers_there(mujoco: Any, m: Any, y: JointState, control: np.ndarray) -> dict[str, np.ndarray]:
    d = mujoco.MjData(m)
    d.qpos[:], d.qvel[:], d.ctrl[:], d.act[:] = y.q, y.v, control, y.act
    mujoco.mj_forward(m, d)
    mass = np.zeros((m.nv, m.nv))
    for k, column in enumerate(np.eye(m.nv)):
        mujoco.mj_mulM(m, d, mass[k], column)
    return dict(
        position=d.xpos[1:],
        orientation=d.xquat[1:],
        mass=mass,
        bias=d.qfrc_bias,
        tau=d.qfrc_passive + d.qfrc_actuator,
        a=d.qacc,
        act_dot=d.act_dot,
    )


def check_equal(mujoco: Any, model: Robot, there: Any, *spreads: float) -> None:
    """At states away from rest by about `spreads`."""
    made, program, generator = model.mechanism, jax.jit(answers), np.random.default_rng(5)
    np.testing.assert_allclose(made.rest, there.qpos0, rtol=0, atol=1e-12)
    for spread in spreads:
        q = made.retract(made.rest, jnp.asarray(generator.normal(size=there.nv) * spread))
        v = jnp.asarray(generator.normal(size=there.nv) * spread)
        control = generator.normal(size=there.nu) * spread
        y = JointState(q, v, jnp.asarray(generator.normal(size=there.na) * spread))
        ours = program(model, y, jnp.asarray(control))
        for key, theirs in answers_there(mujoco, there, y, control).items():
            mine, size = np.asarray(ours[key]), np.max(np.abs(theirs), initial=1)
            if key == "orientation":
                mine = mine * np.sign(np.sum(mine * theirs, axis=1, keepdims=True))
            np.testing.assert_allclose(mine, theirs, rtol=0, atol=1e-11 * size, err_msg=key)


@pytest.mark.parametrize("name", FILES)
def test_models(name):
    mujoco = pytest.importorskip("mujoco")
    path = path_of(FILES[name])
    check_equal(mujoco, read_mjcf(path, ignore=IGNORED), model_there(mujoco, path), 0.3, 2.0)


# With the steps of the files, 0.01 and 0.02, MuJoCo itself turns a change of the start by 1e-13 into one of 7e-3 in the
# end of the double pendulum, and says that the pendula are unstable.
SHORTER = {"inverted_double_pendulum": 0.002, "pendula": 0.002}
STEPPERS = {"Euler": SemiImplicitEuler, "implicitfast": ImplicitFast, "RK4": RungeKutta4}


@pytest.mark.slow
@pytest.mark.parametrize("name", FILES)
def test_a_thousand_steps(name):
    """From near rest under constant controls, with each integrator that both have, to 1e-6."""
    mujoco = pytest.importorskip("mujoco", minversion="4.0")  # before, RK4 was of order 2 for balls
    path = path_of(FILES[name])
    there, generator = model_there(mujoco, path), np.random.default_rng(6)
    there.opt.timestep = SHORTER.get(name, there.opt.timestep)
    there.opt.disableflags &= ~int(mujoco.mjtDisableBit.mjDSBL_EULERDAMP)  # the hand switches implicit damping off
    model = read_mjcf(path, ignore=IGNORED)
    made = model.mechanism
    q = made.retract(made.rest, jnp.asarray(generator.normal(size=there.nv) * 0.1))
    v, control = generator.normal(size=there.nv) * 0.1, generator.normal(size=there.nu) * 0.05
    actuators = model.actuators.with_control(jnp.asarray(control))
    body = Multibody(made, (actuators, *model.forces[1:]))
    y0 = JointState(q, jnp.asarray(v), actuators.initial() if actuators.na else None)
    for integrator, kind in STEPPERS.items():
        there.opt.integrator = getattr(mujoco.mjtIntegrator, f"mjINT_{integrator.upper()}")
        d = mujoco.MjData(there)
        d.qpos[:], d.qvel[:], d.ctrl[:] = q, v, control
        for _ in range(1000):
            mujoco.mj_step(there, d)
        start = TimeState(t=jnp.asarray(0.0), y=y0)
        last = rollout(kind(body, dt=there.opt.timestep), start, 1000, save_every=1000).state.y
        change = made.difference(last.q, jnp.asarray(d.qpos))
        np.testing.assert_allclose(change, 0, atol=1e-6, err_msg=integrator)
        np.testing.assert_allclose(last.v, d.qvel, rtol=0, atol=1e-6 * max(1, np.abs(d.qvel).max()), err_msg=integrator)


def test_actuators():
    mujoco = pytest.importorskip("mujoco")
    there = mujoco.MjModel.from_xml_path(str(ROBOTS / "actuated.xml"))
    model = read_mjcf(there)
    names = "motor servo cruise smooth filter ramp brake turn aim thrust actuator_10"
    assert model.actuators.names == tuple(names.split())
    check_equal(mujoco, model, there, 0.5)
    there.opt.disableactuator = 1 << 3
    flags = mujoco.mjtDisableBit
    there.opt.disableflags |= int(flags.mjDSBL_SPRING) | int(flags.mjDSBL_GRAVITY) | int(flags.mjDSBL_CLAMPCTRL)
    check_equal(mujoco, read_mjcf(there), there, 2.0)


def test_what_a_model_holds():
    pytest.importorskip("mujoco")
    model = read_mjcf((ROBOTS / "actuated.xml").read_text())
    made = model.mechanism
    assert model.dt == 0.004
    assert made.topology.names == ("base", "upper", "lower", "body_4", "float")
    assert [joint.name for joint in made.topology.joints] == ["swing", "reach", "wrist", "joint_3", "fly"]
    np.testing.assert_allclose(made.lower, [-np.pi / 2, -1])
    np.testing.assert_allclose(made.friction[:2], [0.1, 0])
    home = model.keyframes["home"]
    np.testing.assert_allclose(home.state.q[:2], [0.1, 0.2])
    np.testing.assert_allclose(home.state.act, [0.1, 0.2, 0.3])
    np.testing.assert_allclose(home.control[6], 0.7)
    assert [type(shape) for shape in model.shapes["base"]] == [Cylinder]
    assert model.shapes["base"][0].color == (1, 0, 0, 1)
    with pytest.raises(FileNotFoundError, match="nothing.xml"):
        read_mjcf("nothing.xml")
    with pytest.raises(ValueError, match="no body besides the world"):
        read_mjcf("<mujoco/>")


def test_what_is_not_simulated_is_named():
    pytest.importorskip("mujoco")
    path = ROBOTS / "unsupported.xml"
    named = {
        "contact": "'floor with ball', 'floor with geom_2'",
        "limit": "'hinge'",
        "friction": "'hinge'",
        "equality": "'pin'",
        "tendon": "'cord'",
        "polynomial": "'hinge'",
        "fluid": "'ball'",
        "mocap": "'hand'",
        "sleep": "the flag is set",
        "transmission": "'pull', 'parent'",
        "actuator": "'biceps'",
    }
    with pytest.raises(ValueError, match="kinax does not") as error:
        read_mjcf(path)
    lines = str(error.value).splitlines()[1:-1]
    assert len(lines) == len(named)
    for (word, what), line in zip(named.items(), lines, strict=True):
        assert line.startswith(f"- {word!r}") and what in line
    with pytest.raises(ValueError, match="'sleep'") as error:
        read_mjcf(path, ignore=[word for word in named if word != "sleep"])
    assert "floor" not in str(error.value)
    with pytest.raises(ValueError, match="ignore may hold .* got 'contacts'"):
        read_mjcf(path, ignore=("contacts",))
    model = read_mjcf(path, ignore=tuple(named))
    assert model.actuators.names == ("good", "pull", "parent", "biceps")
    np.testing.assert_allclose(np.abs(model.actuators.moment).sum(axis=1), [1, 0, 0, 0])


def one_of_each() -> Mechanism:
    """Bodies with all joints that MJCF can express."""
    heavy = lambda k: Inertia(1.0 + k, (0.1, 0.2 * k, 0.3), (1.0, 2.0, 2.5), orientation=(0.6, 0.0, 0.8, 0.0))
    some = Passive(armature=0.1, damping=0.2, stiffness=3.0, friction=0.4)
    swing = Passive(springref=(0.1, 0.2), stiffness=2.0, armature=(0.1, 0.2), limits=((-1, -0.5), (1.0, 0.6)))
    return mechanism(
        Body("base", joint=Free(passive=Passive(damping=0.1)), position=(1, 2, 3), inertia=heavy(0)),
        Body('<b & "c">', parent="base", joint=Universal(passive=swing, anchor=(0.1, 0.2, 0.3)), inertia=heavy(1)),
        Body("d", parent='<b & "c">', joint=Ball(passive=some, anchor=(0.1, 0.2, 0.3)), inertia=heavy(2)),
        Body("e", parent="d", joint=Planar(passive=some, first=(0.6, 0, 0.8)), inertia=heavy(3)),
        Body(
            "f",
            parent="d",
            orientation=(0.5, 0.5, 0.5, 0.5),
            joint=(
                Hinge(reference=0.3, axis=(0, 0.6, 0.8), passive=Passive(springref=0.7, stiffness=1.0)),
                Slide(axis=(0.6, 0.8, 0), reference=-0.3, passive=Passive(limits=(-1.0, 2.0))),
            ),
            inertia=heavy(4),
        ),
        Body("tip", parent="f", position=(0, 0, 1)),
        Body("wall", position=(0, 0, 1)),
        gravity=(1.0, 2.0, 3.0),
    )


def test_round_trip(tmp_path):
    pytest.importorskip("mujoco")
    shapes = {
        "world": (Plane(),),
        "d": (Sphere(radius=0.1), Box(half_sizes=(0.1, 0.2, 0.3), position=(1, 0, 0)), Ellipsoid(radii=(1, 2, 3))),
        "tip": (
            Capsule(radius=0.1, half_length=0.2, orientation=(0.6, 0, 0, 0.8), color=(1, 0, 0)),
            Mesh(vertices=np.eye(4, 3), faces=[[0, 1, 2], [0, 3, 1], [0, 2, 3], [1, 3, 2]]),
        ),
    }
    for made in (one_of_each(), read_urdf(ROBOTS / "walker.urdf", root=Fixed())):
        seen = shapes if "tip" in made.topology.names else {}
        path = tmp_path / "written.xml"
        text = write_mjcf(made, path, shapes=seen)
        assert path.read_text() == text
        model = read_mjcf(path, ignore=("limit", "friction"))
        again = model.mechanism
        assert again.topology.names == made.topology.names
        for field in dataclasses.fields(made):
            if field.name not in ("topology", "masks"):
                ours, theirs = (jax.tree.leaves(getattr(m, field.name)) for m in (made, again))
                if field.name.endswith("axis"):
                    ours = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in ours]
                for x, y in zip(ours, theirs, strict=True):
                    np.testing.assert_allclose(y, x, rtol=0, atol=1e-12, err_msg=field.name)
        assert {k: [type(x) for x in v] for k, v in model.shapes.items()} == {
            k: [type(x) for x in v] for k, v in seen.items()
        }
