# %% [markdown]
# # Robertson: a reaction over seventeen decades of time, and which rate matters when
#
# Three species, rates that differ by nine orders of magnitude: the classic stiff problem. `stiff()` takes a few hundred
# steps from microseconds to three thousand years, and the solve is differentiable: the lower panel shows how much each
# rate constant controls the intermediate B at each time.

# %%
import os
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from kinax.physics import Robertson
from kinax.solvers import integrate, stiff

jax.config.update("jax_enable_x64", True)

# %%
ts = np.concatenate([[0.0], np.logspace(-6, 11, 341)])
start = Robertson.State(a=1.0, b=0.0, c=0.0)


def solve(system):
    """`atol` must resolve B, which never exceeds 4e-5."""
    return integrate(system, start, ts, solver=stiff(), rtol=1e-7, atol=1e-14)


reaction = Robertson()
solution = solve(reaction)
drift = np.max(np.abs(reaction.mass(solution.ys) - 1))
print(f"{int(solution.stats['num_steps'])} steps to t = 1e11 s; the sum of the species drifts by {drift:.1e}")

# %% [markdown]
# Control coefficients $\partial \ln b(t) / \partial \ln k_i$, by forward mode through the stiff solver: one tangent for
# each rate constant.

# %%
rates = {"k1": r"$k_1$: A $\to$ B", "k2": r"$k_2$: 2 B $\to$ B + C", "k3": r"$k_3$: B + C $\to$ A + C"}


def log_b(logs):
    return jnp.log(solve(Robertson(**{k: jnp.exp(log) for k, log in logs.items()})).ys.b[1:])


control = eqx.filter_jit(jax.jacfwd(log_b))({k: jnp.log(getattr(reaction, k)) for k in rates})
print("control of B at t = 1 s:", {k: round(float(c[np.searchsorted(ts, 1.0) - 1]), 3) for k, c in control.items()})

# %%
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure, (top, bottom) = plt.subplots(2, 1, figsize=(8, 5.2), sharex=True, height_ratios=[1.3, 1], layout="constrained")
blue, red, green = "#0072B2", "#D55E00", "#009E73"
ys = solution.ys
for values, name, color, place in (
    (ys.a, "A", blue, (1e-5, 0.93)),
    (2e4 * ys.b, r"B $\times\, 2 \cdot 10^4$", red, (4e-1, 0.80)),
    (ys.c, "C", green, (1e9, 0.93)),
):
    top.plot(ts[1:], values[1:], color=color, lw=2)
    top.text(*place, name, color=color, weight="bold", ha="center", va="top")
top.set(xscale="log", ylabel="mole fraction", ylim=(0, 1.03))
places = {"k1": (2e-2, 0.64), "k2": (2e-2, -0.68), "k3": (1e7, 0.8)}
for (k, name), color in zip(rates.items(), (blue, red, green), strict=True):
    bottom.plot(ts[1:], control[k], color=color, lw=2)
    bottom.text(*places[k], name, color=color, va="center")
bottom.axhline(0, color="0.7", lw=0.8, zorder=0)
bottom.set(xlabel="time [s]", ylabel=r"$\partial \ln b \,/\, \partial \ln k$", xlim=(1e-6, 1e11))

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "robertson.png")
print(f"picture: {folder / 'robertson.png'}")
