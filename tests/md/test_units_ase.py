"""Units, atoms in and out of ASE, and potentials as its calculators, against its own."""

from typing import Any

import ase
import ase.build
import ase.calculators.lj
import ase.constraints
import ase.units
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.constants
from ase.calculators.calculator import PropertyNotImplementedError
from kinax.md import (
    calculator,
    draw_velocities,
    External,
    fcc,
    Free,
    from_atoms,
    LennardJones,
    METAL,
    NANO,
    Periodic,
    pressure,
    REAL,
    REDUCED,
    Shifted,
    SI,
    System,
    to_atoms,
    Triclinic,
    Units,
    view,
)


def test_units_are_those_that_others_use():
    """ASE's constants are those of CODATA 2014: kelvins differ in the seventh digit."""
    for name, theirs in {
        "kelvin": ase.units.kB,
        "femtosecond": ase.units.fs,
        "bar": ase.units.bar,
        "gigapascal": ase.units.GPa,
        "kcal_per_mol": ase.units.kcal / ase.units.mol,
        "kJ_per_mol": ase.units.kJ / ase.units.mol,
        "nanometer": ase.units.nm,
    }.items():
        np.testing.assert_allclose(getattr(METAL, name), theirs, rtol=5e-7, err_msg=name)
    np.testing.assert_allclose(REAL.time, 48.88821e-15, rtol=1e-6)  # as in LAMMPS and CHARMM
    np.testing.assert_allclose(NANO.picosecond, 1, rtol=1e-8)
    np.testing.assert_allclose((REAL.coulomb, NANO.coulomb), (332.06371, 138.93546), rtol=1e-7)
    np.testing.assert_allclose((SI.electronvolt, SI.time, SI.dalton), (1.602176634e-19, 1, 1.66053907e-27), rtol=1e-8)
    argon = Units("argon", length=3.405e-10, mass=39.948 * scipy.constants.atomic_mass, energy=119.8 * SI.kelvin)
    np.testing.assert_allclose(120 * argon.kelvin, 120 / 119.8)
    np.testing.assert_allclose(argon.time, 2.156e-12, rtol=1e-3)  # the usual 2.16 ps
    with pytest.raises(ValueError, match="reduced units have no scale of energy"):
        _ = REDUCED.kelvin
    with pytest.raises(ValueError, match="length must be positive"):
        Units("none", length=0.0, mass=1.0, energy=1.0)


@pytest.mark.parametrize("units", [METAL, NANO, REDUCED], ids=lambda u: u.name)
def test_atoms_go_to_ase_and_come_back(units):
    tilted = Triclinic(cell=[[5.0, 0, 0], [1.0, 6, 0], [0.5, -1, 7]], axes=(True, True, False))
    rng = np.random.default_rng(0)
    for space in (Free(), Periodic(lengths=[5.0, 6.0, 7.0]), tilted):
        system = System(
            rng.uniform(0, 9, (6, 3)),
            space,
            velocity=rng.normal(size=(6, 3)) * (np.arange(6) != 3)[:, None],
            mass=[28.0, 16, 16, 1, 1, 2],
            species=[1, 0, 0, 2, 2, 2],
            fixed=np.arange(6) == 3 if any(space.axes) else None,
        ).wrapped()
        atoms = to_atoms(system, ("O", "Si", "H"), units=units)
        assert str(atoms.symbols) == "SiO2H3" and tuple(atoms.pbc) == space.axes
        back = from_atoms(atoms, ("O", "Si", "H"), units=units)
        for a, b in zip(jax.tree.leaves(system), jax.tree.leaves(back), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-13, atol=1e-13)
        if units.length is not None:
            kinetic = float(system.kinetic_energy) / units.electronvolt
            np.testing.assert_allclose(atoms.get_kinetic_energy(), kinetic, rtol=1e-12)
            np.testing.assert_allclose(atoms.positions[0], system.position[0] / units.angstrom)


def test_calculator_agrees_with_that_of_ase():
    """Energy, forces, stress and pressure of a strained, rattled crystal, and where atoms and the cell change."""
    atoms: Any = ase.build.bulk("Ar", "fcc", a=5.26).repeat(2)
    atoms.set_cell(atoms.cell @ (np.eye(3) + [[0.02, 0.03, 0], [0, -0.01, 0.02], [0.01, 0, 0.0]]), scale_atoms=True)
    epsilon, radius = 0.0103, 4.5
    pair = LennardJones(
        sigma=3.4 * NANO.angstrom,
        epsilon=epsilon * NANO.electronvolt,
        cutoff=Shifted(radius=radius * NANO.angstrom),
    )
    atoms.calc = calculator(pair, ("Ar",), units=NANO)
    peer: Any = ase.calculators.lj.LennardJones(sigma=3.4, epsilon=epsilon, rc=radius)
    for scale in (1.0, 0.8):
        atoms.set_cell(atoms.cell * scale, scale_atoms=True)
        atoms.rattle(0.1, seed=1)
        np.testing.assert_allclose(atoms.get_potential_energy(), peer.get_potential_energy(atoms), rtol=1e-9)
        np.testing.assert_allclose(atoms.get_forces(), peer.get_forces(atoms), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(atoms.get_stress(), peer.get_stress(atoms), rtol=1e-9, atol=1e-12)
    own = pressure(pair, from_atoms(atoms, ("Ar",), units=NANO)) / NANO.gigapascal
    np.testing.assert_allclose(-np.mean(atoms.get_stress()[:3]) / ase.units.GPa, own, rtol=1e-7)
    slab = atoms[:5].copy()
    slab.pbc = (True, True, False)
    slab.set_constraint(ase.constraints.FixAtoms([0]))
    slab.calc = calculator(External(lambda x: jnp.sum(x**2)), ("Ar",), units=REDUCED)
    np.testing.assert_allclose(slab.get_potential_energy(), np.sum(slab.positions**2))
    assert (slab.get_forces()[0] == 0).all() and (slab.get_forces()[1] != 0).all()
    with pytest.raises(PropertyNotImplementedError):
        slab.get_stress()


def test_views_hold_atoms_frames_and_the_box():
    crystal = fcc(2, 1.5)
    picture = view(crystal, ("Ar",), units=REDUCED).write_html()
    assert picture.count("Ar ") == 32 and picture.count("addLine") == 12 and "addModelsAsFrames" not in picture
    assert f"{3.4 * 2.25:.8f}" in picture  # the farthest atom, in Å
    film = view(jax.tree.map(lambda x: jnp.stack([x] * 3), crystal), ("Ar",), units=NANO).write_html()
    assert film.count("Ar ") == 96 and "animate" in film and f"{22.5:.8f}" in film
    cloud = view(System(np.eye(3), Free()), ("Kr",)).write_html()
    assert cloud.count("Kr ") == 3 and "addLine" not in cloud


@pytest.mark.slow
def test_calculator_with_a_list_in_a_cell_below_the_cutoff():
    """Few atoms that do not fill the cell: columns of cells that follow the atoms must not become too narrow."""
    atoms: Any = ase.build.bulk("Ar", "fcc", a=5.26).repeat((2, 3, 3))
    atoms.set_cell(atoms.cell @ (np.eye(3) + [[0.02, 0.03, 0], [0, -0.01, 0.02], [0.01, 0, 0.0]]), scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    atoms.set_cell(atoms.cell * 0.7, scale_atoms=True)
    atoms.rattle(0.1, seed=1)
    pair = LennardJones(sigma=3.4, epsilon=0.0103, cutoff=Shifted(radius=6.0))
    atoms.calc = calculator(pair, ("Ar",))
    peer: Any = ase.calculators.lj.LennardJones(sigma=3.4, epsilon=0.0103, rc=6.0)
    np.testing.assert_allclose(atoms.get_potential_energy(), peer.get_potential_energy(atoms), rtol=1e-10)


def test_what_would_be_misread_is_refused():
    salt: Any = ase.build.bulk("NaCl", "rocksalt", a=5.6)
    system = draw_velocities(fcc(1, 1.7, species=1), 1.0, key=jax.random.key(0))
    mirrored = salt.copy()
    mirrored.set_cell(salt.cell[[1, 0, 2]])
    flat = salt.copy()
    flat.set_cell([[1, 0, 0], [2, 0, 0], [0, 0, 1]])
    fixed = salt.copy()
    fixed.set_constraint(ase.constraints.FixedPlane([0], (1, 0, 0)))
    for make, words in [
        (lambda: from_atoms(salt, ("Na",)), "Atom 1 is 'Cl', which is not among"),
        (lambda: from_atoms(salt, "NaCl"), "sequence of chemical symbols"),
        (lambda: from_atoms(salt, ("Na", "Xy")), "'Xy' is no chemical symbol"),
        (lambda: from_atoms(salt, ("Na", "Na")), "must differ"),
        (lambda: from_atoms(fixed, ("Na", "Cl")), "FixedPlane"),
        (lambda: from_atoms(mirrored, ("Na", "Cl")), "left-handed"),
        (lambda: from_atoms(flat, ("Na", "Cl")), "degenerate"),
        (lambda: to_atoms(system, ("Ar",)), "Species 1 has no element"),
    ]:
        with pytest.raises(ValueError, match=words):
            make()
