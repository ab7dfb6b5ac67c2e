# %% [markdown]
# # A neural potential learns silicon from forces
#
# Stillinger and Weber's silicon stands for an expensive calculation here: from 30 of its configurations, hot and cold,
# a network of 529 weights learns energies and forces. What it was not shown is the test: 10 more configurations, the
# vibrations of the perfect crystal, and a run of its own, which must conserve energy.

# %%
import os
import pathlib

import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from kinax.md import (
    band_path,
    BehlerParrinello,
    diamond,
    draw_velocities,
    Langevin,
    METAL,
    neighbor_list,
    phonons,
    StillingerWeber,
    System,
    Triclinic,
    VelocityVerlet,
)
from kinax.solvers import rollout

jax.config.update("jax_enable_x64", True)

# %% [markdown]
# The teacher, 64 atoms at 600 K and at 1500 K, a configuration each tenth of a picosecond. One list of neighbors is
# right for all: in a crystal none leaves its place.

# %%
teacher, edge = StillingerWeber(), 5.431
crystal = diamond(2, edge, mass=28.0855 * METAL.dalton)
lists = neighbor_list(crystal, 4.0, skin=1.0)


def run(kelvin):
    """Configurations at this temperature."""
    keys, kT = jax.random.split(jax.random.key(kelvin)), kelvin * METAL.kelvin
    bath = Langevin(potential=teacher, kT=kT, friction=5 / METAL.picosecond, dt=2 * METAL.femtosecond)
    start = bath.start(draw_velocities(crystal, kT, key=keys[0]), key=keys[1])
    return rollout(bath, start, 1300, save_every=50).ys.position[6:]


@jax.jit
@jax.vmap
def shown(position):
    """What the teacher says about a configuration."""
    system = crystal.replace(position=position)
    return {"position": position, "energy": teacher.total(system, lists), "force": teacher.force(system, lists)}


data = shown(jnp.stack([run(600), run(1500)], axis=1).reshape(-1, 64, 3))
taught, held_out = (jax.tree.map(lambda x, k=k: x[k], data) for k in (slice(30), slice(30, None)))

# %% [markdown]
# The pupil: 14 symmetry functions of what is around an atom, and a network that makes its energy of them. Errors are
# counted in units of 1 meV per atom and 0.1 eV/Å; each step sees 5 configurations.

# %%
systems = jax.vmap(lambda x: crystal.replace(position=x))(taught["position"])
novice = BehlerParrinello(3.9, most=16, key=jax.random.key(0)).standardized(systems, taught["energy"], lists)


@eqx.filter_jit
def errors(net, data):
    """Of the energies [eV] and of the forces [eV/Å]."""

    def of(one):
        system = crystal.replace(position=one["position"])
        return net.total(system, lists) - one["energy"], net.force(system, lists) - one["force"]

    return jax.vmap(of)(data)


def cost(nets, data):
    """What is made small, by the weights of the network alone."""
    energy, force = errors(eqx.tree_at(lambda p: p.nets, novice, nets), data)
    return jnp.sum((energy / 64e-3) ** 2) + jnp.sum((force / 0.1) ** 2)


@eqx.filter_jit
def trained(nets, steps):
    """After so many steps of Adam, the last ones short."""
    optimizer = optax.adam(optax.cosine_decay_schedule(1e-2, steps))
    weights, rest = eqx.partition(nets, eqx.is_inexact_array)

    def step(carried, key):
        weights, state = carried
        some = jax.tree.map(lambda x: x[jax.random.choice(key, 30, (5,), replace=False)], taught)
        slope = jax.grad(lambda w: cost(eqx.combine(w, rest), some))(weights)
        update, state = optimizer.update(slope, state)
        return (optax.apply_updates(weights, update), state), None

    (weights, _), _ = jax.lax.scan(step, (weights, optimizer.init(weights)), jax.random.split(jax.random.key(1), steps))
    return eqx.combine(weights, rest)


pupil = eqx.tree_at(lambda p: p.nets, novice, trained(novice.nets, 600))
wrong, astray = errors(pupil, held_out)
size = jnp.sqrt(jnp.mean(held_out["force"] ** 2))
print(f"energies: {1e3 * jnp.sqrt(jnp.mean(wrong**2)) / 64:.1f} meV per atom off, in configurations held out")
print(f"forces: {jnp.sqrt(jnp.mean(astray**2)):.3f} eV/Å off, of {size:.2f}")

# %% [markdown]
# Vibrations are second derivatives, which it never saw.

# %%
corner = edge / 2 * np.array([[0, 1.0, 1], [1, 0, 1], [1, 1, 0]])
cell = System([[0.0, 0, 0], [edge / 4] * 3], Triclinic(cell=corner), mass=crystal.mass[:2])
bands = {name: phonons(p, cell).bands(band_path(cell)) for name, p in (("teacher", teacher), ("pupil", pupil))}
terahertz = METAL.picosecond / (2 * np.pi)
apart = terahertz * (bands["pupil"].frequencies - bands["teacher"].frequencies)
print(f"vibrations: {np.sqrt(np.mean(apart**2)):.2f} THz off, of {terahertz * bands['teacher'].frequencies.max():.1f}")

# %% [markdown]
# A run of its own, at constant energy.

# %%
newton = VelocityVerlet(potential=pupil, dt=METAL.femtosecond)
warm = draw_velocities(crystal, 600 * METAL.kelvin, key=jax.random.key(2))
observe = lambda state: (newton.conserved(state), state.system.kinetic_energy)
own = rollout(newton, newton.start(warm, neighbors=lists), 1000, save_every=10, observe=observe)
total, kinetic = (1e3 * (x - x[0]) / 64 for x in own.ys)
print(f"its energy, in a picosecond: {np.ptp(total):.3f} meV per atom, while {np.ptp(kinetic):.0f} went to and fro")

# %%
plt.rcParams.update({"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "savefig.dpi": 120})
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained", width_ratios=(1, 2, 1))
left.plot(held_out["force"].ravel(), (held_out["force"] + astray).ravel(), ".", ms=2, color="#D55E00")
left.axline((0, 0), slope=1, color="0.3", lw=0.8)
left.set(xlabel="force, teacher [eV/Å]", ylabel="force, pupil [eV/Å]")
left.set_title("not shown before", fontsize=10, loc="left")
for name, drawn in bands.items():
    drawn.plot(scale=terahertz, unit="THz", name=name, ax=middle)
middle.set_title("vibrations of the crystal", fontsize=10, loc="left")
middle.legend(frameon=False, loc="lower left", bbox_to_anchor=(0.12, 0.02))
right.plot(own.ts / METAL.picosecond, kinetic, color="0.7", label="kinetic")
right.plot(own.ts / METAL.picosecond, total, color="#D55E00", label="total")
right.set(xlabel="time [ps]", ylabel="energy, less the first [meV per atom]")
right.set_title("a run of the pupil's own", fontsize=10, loc="left")
right.legend(frameon=False)

folder = pathlib.Path(os.environ.get("KINAX_OUT", "out"))
folder.mkdir(parents=True, exist_ok=True)
figure.savefig(folder / "neural_silicon.png")
print(f"picture: {folder / 'neural_silicon.png'}")
