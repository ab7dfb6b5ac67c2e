# %% [markdown]
# # A pendulum from its trace: length, friction, and where the mass hangs
#
# A rod with a weight at its end, filmed for five seconds; angles are read off to within 3°. How long is it, how much
# does the bearing brake, and how far to the side does the weight sit? The mechanism is built from these three numbers
# inside the fit, so that positions and moments of inertia follow from them. Are the errors honest? A hundred more
# records tell.

# %%
import os
import pathlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from kinax.physics import Body, Cylinder, Hinge, mechanism, Multibody, Passive, Sphere
from kinax.solvers import fit, integrate, Log, Parameter, parameter, Problem
from matplotlib.patches import Ellipse

jax.config.update("jax_enable_x64", True)


class Pendulum(eqx.Module):
    """`length` of the rod and `offset` of the weight to the side [m], `damping` of the bearing [N m s/rad]."""

    length: Any = parameter()
    damping: Any = parameter()
    offset: Any = parameter()

    def mechanism(self):
        middle = jnp.zeros(3).at[2].set(-self.length / 2)
        rod = Cylinder(radius=0.004, half_length=self.length / 2, position=middle).inertia(0.15)
        bearing = Hinge(axis=[0, 1, 0], passive=Passive(damping=self.damping))
        place = jnp.stack([self.offset, 0 * self.offset, -self.length])
        return mechanism(
            Body("rod", joint=bearing, inertia=rod),
            Body("weight", parent="rod", position=place, inertia=Sphere(radius=0.03).inertia(0.4)),
        )

    def angle(self, ts):
        """Of the rod, let go at 60° [°]; downward it would be 0, were it not for the offset."""
        made = Multibody(self.mechanism())
        return jnp.rad2deg(
            integrate(made, made.state(q=[jnp.pi / 3]), ts, rtol=1e-8, atol=1e-8, throw=False).ys.q[:, 0]
        )


# %% [markdown]
# The record: 12 frames a second. It goes on for eleven seconds more, which the fit is not shown.

# %%
truth = Pendulum(length=0.62, damping=0.012, offset=0.03)
ts = np.arange(0.0, 16.0, 1 / 12)
shown = ts < 5
clean, noise = truth.angle(ts), 3.0 * np.random.default_rng(0).standard_normal((101, ts.size))
records = np.asarray(clean) + noise


def residuals(pendulum, record):
    return pendulum.angle(ts[shown]) - record


def problem(record):
    """`record` [°] at the times that are shown."""
    return Problem(
        Pendulum(length=0.55, damping=0.02, offset=0.0),
        residuals,
        record,
        parameters=[
            Parameter(lambda p: p.length, name="length", unit="m", transform=Log()),
            Parameter(lambda p: p.damping, name="damping", unit="N m s/rad", transform=Log()),
            Parameter(lambda p: p.offset, name="offset", unit="m"),
        ],
    )


result = fit(problem(records[0, shown]))
print(result.summary())
print(f"true values: {truth.length} m, {truth.damping} N m s/rad, {truth.offset} m")

# %% [markdown]
# The same fit to a hundred other records of this pendulum: a second fit of a kind compiles nothing. The truth should
# lie within one standard error in about 68 of them, and within the 95 % interval in about 95.

# %%
others = [fit(problem(record), progress=False) for record in records[1:, shown]]
for name, true in zip(result.names, (truth.length, truth.damping, truth.offset), strict=True):
    near = sum(abs(other.values[name] - true) < other.standard_errors[name] for other in others)
    inside = sum(low < true < high for low, high in (other.intervals()[name] for other in others))
    print(f"{name:8} within one standard error: {near} of {len(others)}, within the 95 % interval: {inside}")

# %%
grid = np.linspace(0, 16, 500)
curve, error = result.predict(lambda pendulum: pendulum.angle(grid))
reach = result.student(0.95) * error
plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.7), layout="constrained", width_ratios=(2.2, 1))
blue, red = "#0072B2", "#D55E00"
left.axvspan(0, 5, color="0.94", lw=0)
left.fill_between(grid, curve - reach, curve + reach, color=blue, alpha=0.3, lw=0)
left.plot(grid, curve, color=blue, lw=1.2)
left.plot(ts[shown], records[0, shown], "o", color=red, ms=3.5)
left.plot(ts[~shown], records[0, ~shown], "o", color=red, ms=3, mfc="none", mew=0.7)
left.set(xlabel="time [s]", ylabel="angle [°]", xlim=(0, 16))
left.set_title("fitted to the first five seconds; the rest is predicted, with its 95 % band", fontsize=10, loc="left")
# of the correlated errors of length and offset: two axes, 2.45 standard deviations for 95 % of two numbers
sizes, axes = np.linalg.eigh(1e6 * np.asarray(result.covariance)[::2, ::2])
turn = np.rad2deg(np.arctan2(axes[1, 1], axes[0, 1]))
found = np.array([[1e3 * fitted.values[name] for name in ("length", "offset")] for fitted in (result, *others)])
right.add_patch(Ellipse(tuple(found[0]), *4.9 * np.sqrt(sizes[::-1]), angle=turn, color=blue, alpha=0.2, lw=0))
right.plot(*found[1:].T, ".", color="0.6", ms=4, label="other records")
right.plot(*found[0], "o", color=blue, label="this one, 95 %")
right.plot(1e3 * truth.length, 1e3 * truth.offset, "+", color="black", ms=12, mew=2, label="true")
right.set(xlabel="length [mm]", ylabel="offset [mm]")
right.legend(frameon=False, fontsize=8, loc="upper left")

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "pendulum_trace.png")
print(f"picture: {folder / 'pendulum_trace.png'}")
