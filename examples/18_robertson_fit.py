# %% [markdown]
# # Robertson's three rates, recovered from scattered measurements over eleven decades of time
#
# The rates differ by nine orders of magnitude, and the guess is wrong by a factor of 30 in each. Every trial of the fit
# is a stiff solve from ten microseconds to eleven days, differentiated by each rate; the rates are fitted on a
# logarithmic scale, and nothing else is adjusted.

# %%
import os
import pathlib

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from kinax.physics import Robertson
from kinax.solvers import fit, integrate, Log, Parameter, stiff

jax.config.update("jax_enable_x64", True)

times = np.logspace(-5, 6, 45)
start = Robertson.State(a=1.0, b=0.0, c=0.0)


def species(reaction, ts):
    """A, B and C at the times, as columns."""
    ts = jnp.concatenate([jnp.zeros(1), jnp.asarray(ts)])
    ys = integrate(reaction, start, ts, solver=stiff(), rtol=1e-8, atol=1e-14, throw=False).ys
    return jnp.stack([ys.a, ys.b, ys.c], axis=1)[1:]


# %% [markdown]
# What a chemist would have: each species at 45 times, off by factors that scatter by 5 %.

# %%
truth = Robertson()
scatter = 0.05
measured = species(truth, times) * np.exp(scatter * np.random.default_rng(1).normal(size=(len(times), 3)))


def residuals(reaction, data):
    """Logarithms, because the three species are of sizes 1, 1e-5 and everything down to 1e-11."""
    return (jnp.log(species(reaction, times)) - jnp.log(data)) / scatter


guess = Robertson(k1=truth.k1 * 30, k2=truth.k2 / 30, k3=truth.k3 * 30)
parameters = [
    Parameter(lambda r: r.k1, name="k1", unit="1/s", transform=Log()),
    Parameter(lambda r: r.k2, name="k2", unit="1/s", transform=Log()),
    Parameter(lambda r: r.k3, name="k3", unit="1/s", transform=Log()),
]
result = fit(guess, residuals, measured, parameters=parameters)
print(result.summary(), end="\n\n")
for name in ("k1", "k2", "k3"):
    true, begin, found = (float(getattr(r, name)) for r in (truth, guess, result.model))
    print(f"{name}: guess {begin:9.3g}, found {found:10.5g}, true {true:7.3g} ({100 * (found / true - 1):+.2f} %)")

# %%
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
grid = np.logspace(-5.2, 6.2, 300)
fitted, guessed = species(result.model, grid), species(guess, grid)
colors = {"A": "#0072B2", "B": "#D55E00", "C": "#009E73"}
for k, (name, color) in enumerate(colors.items()):
    axes.plot(grid, guessed[:, k], color=color, lw=1, ls=":", label="guess" if k == 0 else None)
    axes.plot(grid, fitted[:, k], color=color, lw=2, label="fit" if k == 0 else None)
    axes.plot(times, measured[:, k], "o", color=color, mec="white", mew=0.6, ms=5)
    axes.text(2.2e6, float(fitted[-1, k]), name, color=color, weight="bold", va="center")
axes.set(xscale="log", yscale="log", xlabel="time [s]", ylabel="mole fraction", ylim=(1e-12, 6))
axes.legend(frameon=False, loc="lower right")

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "robertson_fit.png")
print(f"picture: {folder / 'robertson_fit.png'}")
