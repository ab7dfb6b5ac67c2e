"""Exchange with other programs: atoms, files, pictures."""

from ._ase import calculator as calculator, from_atoms as from_atoms, to_atoms as to_atoms
from ._extxyz import AbstractTrajectoryFile as AbstractTrajectoryFile, ExtXYZ as ExtXYZ
from ._h5md import H5MD as H5MD, read_h5md as read_h5md
from ._record import record as record
from ._restart import read_restart as read_restart, write_restart as write_restart
from ._view import view as view
