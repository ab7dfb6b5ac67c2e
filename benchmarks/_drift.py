"""How well constant energy is kept: the Lennard-Jones melt by time step, order and width of the numbers.

`python -m benchmarks drift` draws docs/images/drift.png as well.
"""

import pathlib
from typing import Any

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from kinax.md import (
    AbstractDynamics,
    AllPairs,
    draw_velocities,
    fcc,
    Langevin,
    LennardJones,
    OpenMMSwitch,
    System,
    VelocityVerlet,
    Yoshida4,
)
from kinax.solvers import rollout

from ._measure import case

PAIR = LennardJones(cutoff=OpenMMSwitch(radius=2.5, onset=2.0))
COUNT, EVERY = 6000, 30  # steps of each run, and between two looks at the energy
STEPS = {VelocityVerlet: (0.001, 0.002, 0.004, 0.008), Yoshida4: (0.004, 0.008, 0.016)}
IMAGE = pathlib.Path(__file__).parents[1] / "docs" / "images" / "drift.png"
COLORS = {"VelocityVerlet": "#0072B2", "Yoshida4": "#D55E00"}


def melt() -> tuple[System, AllPairs]:
    """256 atoms of a liquid at a density of 0.8442 and a temperature near 1, and their neighbors."""
    system = draw_velocities(fcc(4, (4 / 0.8442) ** (1 / 3)), 1.44, key=jax.random.key(0))
    near = AllPairs.make(system.space, 2.5)
    bath = Langevin(potential=PAIR, kT=1.0, friction=1.0, dt=0.004)
    start = bath.start(system, key=jax.random.key(1), neighbors=near)
    warm = rollout(bath, start, 2000, save_every=2000).state.system.wrapped()
    momentum = warm.momentum / jnp.sum(warm.mass)
    return warm.replace(velocity=warm.velocity - momentum[None, :]), near


def energies(dynamics: AbstractDynamics, system: System, near: AllPairs) -> np.ndarray:
    """Total energy per atom on the way, less that of the start."""
    start = dynamics.start(system, neighbors=near)
    found = rollout(dynamics, start, COUNT, save_every=EVERY, observe=dynamics.conserved).ys
    begin = dynamics.conserved(start)
    return (np.asarray(found, float) - float(begin)) / system.mass.size


def quality(series: np.ndarray, dt: float) -> tuple[float, float]:
    """The spread about the straight line through the energies, and by how much that rises in a unit of time."""
    t = dt * EVERY * np.arange(1, series.size + 1)
    slope, height = np.polyfit(t, series, 1)
    return float(np.std(series - slope * t - height)), abs(float(slope))


def draw(found: dict[tuple[str, str], list[tuple[float, float, float]]]) -> None:
    """Both against the time step."""
    figure, axes = plt.subplots(1, 2, figsize=(9.5, 3.6), layout="constrained")
    for (name, dtype), rows in found.items():
        dt, *columns = np.array(rows).T
        style = {"float64": "-o", "float32": "--s"}[dtype]
        fill = COLORS[name] if dtype == "float64" else "white"
        for panel, column in zip(axes, columns, strict=True):
            panel.loglog(dt, column, style, color=COLORS[name], mfc=fill, ms=5, label=f"{name}, {dtype}")
    for panel, what in zip(axes, ("fluctuation of the energy", "drift of the energy in a unit of time"), strict=True):
        panel.set_title(f"{what} [ε per atom]", loc="left", fontsize=10)
        panel.set_xlabel("time step [τ]")
        panel.spines[["top", "right"]].set_visible(False)
        panel.grid(True, color="#e4e4e4", lw=0.7)
        panel.set_axisbelow(True)
    axes[0].legend(frameon=False, fontsize=9)
    figure.savefig(IMAGE, dpi=120)
    plt.close(figure)


def run() -> list[dict[str, Any]]:
    """All cases: the fluctuation, with the drift beside it."""
    system, near = melt()
    narrow = System(system.position.astype(jnp.float32), system.space, velocity=system.velocity)
    rows, found = [], {}
    for kind, steps in STEPS.items():
        for dtype, start in (("float64", system), ("float32", narrow)):
            series = found.setdefault((kind.__name__, dtype), [])
            for dt in steps:
                dynamics = kind(potential=PAIR, dt=dt)
                spread, drift = quality(energies(dynamics, start, near), dt)
                series.append((dt, spread, drift))
                name = f"{kind.__name__}, {dtype}, dt {dt}"
                rows.append(case(name, "fluctuation per atom", spread, {}, drift_per_unit_of_time=f"{drift:.2g}"))
    draw(found)
    return rows
