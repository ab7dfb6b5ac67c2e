# %% [markdown]
# # An enzyme, twice: two experiments, one shared constant, and how well it is known
#
# The same enzyme with and without puromycin. Michaelis and Menten: rate = v_max c / (K + c). Does the drug change the
# speed alone, or the affinity too? One model, two experiments: `v_max` of each its own, `K` shared. The parameters are
# declared beside the model, which knows nothing of fits. Then the profile likelihoods of all, and what would be known
# from low concentrations only.

# %%
import os
import pathlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from kinax.solvers import (
    Experiments,
    fit,
    identifiability,
    Log,
    Normal,
    Observed,
    Parameter,
    parameter,
    PerExperiment,
    Problem,
    profile,
)

jax.config.update("jax_enable_x64", True)


class Enzyme(eqx.Module):
    """Michaelis-Menten kinetics."""

    v_max: Any = parameter()
    affinity: Any = parameter()

    def __call__(self, concentration):
        return self.v_max * concentration / (self.affinity + concentration)


class Assay(eqx.Module):
    """The enzyme and the noise of its assay."""

    enzyme: Enzyme
    noise: Any = parameter()


def residuals(assay, data):
    """What was measured, and the distribution that the model predicts for it."""
    return Observed(data["rate"], Normal(assay.enzyme(data["concentration"]), assay.noise))


# %% [markdown]
# Reaction rates (counts/min^2) at concentrations (ppm). Source: M. A. Treloar, Effects of Puromycin on
# Galactosyltransferase in Golgi Membranes, University of Toronto (1974), as in R's `datasets::Puromycin`.

# %%
concentration = np.array([0.02, 0.02, 0.06, 0.06, 0.11, 0.11, 0.22, 0.22, 0.56, 0.56, 1.10, 1.10])
with_drug = np.array([76, 47, 97, 107, 123, 139, 159, 152, 191, 201, 207, 200.0])
without = np.array([67, 51, 84, 86, 98, 115, 131, 124, 144, 158, 160.0])
data = Experiments(
    {
        "puromycin": {"concentration": concentration, "rate": with_drug},
        "untreated": {"concentration": concentration[:-1], "rate": without},
    }
)
parameters = [
    Parameter(lambda a: a.enzyme.v_max, name="v_max", unit="cpm/min", per_experiment=PerExperiment(), bounds=(0, 1000)),
    Parameter(lambda a: a.enzyme.affinity, name="K", unit="ppm", transform=Log()),
    Parameter(lambda a: a.noise, name="noise", unit="cpm/min", transform=Log()),
]
guess = Assay(enzyme=Enzyme(v_max=100.0, affinity=0.1), noise=20.0)
problem = Problem(guess, residuals, data, parameters=parameters)
print(problem, end="\n\n")
shared = fit(problem)
print(shared.summary(), end="\n\n")

# %% [markdown]
# Each experiment with a `K` of its own: twice the gain in log likelihood follows chi squared of one degree of freedom.

# %%
parameters[1] = Parameter(
    lambda a: a.enzyme.affinity, name="K", unit="ppm", transform=Log(), per_experiment=PerExperiment()
)
separate = fit(guess, residuals, data, parameters=parameters)
print(separate.summary(), end="\n\n")
print(f"2 x gain in log likelihood: {2 * float(shared.cost - separate.cost):.2f} (3.84 would be 5 % significance)\n")

# %% [markdown]
# All profile likelihoods in one call: exact where the table above linearizes.

# %%
profiles = profile(shared)
print(profiles, end="\n\n")

# %% [markdown]
# Had only concentrations far below `K` been measured, however precisely, the curve would be a straight line through the
# origin: its slope v_max / K is known, the two parameters are not.

# %%
low = jnp.asarray(concentration[:4] / 20)
straight = {"concentration": low, "rate": guess.enzyme(low) + np.array([0.02, -0.02, 0.01, -0.01])}
precise = Assay(enzyme=guess.enzyme, noise=0.02)
few = [
    Parameter(lambda a: a.enzyme.v_max, name="v_max", unit="cpm/min"),
    Parameter(lambda a: a.enzyme.affinity, name="K", unit="ppm"),
]
print(identifiability(fit(precise, residuals, straight, parameters=few)))

# %%
plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
grid = jnp.linspace(0, 1.15, 200)
for name, color, place in [("puromycin", "#0072B2", (0.8, 212)), ("untreated", "#D55E00", (0.8, 135))]:
    curve, error = shared.predict(lambda a: a.enzyme(grid), name)
    reach = shared.student(0.95) * error
    left.fill_between(grid, curve - reach, curve + reach, color=color, alpha=0.18, lw=0)
    left.plot(grid, curve, color=color, lw=2)
    left.plot(data[name]["concentration"], data[name]["rate"], "o", color=color, mec="white", mew=0.8)
    left.text(*place, name, color=color, weight="bold", ha="center")
left.set(xlabel="concentration [ppm]", ylabel="rate [cpm/min]", xlim=(0, 1.15), ylim=(0, None))
walk = profiles["K"]
right.plot(walk.values, 2 * walk.costs, color="#009E73", lw=2, marker="o", ms=4)
right.axhline(3.84, color="0.5", lw=1, ls="--")
right.set(xlabel="K [ppm]", ylabel="2 x loss of log likelihood", ylim=(0, 6))
for end in walk.interval:
    right.axvline(end, color="0.5", lw=1)
right.set_title("profile likelihood: between the lines, 95 %", fontsize=11, loc="left")

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "enzyme.png")
print(f"picture: {folder / 'enzyme.png'}")
