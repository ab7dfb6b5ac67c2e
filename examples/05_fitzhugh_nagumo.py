# %% [markdown]
# # FitzHugh-Nagumo: when does a neuron fire?
#
# Two equations, one knob (the injected current), and the whole story in the phase plane: where the cubic and the linear
# nullcline cross decides between rest and spikes. The Jacobian at the crossing, by `jax.jacfwd`, says where it tips.

# %%
import os
import pathlib

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from kinax.physics import FitzHughNagumo
from kinax.solvers import integrate

jax.config.update("jax_enable_x64", True)

# %%
ts = np.linspace(0.0, 200.0, 4001)
currents = jnp.array([0.2, 0.5, 1.6])


def simulate(current):
    start = FitzHughNagumo.State(v=-1.8, w=-0.2)
    return integrate(FitzHughNagumo(current=current), start, ts, rtol=1e-8, atol=1e-8).ys


ys = jax.jit(jax.vmap(simulate))(currents)

# %% [markdown]
# The equilibrium loses its stability where the largest real part of the Jacobian's eigenvalues changes sign.


# %%
@jax.jit
@jax.vmap
def jacobian(current):
    neuron = FitzHughNagumo(current=current)
    rates = jax.jacfwd(lambda y: neuron(0.0, y))(neuron.equilibrium())
    return jnp.array([[rates.v.v, rates.v.w], [rates.w.v, rates.w.w]])


scan = jnp.linspace(0.0, 1.8, 1801)
unstable = np.linalg.eigvals(jacobian(scan)).real.max(axis=1) > 0
first, last = scan[unstable][0], scan[unstable][-1]
print(f"the equilibrium is unstable for currents between {first:.3f} and {last:.3f}")

# %%
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure = plt.figure(figsize=(8, 4.4), layout="constrained")
grid = figure.add_gridspec(3, 2, width_ratios=[1.15, 1])
plane = figure.add_subplot(grid[:, 0])
neuron = FitzHughNagumo(current=0.5)
v, w = np.meshgrid(np.linspace(-2.4, 2.4, 25), np.linspace(-0.9, 2.1, 25))
flow = jax.vmap(jax.vmap(lambda v, w: neuron(0.0, FitzHughNagumo.State(v=v, w=w))))(v, w)
plane.streamplot(v, w, flow.v, flow.w, color="0.85", linewidth=0.7, arrowsize=0.7, density=0.9)
line = np.linspace(-2.4, 2.4, 401)
plane.plot(line, neuron.cubic_nullcline(line), color="#009E73", lw=1.6)
plane.plot(line, neuron.linear_nullcline(line), color="#CC79A7", lw=1.6)
plane.plot(ys.v[1], ys.w[1], color="#0072B2", lw=2)
rest = neuron.equilibrium()
plane.plot(rest.v, rest.w, "o", color="white", mec="black", ms=7)
label = dict(bbox={"fc": "white", "ec": "none", "pad": 1})
plane.text(-2.05, 1.75, r"$\dot v = 0$", color="#009E73", **label)
plane.text(0.95, 1.8, r"$\dot w = 0$", color="#CC79A7", **label)
plane.set(xlabel="potential $v$", ylabel="recovery $w$", xlim=(-2.4, 2.4), ylim=(-0.9, 2.1))
plane.set_title("phase plane at $I = 0.5$", fontsize=11, loc="left")
for k, (current, color) in enumerate(zip(currents, ("0.5", "#0072B2", "#D55E00"), strict=True)):
    trace = figure.add_subplot(grid[k, 1])
    trace.plot(ts, ys.v[k], color=color, lw=1.6)
    trace.set(xlim=(0, 200), ylim=(-2.4, 2.4), ylabel="$v$", xticks=[0, 100, 200])
    what = {0: "rests", 1: "fires", 2: "is blocked"}[k]
    trace.set_title(f"$I = {current:g}$: {what}", fontsize=11, loc="left", color=color)
    if k < 2:
        trace.set_xticklabels([])
    else:
        trace.set_xlabel("time")

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "fitzhugh_nagumo.png")
print(f"picture: {folder / 'fitzhugh_nagumo.png'}")
