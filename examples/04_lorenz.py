# %% [markdown]
# # Lorenz: how fast a gradient explodes, and why
#
# Derivatives of a chaotic simulation with respect to its start are exact, and grow like $e^{\lambda t}$ with the
# Lyapunov exponent $\lambda \approx 0.906$. Here `jax.jacfwd` through `integrate` gives all nine of them at once, along
# the attractor.

# %%
import os
import pathlib

import equinox as eqx
import jax
import matplotlib.pyplot as plt
import numpy as np
from kinax.physics import Lorenz
from kinax.solvers import integrate
from matplotlib.collections import LineCollection

jax.config.update("jax_enable_x64", True)

# %%
lorenz = Lorenz()
ts = np.linspace(0.0, 40.0, 16001)


@eqx.filter_jit
def trajectory(start):
    return integrate(lorenz, start, ts, rtol=1e-9, atol=1e-9).ys


transient = trajectory(Lorenz.State(x=1.0, y=1.0, z=20.0))
start = jax.tree.map(lambda x: x[-1], transient)  # on the attractor by now
ys = trajectory(start)

# %% [markdown]
# The largest singular value of $\partial y(t) / \partial y(0)$: the growth of the worst small error.

# %%
sensitivity = eqx.filter_jit(jax.jacfwd(trajectory))(start)
matrices = np.moveaxis(np.array([[np.asarray(entry) for entry in row] for row in sensitivity]), -1, 0)
growth = np.linalg.norm(matrices, ord=2, axis=(1, 2))
local = np.convolve(np.diff(np.log(growth)) / np.diff(ts), np.full(80, 1 / 80), mode="same")  # over 0.2 time units
rate = np.polyfit(ts, np.log(growth), 1)[0]
print(f"an error grows by {growth[-1]:.1e} in 40 time units: {rate:.2f} per unit, Lyapunov exponent 0.906")

# %%
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 4.2), width_ratios=[1.35, 1], layout="constrained")
points = np.stack([ys.x, ys.z], axis=1)
lines = LineCollection(list(np.stack([points[:-1], points[1:]], axis=1)), cmap="RdBu_r", lw=0.9)
lines.set_array(local)
lines.set_clim(-6, 6)
left.add_collection(lines)
left.autoscale()
left.set(xlabel="$x$", ylabel="$z$")
left.set_title("where predictions are lost (red)", fontsize=11, loc="left")
figure.colorbar(lines, ax=left, label="local growth rate", shrink=0.8, aspect=30).outline.set_visible(False)
right.semilogy(ts, growth, color="#0072B2", lw=1.2)
right.semilogy(ts, np.exp(0.906 * ts), color="#D55E00", lw=1.5)
right.text(24, np.exp(0.906 * 19), r"$e^{0.906\, t}$", color="#D55E00", va="top")
right.set(xlabel="time", ylabel=r"$\| \partial y(t) \,/\, \partial y(0) \|$", xlim=(0, 40))
right.set_title("growth of a small error", fontsize=11, loc="left")

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "lorenz.png")
print(f"picture: {folder / 'lorenz.png'}")
