# %% [markdown]
# # A crystal melts: structure and diffusion of liquid argon, as in 1964
#
# A. Rahman's 864 atoms were the first liquid in a computer (Phys. Rev. 136, A405): at 94.4 K and at the density of 864
# atoms in 34.78³ Å³ he found D = 2.43e-5 cm²/s. Here a crystal of 500 is read through ASE, melted, brought to his state
# and followed at constant energy; the trajectory goes to a file while the run goes on, and what is measured comes with
# its error.

# %%
import io
import os
import pathlib

import ase.io
import jax
import matplotlib.pyplot as plt
import numpy as np
import scipy.constants
from ase.io.vasp import read_vasp
from kinax.md import (
    average,
    diffusion,
    draw_velocities,
    from_atoms,
    H5MD,
    Langevin,
    LennardJones,
    mean_square_displacement,
    METAL,
    OpenMMSwitch,
    radial_distribution,
    read_h5md,
    record,
    to_atoms,
    velocity_autocorrelation,
    VelocityVerlet,
)
from kinax.solvers import rollout

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)

# %% [markdown]
# The crystal: a unit cell in a file, here in VASP's format; any of ASE's will do. 5.797 Å is wide for a solid: it is
# the density of the liquid.

# %%
unit_cell = """argon, face-centered cubic
5.797
1 0 0
0 1 0
0 0 1
Ar
4
Direct
0.0 0.0 0.0
0.0 0.5 0.5
0.5 0.0 0.5
0.5 0.5 0.0
"""
crystal = read_vasp(io.StringIO(unit_cell)).repeat(5)
start = from_atoms(crystal, ("Ar",))
print(f"{len(crystal)} atoms, {crystal.get_masses().sum() / crystal.get_volume() / 0.60221:.3f} g/cm³")

# %% [markdown]
# Rahman's potential and time step; the energy ends smoothly between 2.25 and 2.5 sigma.

# %%
sigma, dt = 3.4 * METAL.angstrom, 10 * METAL.femtosecond
argon = LennardJones(
    epsilon=120 * METAL.kelvin, sigma=sigma, cutoff=OpenMMSwitch(radius=2.5 * sigma, onset=2.25 * sigma)
)


def bath(kelvin):
    """Friction and noise of this temperature."""
    return Langevin(potential=argon, kT=kelvin * METAL.kelvin, friction=1 / METAL.picosecond, dt=dt)


keys = jax.random.split(jax.random.key(0))
state = bath(15).start(draw_velocities(start, 30 * METAL.kelvin, key=keys[0]), key=keys[1])
stages = {}
for kelvin in (15, 300, 94.4):  # one program: the temperature is a parameter
    run = rollout(bath(kelvin), state, 1000, save_every=100)
    state, stages[kelvin] = run.state, run.ys
liquid = state.system

# %% [markdown]
# Constant energy for 60 ps. Every fifth configuration goes to the file, in segments, each written while the next runs.

# %%
path = folder / "argon.h5"
path.unlink(missing_ok=True)
newton = VelocityVerlet(potential=argon, dt=dt)
record(newton, newton.start(liquid, neighbors=state.neighbors), 6000, H5MD(path, ("Ar",)), save_every=5)
ts, systems = read_h5md(path)
print(f"{path}: {len(ts)} frames, {path.stat().st_size / 1e6:.0f} MB")

# %% [markdown]
# Temperature, diffusion and structure. D comes from the slope of the displacement, between 2 and 5 ps.

# %%
ps, nm2 = METAL.picosecond, METAL.nanometer**2
temperature = average(jax.vmap(lambda s: s.temperature())(systems) / METAL.kelvin)
print(f"temperature: {temperature} K")
cm2_per_s = (scipy.constants.centi * 1e10 * METAL.angstrom) ** 2 / (1e12 * ps)
found = diffusion(ts, systems, window=(2 * ps, 5 * ps))
print(f"D = ({found.mean / cm2_per_s * 1e5:.2f} +- {found.error / cm2_per_s * 1e5:.2f}) 1e-5 cm²/s; Rahman 2.43")

edges = np.linspace(2.5, 12, 120) * METAL.angstrom
some = jax.tree.map(lambda x: x[::40], systems)
order = {"solid at 15 K": radial_distribution(stages[15], edges), "liquid": radial_distribution(some, edges)}
peak = order["liquid"].x[np.argmax(order["liquid"].mean[0, 0])] / METAL.angstrom
print(f"first peak of g(r): {order['liquid'].mean.max():.2f} at {peak:.2f} Å; Rahman 2.8 at 3.7 Å")
ase.io.write(folder / "argon_liquid.xyz", to_atoms(liquid, ("Ar",)), format="extxyz")

# %%
plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.5), layout="constrained")
for (name, g), color in zip(order.items(), ("#BBBBBB", "#0072B2"), strict=True):
    left.plot(g.x, g.mean[0, 0], color=color, lw=1.5, label=name)
left.set(xlabel="distance [Å]", ylabel="g(r)", ylim=(0, 6))
left.legend(frameon=False)
moved = mean_square_displacement(ts, systems)
middle.fill_between(moved.x / ps, *((moved.mean + s * moved.error) / nm2 for s in (-2, 2)), color="#0072B2", alpha=0.2)
middle.plot(moved.x / ps, moved.mean / nm2, color="#0072B2", lw=1.8)
middle.plot(moved.x / ps, 6 * found.mean * moved.x / nm2, color="0.3", lw=1, ls="--")
middle.set(xlabel="time [ps]", ylabel="mean square displacement [nm²]", xlim=(0, 7), ylim=(0, None))
middle.text(3.2, 0.03, f"D = {found.mean / cm2_per_s * 1e5:.2f} · 10⁻⁵ cm²/s", color="0.3")
velocity = velocity_autocorrelation(ts, systems)
right.plot(velocity.x / ps, velocity.mean / velocity.mean[0], color="#0072B2", lw=1.8)
right.axhline(0, color="0.7", lw=1)
right.set(xlabel="time [ps]", ylabel="velocity autocorrelation", xlim=(0, 2))
right.set_title("atoms bounce back from their cage", fontsize=10, loc="left")
figure.savefig(folder / "melting_argon.png")
print(f"picture: {folder / 'melting_argon.png'}")
