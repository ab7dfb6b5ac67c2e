# %% [markdown]
# # Three bodies on a figure eight: find a periodic orbit by least squares
#
# Three equal masses can chase each other along one figure eight (Chenciner and Montgomery, 2000, doi:10.2307/2661357).
# Start from a poor guess, ask `fit` that after a third of the period each body be where the next one was, and let
# derivatives through the N-body simulation do the search.

# %%
import os
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from kinax.physics import Motion, NBody
from kinax.solvers import fit, integrate, Parameter, parameter

jax.config.update("jax_enable_x64", True)


# %%
class Choreography(eqx.Module):
    """Bodies at x, -x and 0 with velocities v, v and -2v: no net momentum, no angular momentum."""

    x: jax.Array = parameter()
    v: jax.Array = parameter()
    period: jax.Array = parameter()

    def start(self):
        zero = jnp.zeros(2)
        return Motion(q=jnp.stack([self.x, -self.x, zero]), v=jnp.stack([self.v, self.v, -2 * self.v]))

    def states(self, fractions):
        """The states at these fractions of the period."""
        bodies, ts = NBody(masses=[1.0, 1.0, 1.0]), self.period * fractions
        return integrate(bodies, self.start(), ts, rtol=1e-11, atol=1e-12, throw=False).ys


def residuals(model, data):
    """What is missing to the start with the bodies in turn; that the first starts at x = 1 sets the scale."""
    start, ys = model.start(), model.states(jnp.array([0.0, 1 / 3]))
    in_turn = jax.tree.map(lambda now, later: jnp.roll(now, 1, axis=0) - later[-1], start, ys)
    return in_turn, model.x[0] - data


guess = Choreography(x=jnp.array([1.0, -0.2]), v=jnp.array([0.4, 0.5]), period=jnp.array(6.3))
result = fit(
    guess,
    residuals,
    1.0,
    parameters=[
        Parameter(lambda m: m.x, name="x"),
        Parameter(lambda m: m.v, name="v"),
        Parameter(lambda m: m.period, name="period"),
    ],
)
found = result.model
miss = float(jnp.sqrt(2 * result.cost))
print(f"x = {found.x}, v = {found.v}, period = {found.period:.10f}; missed by {miss:.1e}")

# %% [markdown]
# Guess and fit, each for ten periods.

# %%
before = guess.states(jnp.linspace(0.0, 10.0, 2401))
after = found.states(jnp.linspace(0.0, 10.0, 2401))
energies = jax.vmap(NBody(masses=[1.0, 1.0, 1.0]).energy)(after)
print(f"energy {energies[0]:.6f}, relative drift over 10 periods {np.ptp(energies) / abs(energies[0]):.1e}")

# %%
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure, panels = plt.subplots(1, 2, figsize=(8, 3.3), width_ratios=[1, 1.55], layout="constrained")
colors = ("#0072B2", "#D55E00", "#009E73")
titles = ("ten periods from the guess", "ten periods from the fit")
for axes, ys, title in zip(panels, (before, after), titles, strict=True):
    for body, color in enumerate(colors):
        q = ys.q[:-20, body]
        axes.plot(*q.T, color=color, lw=0.6, alpha=0.6)
        axes.plot(*q[-80:].T, color=color, lw=2.5, zorder=3)  # the last third of a period
        axes.plot(*q[-1], "o", color=color, ms=12, mec="white", mew=1.5, zorder=4)
    axes.set(xlabel="$x$", ylabel="$y$", aspect="equal")
    axes.set_title(title, fontsize=11, loc="left")

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "three_bodies.png")
print(f"picture: {folder / 'three_bodies.png'}")
