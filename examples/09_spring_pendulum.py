# %% [markdown]
# # Spring pendulum: any Lagrangian is one line, and it can be fitted
#
# A mass on a spring that also swings: write kinetic minus potential energy, with the coordinates named as you like, and
# `Lagrangian` solves the Euler-Lagrange equations. Then recover the spring from a noisy film of the motion.

# %%
import os
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from jax.typing import ArrayLike
from kinax.physics import Lagrangian, Motion
from kinax.solvers import fit, integrate, Log, Parameter, parameter
from matplotlib.collections import LineCollection

jax.config.update("jax_enable_x64", True)


# %%
class Spring(eqx.Module):
    """`stiffness` [N/m], `rest_length` [m], `mass` [kg]: whatever is declared so can be fitted."""

    stiffness: ArrayLike = parameter()
    rest_length: ArrayLike = parameter()
    mass: ArrayLike = parameter(default=1.0)

    def __call__(self, q, v):
        """Kinetic minus potential energy [J] at a spring's length r [m] and angle a [rad]."""
        kinetic = self.mass * (v["r"] ** 2 + (q["r"] * v["a"]) ** 2) / 2
        height = -q["r"] * jnp.cos(q["a"])
        return kinetic - self.mass * 9.81 * height - self.stiffness * (q["r"] - self.rest_length) ** 2 / 2


start = Motion(q={"r": 1.75, "a": 0.1}, v={"r": 0.0, "a": 0.0})
ts = np.linspace(0.0, 30.0, 3001)


@eqx.filter_jit
def path(spring, ts):
    """Length, angle and the position of the mass in the plane [m]."""
    q = integrate(Lagrangian(spring), start, ts, rtol=1e-8, atol=1e-8, throw=False).ys.q
    return q["r"], q["a"], jnp.stack([q["r"] * jnp.sin(q["a"]), -q["r"] * jnp.cos(q["a"])], axis=1)


truth = Spring(stiffness=29.43, rest_length=1.0)  # the spring bounces twice a swing: resonance
length, angle, position = path(truth, ts)

# %% [markdown]
# A film of the first four seconds, 25 frames a second, to within 2 cm; a guess that is off by half.

# %%
frames = np.arange(0.0, 4.0, 0.04)
film = path(truth, frames)[2] + 0.02 * np.random.default_rng(1).standard_normal((frames.size, 2))
result = fit(
    Spring(stiffness=20.0, rest_length=0.9),
    lambda spring, film: path(spring, frames)[2] - film,
    film,
    parameters=[
        Parameter(lambda s: s.stiffness, name="stiffness", unit="N/m", transform=Log()),
        Parameter(lambda s: s.rest_length, name="rest length", unit="m", transform=Log()),
    ],
)
print(result.summary())
print("true values: 29.43 N/m, 1 m")

# %%
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure = plt.figure(figsize=(8, 4.2), layout="constrained")
grid = figure.add_gridspec(2, 2, width_ratios=[1, 1.25])
plane = figure.add_subplot(grid[:, 0])
lines = LineCollection(list(np.stack([position[:-1], position[1:]], axis=1)), cmap="viridis", lw=1.2)
lines.set_array(ts[:-1])
plane.add_collection(lines)
plane.plot(*np.stack([np.zeros(2), position[-1]]).T, color="0.3", lw=1, zorder=0)
plane.plot(0, 0, "^", color="black", ms=9)
plane.plot(*position[-1], "o", color="black", ms=9)
plane.set(xlabel="$x$ [m]", ylabel="$y$ [m]", aspect="equal", ylim=(-1.85, 0.08))
figure.colorbar(lines, ax=plane, label="time [s]", shrink=0.7, aspect=30).outline.set_visible(False)
blue, red = "#0072B2", "#D55E00"
traces = (("bounce: length [m]", length, blue), ("swing: angle [°]", np.rad2deg(angle), red))
for k, (name, values, color) in enumerate(traces):
    trace = figure.add_subplot(grid[k, 1])
    trace.plot(ts, values, color=color, lw=1.2)
    trace.set(xlim=(0, 30), xticks=range(0, 31, 10), xlabel="time [s]" if k else "")
    trace.set_title(name, fontsize=11, loc="left", color=color)

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "spring_pendulum.png")
print(f"picture: {folder / 'spring_pendulum.png'}")
