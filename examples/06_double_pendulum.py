# %% [markdown]
# # Double pendulum: when does the lower rod flip over?
#
# Twenty-nine thousand double pendulums, released at rest from a grid of angles, in one `jax.vmap` of `rollout`.
# `observe` keeps one bit of each state, so no trajectory is stored. The color is the time until the lower rod flips
# over: islands of order in a sea where the last digit of the start decides.

# %%
import os
import pathlib

import diffrax
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from kinax.physics import DoublePendulum, Motion
from kinax.solvers import FixedStep, rollout, TimeState
from matplotlib.colors import LogNorm

pendulum = DoublePendulum(masses=[1.0, 1.0], lengths=[1.0, 1.0])
simulator = FixedStep(
    vector_field=pendulum, dt=jnp.array(0.02), solver=diffrax.Bosh3()
)  # single precision, third order


def release(upper, lower):
    return TimeState(t=jnp.array(0.0), y=Motion(q=jnp.stack([upper, lower]), v=jnp.zeros(2)))


# %% [markdown]
# The mirror image of a start moves in mirror image: half of the grid is enough.


# %%
@jax.jit
@jax.vmap
def time_to_flip(upper, lower):
    """In seconds; infinite if it takes more than 32 s."""
    flipped = rollout(
        simulator, release(upper, lower), 1600, save_every=4, observe=lambda s: jnp.abs(s.y.q[1]) > jnp.pi
    ).ys
    first = 0.08 * (1 + jnp.argmax(flipped))
    return jnp.where(jnp.any(flipped), first, jnp.inf)


size = 240
angles = (np.arange(size, dtype=np.float32) + 0.5) / size * 2 * np.pi - np.pi
upper, lower = np.meshgrid(angles[size // 2 :], angles, indexing="ij")
half = np.asarray(time_to_flip(upper.ravel(), lower.ravel())).reshape(size // 2, size)
times = np.concatenate([half[::-1, ::-1], half])
flips = half[np.isfinite(half)]
print(f"{flips.size / half.size:.0%} of the starts flip within 32 s, half of those within {np.median(flips):.1f} s")

# %% [markdown]
# Neighbors, a thousandth of a degree apart, in an island of order and in the sea.


# %%
@jax.jit
@jax.vmap
def swing(upper, lower):
    return rollout(simulator, release(upper, lower), 1000, observe=lambda s: s.y.q[1]).ys


offsets = np.deg2rad(np.arange(5, dtype=np.float32) / 1000)
calm = swing(np.deg2rad(40) + offsets, np.deg2rad(-20) + offsets)
wild = swing(np.deg2rad(120) + offsets, np.deg2rad(60) + offsets)

# %%
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure = plt.figure(figsize=(8, 4.2), layout="constrained")
grid = figure.add_gridspec(2, 2, width_ratios=[1.3, 1])
chart = figure.add_subplot(grid[:, 0])
degrees = np.rad2deg(angles)
colors = {"norm": LogNorm(0.5, 32), "cmap": "magma_r", "interpolation": "none"}
picture = chart.imshow(times.T, origin="lower", extent=(-180, 180, -180, 180), **colors)
spare = 2 * np.cos(angles)[None, :] + np.cos(angles)[:, None]  # above 1 the energy does not suffice for a flip
chart.contour(degrees, degrees, spare, [1.0], colors="0.4", linewidths=1)
chart.text(0, 0, "too little\nenergy", ha="center", va="center", color="0.4")
chart.set(xlabel="upper angle at release [°]", ylabel="lower angle at release [°]")
chart.set(xticks=range(-180, 181, 90), yticks=range(-180, 181, 90))
figure.colorbar(picture, ax=chart, label="time to flip [s]", ticks=[1, 3, 10, 30], format="%g", shrink=0.85, aspect=30)
for k, (angle, start, color) in enumerate(
    ((calm, "order: 40°, -20°", "#0072B2"), (wild, "chaos: 120°, 60°", "#D55E00"))
):
    trace = figure.add_subplot(grid[k, 1])
    trace.plot(0.02 * np.arange(1, 1001), np.rad2deg(angle).T, color=color, lw=0.9)
    trace.set(xlim=(0, 20), xlabel="time [s]" if k else "", ylabel="lower angle [°]")
    trace.set_title(f"{start}, five neighbors", fontsize=11, loc="left", color=color)

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "double_pendulum.png")
print(f"picture: {folder / 'double_pendulum.png'}")
