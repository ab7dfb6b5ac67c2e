# %% [markdown]
# # Lynx and hare: fit predator-prey equations to a century-old record
#
# The Hudson's Bay Company counted pelts; Lotka and Volterra wrote equations. Does the one explain the other?
# Eight unknowns (four rates, two initial populations, two noise levels), 42 numbers. One call finds the best values,
# one all their profiles, one the posterior: everything by derivatives through the differential equation.
# Run with `make demo`.

# %%
import os
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from kinax.physics import LotkaVolterra
from kinax.solvers import fit, integrate, Log, LogNormal, Normal, Observed, Parameter, profile, sample

jax.config.update("jax_enable_x64", True)
State = LotkaVolterra.State

# %% [markdown]
# Thousands of pelts, 1900 to 1920. Source: C. Gordon Hewitt, The Conservation of the Wild Life of Canada (1921), as
# tabulated by P. Howard (2009) and used in the Stan case study "Predator-Prey Population Dynamics" (posteriordb:
# `hudson_lynx_hare`), whose priors these are.

# %%
years = np.arange(1900.0, 1921.0)
hare = "30 47.2 70.2 77.4 36.3 20.6 18.1 21.4 22 25.4 27.1 40.3 57 76.6 52.3 19.5 11.2 7.6 14.6 16.2 24.7"
lynx = "4 6.1 9.8 35.2 59.4 41.7 19 13 8.3 9.1 7.4 8 12.3 19.5 45.7 51.1 29.7 15.8 9.7 10.1 8.6"
hare, lynx = (np.array(counts.split(), float) for counts in (hare, lynx))
data = State(prey=hare, predator=lynx)


# %%
class Ecosystem(eqx.Module):
    """The equations, where they start, and how counts scatter: everything that is unknown, in one place."""

    system: LotkaVolterra
    start: LotkaVolterra.State
    noise: LotkaVolterra.State

    def populations(self, ts):
        return integrate(self.system, self.start, ts, rtol=1e-8, atol=1e-8, throw=False).ys


def residuals(model, data):
    """Counts are off by factors, not by differences: their logarithms scatter."""
    counted = lambda counts, y, noise: Observed(counts, LogNormal(jnp.log(y), noise))
    return jax.tree.map(counted, data, model.populations(years), model.noise)


guess = Ecosystem(
    system=LotkaVolterra(alpha=0.5, beta=0.03, gamma=0.8, delta=0.03),
    start=State(prey=jnp.array(30.0), predator=jnp.array(4.0)),
    noise=State(prey=jnp.array(0.3), predator=jnp.array(0.3)),
)
rate, yield_, number, scatter = Normal(1.0, 0.5), Normal(0.05, 0.05), LogNormal(np.log(10), 1.0), LogNormal(-1.0, 1.0)
log = Log()
parameters = [
    Parameter(lambda m: m.system.alpha, name="hare growth", unit="1/yr", transform=log, prior=rate),
    Parameter(lambda m: m.system.beta, name="predation", unit="1/(yr k)", transform=log, prior=yield_),
    Parameter(lambda m: m.system.gamma, name="lynx death", unit="1/yr", transform=log, prior=rate),
    Parameter(lambda m: m.system.delta, name="lynx yield", unit="1/(yr k)", transform=log, prior=yield_),
    Parameter(lambda m: m.start.prey, name="hares in 1900", unit="k pelts", transform=log, prior=number),
    Parameter(lambda m: m.start.predator, name="lynx in 1900", unit="k pelts", transform=log, prior=number),
    Parameter(lambda m: m.noise.prey, name="scatter of hares", transform=log, prior=scatter),
    Parameter(lambda m: m.noise.predator, name="scatter of lynx", transform=log, prior=scatter),
]
result = fit(guess, residuals, data, parameters=parameters)
print(result.summary(), end="\n\n")

# %% [markdown]
# How well is each known? Every parameter is moved away from its best value while all others follow: the profile.

# %%
profiles = profile(result)
print(profiles.summary(), end="\n\n")

# %% [markdown]
# And the whole posterior, by the no-U-turn sampler that starts where the fit ended.

# %%
posterior = sample(result, num_samples=1000)
print(posterior.summary(), end="\n\n")

# %% [markdown]
# The band: what the fitted parameters, uncertain as they are, leave open about the two curves (95 %).

# %%
ts = np.linspace(1900, 1920, 401)
curves, errors = result.predict(lambda model: jax.tree.map(jnp.log, model.populations(ts)))

plt.rcParams.update({"font.size": 11, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure, axes = plt.subplots(figsize=(8, 4.2), layout="constrained")
looks = {"prey": ("hare", "#0072B2", (1901.15, 75)), "predator": ("lynx", "#D55E00", (1906.0, 45))}
for species, (name, color, place) in looks.items():
    counts, curve, error = (getattr(part, species) for part in (data, curves, errors))
    reach = result.student(0.95) * error
    axes.fill_between(ts, np.exp(curve - reach), np.exp(curve + reach), color=color, alpha=0.18, lw=0)
    axes.plot(ts, np.exp(curve), color=color, lw=2)
    axes.plot(years, counts, "o", color=color, ms=6, mec="white", mew=0.8)
    axes.text(*place, name, color=color, weight="bold", ha="center")
axes.set(xlabel="year", ylabel="pelts [thousands]", xlim=(1899.5, 1920.5), ylim=(0, None), xticks=range(1900, 1921, 4))
axes.set_title("Hudson Bay record (points), Lotka-Volterra fit (lines) with its 95 % band", fontsize=11, loc="left")

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "lynx_hare.png")
for name, panels in {"profiles": result.plot.profiles(profiles), "posterior": result.plot.trace(posterior)}.items():
    panels.flat[0].figure.savefig(folder / f"lynx_hare_{name}.png")
print(f"pictures: {folder / 'lynx_hare.png'}, lynx_hare_profiles.png, lynx_hare_posterior.png")
