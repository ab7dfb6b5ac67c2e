# %% [markdown]
# # A thousand stiff equations: waves of a chemical clock along a tube
#
# The Brusselator oscillates; diffusion couples its 500 points. `banded` looks at the vector field and finds that the
# Jacobian has five diagonals once the two species of each point stand beside each other, so that a step costs
# milliseconds instead of a dense matrix of a million numbers. The derivative by the diffusion constant goes through
# the same structure.

# %%
import os
import pathlib
import time

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from kinax.solvers import banded, integrate, Radau

jax.config.update("jax_enable_x64", True)

n = 500
x = jnp.arange(1, n + 1) / (n + 1)
start = {"u": 1 + jnp.sin(2 * jnp.pi * x), "v": jnp.full(n, 3.0)}


def brusselator(t, y, diffusion):
    """u_t = 1 + u² v - 4 u + D u_xx,  v_t = 3 u - u² v + D v_xx,  with u = 1 and v = 3 at both ends."""
    u, v = y["u"], y["v"]

    def curvature(w, end):
        padded = jnp.concatenate([jnp.full(1, end), w, jnp.full(1, end)])
        return (padded[2:] - 2 * w + padded[:-2]) * (n + 1) ** 2

    reaction = u**2 * v
    return {
        "u": 1 + reaction - 4 * u + diffusion * curvature(u, 1.0),
        "v": 3 * u - reaction + diffusion * curvature(v, 3.0),
    }


# %%
diffusion = jnp.asarray(2e-3)
structure = banded(brusselator, start, args=diffusion)
print(f"{2 * n} unknowns, entries at most {structure.width} places off the diagonal")

solver = Radau(5, jacobian=structure)
ts = jnp.linspace(0.0, 20.0, 201)


@jax.jit
def solve(diffusion):
    return integrate(brusselator, start, ts, args=diffusion, solver=solver, rtol=1e-7, atol=1e-9)


solution = jax.block_until_ready(solve(diffusion))
begin = time.perf_counter()
solution = jax.block_until_ready(solve(diffusion))
print(f"{int(solution.stats['num_steps'])} steps in {time.perf_counter() - begin:.2f} s")

# %% [markdown]
# How the pattern answers to a change of the diffusion constant: forward mode, one tangent for all points and times.

# %%
_, response = jax.jit(lambda d: jax.jvp(lambda d: solve(d).ys["u"], (d,), (d,)))(diffusion)
print(f"du / dlog D is largest at t = {float(ts[np.argmax(np.abs(response).max(axis=1))]):.1f}")

# %%
plt.rcParams.update({"font.size": 11, "savefig.dpi": 120})
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 4), sharey=True, layout="constrained")
for axes, values, title, colors in (
    (left, solution.ys["u"], "u", "magma"),
    (right, response, r"$\partial u / \partial \ln D$", "RdBu_r"),
):
    most = float(jnp.max(jnp.abs(values)))
    low = -most if colors == "RdBu_r" else 0
    image = axes.pcolormesh(x, ts, values, cmap=colors, vmin=low, vmax=most, rasterized=True)
    figure.colorbar(image, ax=axes, label=title)
    axes.set(xlabel="place")
left.set(ylabel="time")

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "brusselator.png")
print(f"picture: {folder / 'brusselator.png'}")
