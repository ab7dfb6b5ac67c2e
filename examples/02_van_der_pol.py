# %% [markdown]
# # Van der Pol: from a sine wave to a square wave with one knob
#
# $\ddot q = \mu (1 - q^2) \dot q - q$. A family of oscillators is one `jax.vmap` around `integrate`; the step size of
# each member adapts to that member alone.

# %%
import os
import pathlib

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from kinax.physics import Motion, VanDerPol
from kinax.solvers import integrate

jax.config.update("jax_enable_x64", True)

# %%
ts = np.linspace(0.0, 60.0, 6001)
mus = jnp.array([0.1, 0.5, 1.0, 2.0, 4.0, 8.0])


def simulate(mu):
    """From a start near the limit cycle; what is left after 30 time units is the cycle itself."""
    return integrate(VanDerPol(mu=mu), Motion(q=2.0, v=0.0), ts, rtol=1e-8, atol=1e-8).ys


ys = jax.jit(jax.vmap(simulate))(mus)
late = ts > 30

# %% [markdown]
# The period, from upward zero crossings, against the two classical limits: $2\pi (1 + \mu^2/16)$ for small $\mu$ and
# $(3 - 2 \ln 2) \mu + 7.014 \mu^{-1/3}$ for large.

# %%
print("   mu   period   small mu   large mu   largest speed")
for mu, q, v in zip(mus, ys.q, ys.v, strict=True):
    rising = np.flatnonzero((q[:-1] < 0) & (q[1:] >= 0) & late[1:])
    crossings = ts[rising] - q[rising] * (ts[1] - ts[0]) / (q[rising + 1] - q[rising])
    period = np.mean(np.diff(crossings))
    small, large = 2 * np.pi * (1 + mu**2 / 16), (3 - 2 * np.log(2)) * mu + 7.014 * mu ** (-1 / 3)
    print(f"{mu:5.1f} {period:8.3f} {small:10.3f} {large:10.3f} {np.max(np.abs(v[late])):15.3f}")

# %%
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 4.2), width_ratios=[1.25, 1], layout="constrained")
colors = plt.colormaps["viridis"](np.linspace(0, 0.88, mus.size))
for k, (mu, q, v, color) in enumerate(zip(mus, ys.q, ys.v, colors, strict=True)):
    left.plot(ts[late] - 30, q[late] - 5 * k, color=color, lw=1.8)
    left.text(30.6, -5 * k, rf"$\mu = {mu:g}$", color=color, va="center")
    right.plot(q[late], v[late], color=color, lw=1.8)
left.set(xlabel="time", ylabel="$q$ (shifted)", xlim=(0, 30), yticks=[])
left.spines["left"].set_visible(False)
right.set(xlabel="$q$", ylabel=r"$v = \dot q$", xlim=(-2.5, 2.5))
left.set_title("relaxation sets in", fontsize=11, loc="left")
right.set_title("limit cycles", fontsize=11, loc="left")

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "van_der_pol.png")
print(f"picture: {folder / 'van_der_pol.png'}")
