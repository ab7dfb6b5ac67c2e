# %% [markdown]
# # A dose every how many hours? From eleven blood samples to a regimen
#
# Theophylline opens the airways between 10 and 20 mg/L of blood; below it does little, above it harms. One patient, one
# dose by mouth, eleven samples in a day: how fast is it absorbed, how fast eliminated, in what volume? Then what
# matters: which dose, how often, keeps this patient inside the window? Doses are jumps of the state, and each peak is
# an event that is found; the derivatives of peaks and troughs go through all of them, also by the doses' interval.

# %%
import os
import pathlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from kinax.solvers import Crossing, fit, hybrid, Log, Parameter, parameter, Problem, Schedule

jax.config.update("jax_enable_x64", True)


class Drug(eqx.Module):
    """Amounts in the gut and in the blood [mg per kg of body]; the last peak and trough of the blood."""

    gut: Any = parameter(default=0.0)
    blood: Any = parameter(default=0.0)
    peak: Any = parameter(default=0.0)
    trough: Any = parameter(default=0.0)


class Patient(eqx.Module):
    """First-order `absorption` and `elimination` [1/h] and the `volume` of distribution [L per kg]."""

    absorption: Any = parameter()
    elimination: Any = parameter()
    volume: Any = parameter()

    def __call__(self, t, y, args):
        taken = self.absorption * y.gut
        return Drug(gut=-taken, blood=taken - self.elimination * y.blood)

    def take(self, dose, times, ts):
        """A run with a `dose` [mg/kg] at each of `times` [h], saved at `ts`."""
        take = lambda t, y, args: Drug(y.gut + dose, y.blood, y.peak, y.blood)
        note = lambda t, y, args: Drug(y.gut, y.blood, y.blood, y.trough)
        rising = lambda t, y, args: self(t, y, args).blood
        doses, peaks = Schedule(times=times, reset=take), Crossing(guard=rising, reset=note, direction=False)
        return hybrid(self, Drug(), ts, transitions=[doses, peaks], max_events=24, rtol=1e-8, atol=1e-8, throw=False)

    def concentration(self, dose, times, ts):
        """In the blood [mg/L]."""
        return self.take(dose, times, ts).ys.blood / self.volume

    def extremes(self, regimen):
        """The last peak and trough [mg/L] of ten doses."""
        dose, interval = regimen
        end = self.take(dose, interval * jnp.arange(10.0), [0.0, 10 * interval]).state.y
        return jnp.stack([end.peak, end.trough]) / self.volume


# %% [markdown]
# Subject 1 of twelve, 4.02 mg/kg at time zero; hours and mg/L. Source: a study by R. A. Upton, in A. J. Boeckmann,
# L. B. Sheiner and S. L. Beal, NONMEM Users Guide, part V (1994), as in R's `datasets::Theoph`.

# %%
hours = np.array([0.0, 0.25, 0.57, 1.12, 2.02, 3.82, 5.10, 7.03, 9.05, 12.12, 24.37])
measured = np.array([0.74, 2.84, 6.57, 10.50, 9.66, 8.58, 8.36, 7.47, 6.89, 5.94, 3.28])
dose = 4.02


def residuals(patient, measured):
    return patient.concentration(dose, jnp.zeros(1), hours) - measured


parameters = [
    Parameter(lambda p: p.absorption, name="absorption", unit="1/h", transform=Log()),
    Parameter(lambda p: p.elimination, name="elimination", unit="1/h", transform=Log()),
    Parameter(lambda p: p.volume, name="volume", unit="L/kg", transform=Log()),
]
guess = Patient(absorption=1.0, elimination=0.1, volume=0.5)
result = fit(Problem(guess, residuals, measured, parameters=parameters))
print(result.summary())

# %% [markdown]
# The same dose every 12 hours, and how the last peak and trough answer to a larger dose and to a longer interval. Four
# derivatives, then a Newton iteration with them: from which regimen do peaks reach 19 mg/L and troughs 11?

# %%
patient = result.model
extremes = jax.jit(lambda regimen: (patient.extremes(regimen), jax.jacfwd(patient.extremes)(regimen)))
regimen = jnp.array([dose, 12.0])
(peak, trough), slopes = extremes(regimen)
print(f"\n{dose} mg/kg every 12 h: between {trough:.1f} and {peak:.1f} mg/L")
print(f"peak:   {slopes[0, 0]:+.2f} mg/L for each mg/kg more, {slopes[0, 1]:+.2f} mg/L for each hour more")
print(f"trough: {slopes[1, 0]:+.2f} mg/L for each mg/kg more, {slopes[1, 1]:+.2f} mg/L for each hour more")
for _ in range(6):
    found, slopes = extremes(regimen)
    regimen = regimen - jnp.linalg.solve(slopes, found - jnp.array([19.0, 11.0]))
print(f"from 11 to 19 mg/L: {regimen[0]:.2f} mg/kg every {regimen[1]:.1f} h")

# %%
plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.7), layout="constrained", width_ratios=(1, 1.8))
blue, red = "#0072B2", "#D55E00"
single, repeated = np.linspace(0, 25, 200), np.linspace(0, 96, 500)
chosen, interval = regimen
for axes, grid, times, amount in (
    (left, single, jnp.zeros(1), dose),
    (right, repeated, interval * jnp.arange(10.0), chosen),
):
    curve, error = result.predict(lambda p, grid=grid, times=times, amount=amount: p.concentration(amount, times, grid))
    reach = result.student(0.95) * error
    axes.fill_between(grid, curve - reach, curve + reach, color=blue, alpha=0.2, lw=0)
    axes.plot(grid, curve, color=blue, lw=1.8)
    axes.set(xlabel="time [h]", xlim=(0, grid[-1]), ylim=(0, None))
left.plot(hours, measured, "o", color=red, mec="white", mew=0.8)
left.set(ylabel="theophylline [mg/L]")
left.set_title("one dose: eleven samples and the fit", fontsize=10, loc="left")
right.axhspan(10, 20, color="#009E73", alpha=0.12, lw=0)
right.set_title(f"{chosen:.2f} mg/kg every {interval:.1f} h, with its 95 % band", fontsize=10, loc="left")

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "theophylline.png")
print(f"picture: {folder / 'theophylline.png'}")
