# %% [markdown]
# # A robot arm learns to draw, and finds out what it carries
#
# An arm of seven joints, read from a URDF file, draws an eight. It carries 2 kg that its controller knows nothing of,
# and its motors lag behind, so that high gains alone do not help. The gradient of the error goes through the motion,
# the motors, the controller and the controller's own idea of the arm; descent tunes the gains and the mass it believes
# in. A film of it is saved as a page for the browser.

# %%
import os
import pathlib
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from kinax.physics import (
    actuators,
    Filter,
    ImplicitFast,
    Mechanism,
    Motor,
    Multibody,
    read_urdf,
    Sphere,
    urdf_shapes,
    view,
)
from kinax.solvers import parameter, rollout, TimeState

jax.config.update("jax_enable_x64", True)

# %% [markdown]
# Rotors of the motors are not in a URDF file: `armature` is what they add. Masses, like all numbers, are leaves. (A
# humanoid or a hand in MuJoCo's format is read by `read_mjcf`.)

# %%
file = pathlib.Path(globals().get("__file__", "../../examples/15_robot_arm.py")).with_name("arm.urdf")
arm = eqx.tree_at(lambda a: a.armature, read_urdf(file), jnp.array([0.3, 0.3, 0.3, 0.3, 0.1, 0.1, 0.1]))
motors = actuators(arm, *(Motor(joint.name, activation=Filter(0.02)) for joint in arm.topology.joints))
links, hand = arm.topology.names, arm.topology.body("hand")


def carrying(load):
    """The arm with a load [kg] in its hand."""
    return eqx.tree_at(lambda a: a.inertia.mass, arm, arm.inertia.mass.at[hand].add(load))


def wanted(t):
    """Coordinates, velocities, accelerations: every joint swings, some twice as fast."""
    middle = jnp.array([0.0, 0.5, 0.0, 1.3, 0.0, 0.9, 0.0])
    swing, rate = jnp.array([0.5, 0, 0.1, 0.25, 0, -0.2, 0.4]), 2 * jnp.pi / 3 * jnp.array([1.0, 2, 1, 2, 1, 2, 1])
    phase = rate * t
    return middle + swing * jnp.sin(phase), swing * rate * jnp.cos(phase), -swing * rate**2 * jnp.sin(phase)


class Controller(eqx.Module):
    """Torques that would do it for the arm it has in mind, and PD control of what is left."""

    idea: Mechanism
    stiffness: Any = parameter()
    damping: Any = parameter()

    def __call__(self, t, y):
        q, v, a = wanted(t)
        return self.idea.inverse_dynamics(q, v, a) + self.stiffness * (q - y.q) + self.damping * (v - y.v)


# %%
class Design(NamedTuple):
    """What is tuned: logarithms of the gains, and the load that the controller believes in [kg]."""

    stiffness: Any = jnp.log(jnp.full(7, 40.0))
    damping: Any = jnp.log(jnp.full(7, 4.0))
    load: Any = jnp.array(0.0)

    def controller(self):
        return Controller(carrying(self.load), jnp.exp(self.stiffness), jnp.exp(self.damping))


dt, steps = 0.01, 300
ts = dt * np.arange(1, steps + 1)
goal = jax.jit(jax.vmap(lambda t: arm.poses(wanted(t)[0]).position[-1]))(ts)


def cost(design, robot):
    """Mean square distance from the curve [cm²]; also the coordinates along the way, and the tip less its goal [cm]."""
    body = Multibody(robot, (motors.with_control(design.controller()),))
    start = TimeState(t=jnp.array(0.0), y=body.state(*wanted(0.0)[:2]))
    q = rollout(ImplicitFast(multibody=body, dt=dt), start, steps, observe=lambda state: state.y.q).ys
    off = 100 * (jax.vmap(lambda q: robot.poses(q).position[-1])(q) - goal)
    return jnp.mean(jnp.sum(off**2, axis=1)), (q, off)


# %% [markdown]
# Descent, for the robot that really carries 2 kg; the same gradient tells what a kilogram more in each link would do.

# %%
robot, optimizer = carrying(2.0), optax.adam(optax.cosine_decay_schedule(0.1, 150))
design: Any = Design()
slopes = eqx.filter_jit(eqx.filter_value_and_grad(lambda both: cost(*both), has_aux=True))
memory, history = optimizer.init(design), []
for _ in range(150):
    (square, seen), (slope, by_robot) = slopes((design, robot))
    error = square**0.5
    history.append((error, design.load, by_robot.inertia.mass / (2 * error), *seen))
    update, memory = optimizer.update(slope, memory)
    design = optax.apply_updates(design, update)
error, load, by_mass, paths, offs = (np.array(x) for x in zip(*history, strict=True))
print(f"{error[0]:.1f} cm off before, {error[-1]:.2f} cm after {len(error)} descents; it believes in {load[-1]:.2f} kg")
for joint, stiffness, damping in zip(arm.topology.joints, *map(jnp.exp, design[:2]), strict=True):
    print(f"  {joint.name:6} {stiffness:6.0f} N m/rad {damping:6.1f} N m s/rad")

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
dots = [Sphere(0.006, position=point, color=(0.0, 0.45, 0.7)) for point in goal[::5]]
view(robot, (ts, paths[-1]), shapes=urdf_shapes(file) | {"world": dots}).save(folder / "robot_arm.html")
print(f"film: {folder / 'robot_arm.html'}")

# %%
plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure = plt.figure(figsize=(9.5, 4.4), layout="constrained")
grid = figure.add_gridspec(2, 2, width_ratios=[1.35, 1])
left, upper, lower = (figure.add_subplot(place) for place in (grid[:, 0], grid[0, 1], grid[1, 1]))
blue, red = "#0072B2", "#D55E00"
left.plot(*100 * goal[:, 1:].T, color="0.8", lw=6, label="wanted")
for k, name, color in ((0, "before", red), (-1, "after", blue)):
    left.plot(*(100 * goal + offs[k])[:, 1:].T, color=color, lw=1.5, label=name)
left.set(xlabel="sideways [cm]", ylabel="height [cm]", aspect="equal")
left.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.0, 0.35))
upper.semilogy(error, color=blue)
upper.set_ylabel("rms distance [cm]", color=blue)
believed = upper.twinx()
believed.plot(load, color=red)
believed.axhline(2.0, color=red, lw=0.8, ls=":")
believed.set_ylabel("believed load [kg]", color=red)
upper.set_xlabel("descents")
for k, name, color in ((0, "before", red), (-1, "after", blue)):
    lower.bar(links[1:8], by_mass[k, 1:8], color=color, width=0.75 if k == 0 else 0.45, label=name)
lower.set_ylabel("rms distance [cm]")
lower.set_title("a kilogram more in a link adds", fontsize=10, loc="left")
lower.legend(frameon=False)
lower.tick_params(axis="x", rotation=30)
figure.savefig(folder / "robot_arm.png")
print(f"picture: {folder / 'robot_arm.png'}")
