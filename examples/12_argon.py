# %% [markdown]
# # Argon: the forces between two atoms, from how a gas departs from ideal
#
# The pressure of a dilute gas is n kT (1 + B n + ...), and the second virial coefficient B(T) is an integral over the
# energy of one pair. Measured B from 100 K to 1000 K therefore tell how deep and how wide the well between two argon
# atoms is: a fit of Lennard-Jones' two numbers, then of Mie's exponent too, by derivatives through the integral.

# %%
import os
import pathlib

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import scipy.constants
from kinax.md import LennardJones, METAL, Mie, second_virial, Truncated
from kinax.solvers import fit, Log, Normal, Observed, Parameter

jax.config.update("jax_enable_x64", True)

# %% [markdown]
# Kelvin and cm³/mol. Source: CRC Handbook of Chemistry and Physics, "Virial Coefficients of Selected Gases", smoothed
# from many measurements and rounded to whole numbers.

# %%
kelvin = np.array([100, 120, 140, 160, 180, 200, 300, 400, 500, 600, 700, 800, 900, 1000.0])
measured = np.array([-184, -131, -98, -76, -60, -48, -16, -1, 7, 12, 15, 18, 20, 22.0])
# one Å³ for each pair of atoms, in cm³/mol
molar = scipy.constants.Avogadro * (scipy.constants.angstrom / scipy.constants.centi) ** 3 / METAL.angstrom**3
far = Truncated(radius=300 * METAL.angstrom)


def predicted(pair, kelvin):
    """B(T) in cm³/mol."""
    return molar * jax.vmap(lambda T: second_virial(pair, T * METAL.kelvin))(jnp.asarray(kelvin))


def residuals(model, data):
    """What scatters, by how much we do not know, are the coefficients."""
    return Observed(data, Normal(predicted(model["pair"], kelvin), model["noise"]))


# %% [markdown]
# Two parameters, energies given as temperatures, from a guess that is a third off.

# %%
well = Parameter(lambda m: m["pair"].epsilon, name="epsilon", unit="eV", transform=Log())
width = Parameter(lambda m: m["pair"].sigma, name="sigma", unit="Å", transform=Log())
noise = Parameter(lambda m: m["noise"], name="scatter", unit="cm³/mol", transform=Log())
steep = Parameter(lambda m: m["pair"].n, name="n", bounds=(8.0, 40.0))

guess = {"epsilon": 80 * METAL.kelvin, "sigma": 3.0 * METAL.angstrom, "cutoff": far}
start = {"pair": LennardJones(**guess), "noise": jnp.asarray(5.0)}
twelve_six = fit(start, residuals, measured, parameters=[well, width, noise])
print(twelve_six.summary(), end="\n\n")

# %% [markdown]
# The data are rounded to whole numbers, which is a scatter of 0.3; this is five times as much, and not at random. A
# wall steeper than the twelfth power?

# %%
start = {"pair": Mie(**guess), "noise": jnp.asarray(5.0)}
mie = fit(start, residuals, measured, parameters=[well, width, noise, steep])
print(mie.summary(), end="\n\n")
for name, result in [("Lennard-Jones", twelve_six), ("Mie", mie)]:
    depth = result.model["pair"].epsilon / METAL.kelvin
    error = result.standard_errors["epsilon"] / METAL.kelvin
    print(f"{name}: epsilon = {depth:.1f} +- {error:.1f} K, sigma = {result.values['sigma']:.3f} Å")

# %%
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.9), layout="constrained")
temperatures = np.geomspace(95, 1050, 200)
distances = np.linspace(3.1, 8, 300)
for name, result, color in [("Lennard-Jones", twelve_six, "#D55E00"), ("Mie", mie, "#0072B2")]:
    left.plot(temperatures, predicted(result.model["pair"], temperatures), color=color, lw=1.8)
    energy = lambda m: jax.vmap(lambda r2: m["pair"].energy(r2, 0, 0))(jnp.asarray(distances) ** 2) / METAL.kelvin
    curve, error = result.predict(energy)
    reach = result.student(0.95) * error
    right.fill_between(distances, curve - reach, curve + reach, color=color, alpha=0.2, lw=0)
    right.plot(distances, curve, color=color, lw=1.8, label=name)
left.plot(kelvin, measured, "o", color="0.15", ms=5, mec="white", mew=0.8)
left.axhline(0, color="0.8", lw=1, zorder=0)
left.set(xscale="log", xlabel="temperature [K]", ylabel="second virial coefficient [cm³/mol]")
left.set_xticks([100, 200, 500, 1000], labels=["100", "200", "500", "1000"])
left.minorticks_off()
left.set_title("measured (points), fitted (lines)", fontsize=11, loc="left")
right.axhline(0, color="0.8", lw=1, zorder=0)
right.set(xlabel="distance [Å]", ylabel="pair energy / Boltzmann constant [K]", ylim=(-190, 100))
right.set_title("the well that follows, and its 95 % band", fontsize=11, loc="left")
right.legend(frameon=False)

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "argon.png")
print(f"picture: {folder / 'argon.png'}")
