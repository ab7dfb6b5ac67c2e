# %% [markdown]
# # Swing-up: a weak motor learns to lift a pendulum by gradient descent
#
# The motor cannot hold the pendulum at 25°, yet it can bring it upright: it has to rock. Nothing tells it so but the
# gradient of the final error with respect to the torque at every step, through `rollout`, whose memory grows like the
# square root of the number of steps. `check_gradient` confirms that gradient first.

# %%
import os
import pathlib
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from kinax.physics import Motion, Pendulum
from kinax.solvers import AbstractSimulator, check_gradient, Checkpointed, parameter, rollout

jax.config.update("jax_enable_x64", True)
steps, strength = 500, 4.0  # of 0.01 s; the motor's strongest push [rad/s²], where gravity pulls with up to 9.81


# %%
class State(NamedTuple):
    """The pendulum, and how many steps it has made."""

    motion: Motion
    step: jax.Array


class Driven(AbstractSimulator[State]):
    """A pendulum with a motor: kick by the forces, then drift."""

    pendulum: Pendulum
    command: jax.Array = parameter()  # one number for each step; tanh limits the torque
    dt: jax.Array = parameter(default=0.01)

    def __call__(self, state):
        q, v = state.motion
        push = strength * jnp.tanh(self.command[state.step])
        v = v + self.dt * (self.pendulum(0.0, state.motion).v + push)
        return State(motion=Motion(q=q + self.dt * v, v=v), step=state.step + 1)


def swing(command):
    driven = Driven(pendulum=Pendulum(length=1.0, gravity=9.81, damping=0.1), command=command)
    start = State(motion=Motion(q=jnp.array(0.0), v=jnp.array(0.0)), step=jnp.array(0))
    return rollout(driven, start, steps, observe=lambda s: s.motion, adjoint=Checkpointed()).ys


def loss(command):
    """Distance from upright and at rest, over the last half second; as little torque as possible, and smooth."""
    ys = swing(command)
    miss = 2 * (1 + jnp.cos(ys.q[-50:])) + 0.1 * ys.v[-50:] ** 2
    torque = jnp.tanh(command)
    return jnp.mean(miss) + 1e-3 * jnp.mean(torque**2) + 20 * jnp.mean(jnp.diff(torque) ** 2)


command = 0.1 * jnp.sin(2 * jnp.pi * jnp.arange(steps) / 200)
print(check_gradient(loss, command))

# %%
optimizer = optax.adam(0.05)


@eqx.filter_jit
def improve(command, memory):
    value, gradient = jax.value_and_grad(loss)(command)
    update, memory = optimizer.update(gradient, memory)
    return optax.apply_updates(command, update), memory, value


memory, losses, snapshots = optimizer.init(command), [], {0: swing(command)}
for k in range(1, 401):
    command, memory, value = improve(command, memory)
    losses.append(float(value))
    if k in (10, 30, 400):
        snapshots[k] = swing(command)
print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f} in 400 descents through {steps} steps each")

# %%
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 4.6), sharex=True, height_ratios=[2, 1], layout="constrained")
ts = 0.01 * np.arange(1, steps + 1)
for (k, ys), color in zip(snapshots.items(), plt.colormaps["viridis_r"](np.linspace(0.1, 1, 4)), strict=True):
    top.plot(ts, np.rad2deg(ys.q), color=color, lw=2.5 if k == 400 else 1.3)
    top.text(5.05, np.rad2deg(ys.q[-1]), f"{k}", color=color, va="bottom" if k == 400 else "top")
for angle in (-180, 180):
    top.axhline(angle, color="0.8", lw=0.8, zorder=0)
top.set(ylabel="angle [°]", yticks=range(-180, 181, 90), xlim=(0, 5))
top.set_title("after 0, 10, 30, 400 descents; ±180° is upright", fontsize=11, loc="left")
torque = strength * np.tanh(np.asarray(command))
bottom.fill_between(ts, torque, color="#D55E00", alpha=0.25, lw=0)
bottom.plot(ts, torque, color="#D55E00", lw=1.5)
bottom.set(xlabel="time [s]", ylabel="torque [rad/s²]", ylim=(-4.3, 4.3))

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "swing_up.png")
print(f"picture: {folder / 'swing_up.png'}")
