"""Trajectory files: what they have in common, and extended XYZ through ASE."""

import abc
import dataclasses
import io
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from .._system import System
from .._units import METAL, Units
from ._ase import to_atoms


class AbstractTrajectoryFile(abc.ABC):
    """A file that grows by frames; whatever happens while it grows, the frames of before stay readable."""

    path: str | os.PathLike[str]

    @abc.abstractmethod
    def create(self, system: System) -> None:
        """Begin a file for systems like this one, without frames."""

    @abc.abstractmethod
    def append(self, ts: np.ndarray, systems: System) -> None:
        """Add frames, a stacked system and its times; OSError if they do not fit, and then none are added."""

    @abc.abstractmethod
    def mark(self) -> int:
        """Where the file ends now, for `back_to`."""

    @abc.abstractmethod
    def back_to(self, mark: int) -> None:
        """Drop the frames added since; ValueError if the file is shorter than that."""


@dataclasses.dataclass(frozen=True)
class ExtXYZ(AbstractTrajectoryFile):
    """Extended XYZ, a text that most programs read: `ase.io.read(path, ":")` gives all frames.

    Lengths in Å, momenta in ASE's units, times in fs, with eight decimals. `elements`: the symbols of the species, and
    `units` those that the simulation computes in; `REDUCED` numbers are written as they are. Needs ASE (`pip install
    kinax[md]`).
    """

    path: str | os.PathLike[str]
    elements: Sequence[str]
    units: Units = METAL

    def create(self, system: System) -> None:
        """An empty file."""
        to_atoms(system, self.elements, units=self.units)  # refuses elements and species before anything is computed
        refuse_existing(self.path)
        pathlib.Path(self.path).touch()

    def append(self, ts: np.ndarray, systems: System) -> None:
        """The text, added in one piece."""
        text = io.StringIO()
        femtosecond = 1.0 if self.units.length is None else self.units.femtosecond
        systems = jax.tree.map(np.asarray, systems)
        for k, t in enumerate(ts):
            atoms = to_atoms(jax.tree.map(lambda x: x[k], systems), self.elements, units=self.units)  # noqa: B023
            atoms.info["time"] = float(t) / femtosecond
            extxyz_writer()(text, [atoms])
        add_bytes(self.path, text.getvalue().encode())

    def mark(self) -> int:
        """The size in bytes."""
        return os.path.getsize(self.path)

    def back_to(self, mark: int) -> None:
        """Cut the text."""
        if os.path.getsize(self.path) < mark:
            raise ValueError(f"{str(self.path)!r} is shorter than when the restart file was written: it was cut.")
        os.truncate(self.path, mark)


def refuse_existing(path: str | os.PathLike[str]) -> None:
    """A trajectory is never overwritten."""
    if os.path.exists(path):
        raise ValueError(f"{str(path)!r} exists: delete it, or give another path.")
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)


def add_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """All of it at the end of a file, or nothing: OSError if the disk is full."""
    size = os.path.getsize(path)
    try:
        with open(path, "ab") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        os.truncate(path, size)
        raise


def extxyz_writer() -> Any:
    """The function of ASE."""
    try:
        import ase.io.extxyz
    except ImportError as error:
        raise ImportError("Extended XYZ needs ase: pip install kinax[md]") from error
    return ase.io.extxyz.write_extxyz
