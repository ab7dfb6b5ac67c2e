"""The bridge to ASE: its atoms in and out, and any potential as one of its calculators."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import numpy as np

from .._measure import energy, forces, virial
from .._neighbors import neighbor_list
from .._potential import AbstractPotential
from .._space import AbstractSpace, Free, Periodic, Triclinic
from .._system import System
from .._units import METAL, Units


def from_atoms(atoms: Any, elements: Sequence[str], *, units: Units = METAL) -> System:
    """The system of an `ase.Atoms`: positions, cell, periodicity, masses and velocities, converted to `units`.

    - `elements`: chemical symbols in the order of the potential's tables; species k is `elements[k]`.
    - `units`: `REDUCED` takes numbers as they are, and masses as 1 unless the atoms carry masses of their own.

    Atoms under ASE's `FixAtoms` are `fixed`. An array `image`, as `to_atoms` leaves it, is read too. Atoms that are
    periodic along no axis are put in open space. Raises ValueError for elements that are not listed and for other
    constraints, which a `System` cannot hold.
    """
    length, mass, velocity, _ = _scales(units)
    numbers = {symbol: k for k, symbol in enumerate(_symbols(elements))}
    for k, symbol in enumerate(atoms.symbols):
        if symbol not in numbers:
            raise ValueError(f"Atom {k} is {symbol!r}, which is not among the elements {tuple(numbers)}.")
    own_masses = units.length is not None or atoms.has("masses")
    return System(
        atoms.positions * length,
        _space(atoms, length),
        velocity=atoms.get_velocities() * velocity,
        mass=atoms.get_masses() * mass if own_masses else 1.0,
        species=np.array([numbers[symbol] for symbol in atoms.symbols], np.int32),
        image=atoms.arrays.get("image"),
        fixed=_fixed(atoms),
    )


def to_atoms(system: System, elements: Sequence[str], *, units: Units = METAL) -> Any:
    """The system, in `units`, as an `ase.Atoms`; the reverse of `from_atoms`.

    Where atoms have crossed the border of the box, an array `image` says so. Needs ASE (`pip install kinax[md]`).
    """
    length, mass, velocity, _ = _scales(units)
    species, symbols = np.asarray(system.species), _symbols(elements)
    if species.size and species.max() >= len(symbols):
        raise ValueError(f"Species {species.max()} has no element: {symbols} are {len(symbols)}.")
    is_open = not any(system.space.axes)
    atoms = _ase().Atoms(
        [symbols[k] for k in species],
        positions=np.asarray(system.position, float) / length,
        cell=None if is_open else np.asarray(system.space.cell, float) / length,
        pbc=system.space.axes,
        masses=np.asarray(system.mass, float) / mass,
        velocities=np.asarray(system.velocity, float) / velocity,
    )
    image = np.asarray(system.image)
    if image.any():
        atoms.set_array("image", image)
    if system.fixed is not None:
        atoms.set_constraint(_ase().constraints.FixAtoms(mask=np.asarray(system.fixed)))
    return atoms


def calculator(potential: AbstractPotential, elements: Sequence[str], *, units: Units = METAL) -> Any:
    """An ASE calculator of the potential, whose parameters are in `units`: `atoms.calc = calculator(...)`.

    Gives `energy` [eV], `forces` [eV/Å] and, in boxes with three periodic axes, `stress` [eV/Å³]: positive in tension,
    without the kinetic part, in the order xx, yy, zz, yz, xz, xy. Needs ASE (`pip install kinax[md]`).
    """
    base = _ase().calculators.calculator.Calculator
    length, _, _, scale = _scales(units)
    known: dict[Any, Any] = {}

    class PotentialCalculator(base):
        implemented_properties = ["energy", "forces", "stress"]

        def calculate(self, atoms: Any = None, properties: Any = ("energy",), system_changes: Any = ()) -> None:
            base.calculate(self, atoms, properties, system_changes)
            bare = self.atoms.copy()
            del bare.constraints
            system = from_atoms(bare, elements, units=units)
            energy, force, virial = _evaluated(potential, system, known)
            self.results = {"energy": float(energy) / scale, "forces": np.asarray(force, float) * length / scale}
            if all(system.space.axes):
                stress = np.asarray(virial / system.space.volume, float) * length**3 / scale
                self.results["stress"] = stress[[0, 1, 2, 1, 0, 0], [0, 1, 2, 2, 2, 1]]

    _symbols(elements)
    return PotentialCalculator()


def _evaluated(potential: AbstractPotential, system: System, known: dict[Any, Any]) -> Any:
    """Energy, force, virial; the arrays of neighbors keep their sizes, so that not every call is compiled anew."""
    kind = system.position.shape[0], system.space.axes
    if kind in known:
        *values, fault = _at_once(potential, system, known[kind])
        if not bool(fault):
            return values
    known[kind] = neighbor_list(system, float(potential.reach) or 1.0, skin=0.0)
    return _at_once(potential, system, known[kind])[:3]


@eqx.filter_jit
def _at_once(potential, system, neighbors):
    neighbors = neighbors.refresh(system)
    fault = neighbors.watch(system.space, system.position).fault(potential.reach).any
    terms = (f(potential, system, neighbors) for f in (energy, forces, virial))
    return (*terms, fault)


def _space(atoms: Any, length: float) -> AbstractSpace:
    axes = bool(atoms.pbc[0]), bool(atoms.pbc[1]), bool(atoms.pbc[2])
    if not any(axes):
        return Free()
    cell = np.asarray(atoms.cell.complete()) * length
    if np.count_nonzero(cell - np.diag(np.diagonal(cell))) == 0 and (np.diagonal(cell) > 0).all():
        return Periodic(lengths=np.diagonal(cell), axes=axes)
    return Triclinic(cell=cell, axes=axes)


def _fixed(atoms: Any) -> np.ndarray | None:
    if not atoms.constraints:
        return None
    fixed = np.zeros(len(atoms), bool)
    for constraint in atoms.constraints:
        name = type(constraint).__name__
        if name != "FixAtoms":
            raise ValueError(f"The atoms carry the constraint {name}, which would be lost: `del atoms.constraints`.")
        fixed[constraint.index] = True
    return fixed


def _scales(units: Units) -> tuple[float, float, float, float]:
    """ASE's units of length, mass, velocity and energy in these."""
    if not isinstance(units, Units):
        raise ValueError(f"units must be METAL, REAL, NANO, SI or REDUCED, or Units(...), not {units!r}.")
    if units.length is None:
        return 1.0, 1.0, 1.0, 1.0
    length, mass, energy = units.angstrom, units.dalton, units.electronvolt
    return length, mass, float(np.sqrt(energy / mass)), energy


def _symbols(elements: Sequence[str]) -> tuple[str, ...]:
    if isinstance(elements, str):
        raise ValueError(f"elements must be a sequence of chemical symbols, such as ({elements!r},), not {elements!r}.")
    known = _ase().data.atomic_numbers
    for symbol in elements:
        if symbol not in known:
            raise ValueError(f"{symbol!r} is no chemical symbol.")
    if len(set(elements)) < len(elements):
        raise ValueError(f"elements must differ from each other, got {tuple(elements)}.")
    return tuple(elements)


def _ase() -> Any:
    try:
        import ase
        import ase.calculators.calculator
        import ase.constraints
        import ase.data
    except ImportError as error:
        raise ImportError("Exchange with ASE needs ase: pip install kinax[md]") from error
    return ase
