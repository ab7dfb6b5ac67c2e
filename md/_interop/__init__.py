"""Exchange with other programs: atoms, files, pictures."""

from ._ase import calculator as calculator, from_atoms as from_atoms, to_atoms as to_atoms
