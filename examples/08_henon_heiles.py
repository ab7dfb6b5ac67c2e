# %% [markdown]
# # Hénon-Heiles: any Hamiltonian is one line
#
# Write the energy of a star in a galaxy as a function of position and momentum; `Hamiltonian` makes the equations of
# motion by automatic differentiation. Each time a star crosses the plane $x = 0$ upwards, mark its $(y, p_y)$: smooth
# curves are order, scattered points are chaos.

# %%
import os
import pathlib

import diffrax
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from kinax.physics import Hamiltonian, Phase
from kinax.solvers import integrate

jax.config.update("jax_enable_x64", True)


# %%
def energy(q, p):
    """M. Hénon, C. Heiles, Astron. J. 69, 73 (1964), doi:10.1086/109234."""
    (x, y), (px, py) = q, p
    return (px**2 + py**2 + x**2 + y**2) / 2 + x**2 * y - y**3 / 3


galaxy = Hamiltonian(energy)
ts = np.linspace(0.0, 3000.0, 30001)


@jax.jit
@jax.vmap
def orbit(level, y, py):
    """The orbit of this energy that starts at x = 0, with the momentum p_x > 0 that the energy leaves."""
    px = jnp.sqrt(2 * level - py**2 - y**2 + 2 * y**3 / 3)
    start = Phase(q=jnp.stack([jnp.zeros_like(y), y]), p=jnp.stack([px, py]))
    return integrate(galaxy, start, ts, solver=diffrax.Dopri8(), rtol=1e-9, atol=1e-9).ys


def section(ys):
    """Where the orbit crosses x = 0 upwards, by linear interpolation between two saves."""
    x = ys.q[:, 0]
    k = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0))
    weight = x[k] / (x[k] - x[k + 1])
    return [z[k] + weight * (z[k + 1] - z[k]) for z in (ys.q[:, 1], ys.p[:, 1])]


# %%
levels = {"E = 1/12: order": 1 / 12, "E = 1/8: islands in a chaotic sea": 1 / 8}
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure, panels = plt.subplots(1, 2, figsize=(8, 3.9), sharex=True, sharey=True, layout="constrained")
for axes, (name, level) in zip(panels, levels.items(), strict=True):
    ys = np.concatenate([np.linspace(-0.36, 0.5, 14), np.full(4, 0.0)])
    pys = np.concatenate([np.full(14, 0.0), np.linspace(0.1, 0.34, 4)])
    allowed = 2 * level - pys**2 - ys**2 + 2 * ys**3 / 3 > 0
    orbits = jax.tree.map(np.asarray, orbit(np.full(allowed.sum(), level), ys[allowed], pys[allowed]))
    energies = np.asarray(jax.vmap(jax.vmap(galaxy.energy))(orbits))
    print(f"E = {level:.4f}: {allowed.sum()} orbits, energy drift {np.ptp(energies, axis=1).max():.1e}")
    for k, color in enumerate(plt.colormaps["viridis"](np.linspace(0, 0.9, allowed.sum()))):
        y, py = section(jax.tree.map(lambda a, k=k: a[k], orbits))
        axes.plot(np.append(y, y), np.append(py, -py), ".", color=color, ms=2, mew=0)  # mirrored: an orbit, too
    axes.set(xlabel="$y$", aspect="equal")
    axes.set_title(name, fontsize=11, loc="left")
panels[0].set(ylabel="$p_y$")

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "henon_heiles.png")
print(f"picture: {folder / 'henon_heiles.png'}")
