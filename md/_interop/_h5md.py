"""Trajectories in HDF5, laid out as H5MD."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._space import AbstractSpace, Free, Triclinic
from .._system import System
from .._units import METAL, Units
from ._extxyz import AbstractTrajectoryFile, add_bytes, refuse_existing

_MARGIN = 2**18  # bytes of bookkeeping beside the frames
_MOVING = {"position": "Angstrom", "velocity": "Angstrom fs-1", "image": None}


@dataclasses.dataclass(frozen=True)
class H5MD(AbstractTrajectoryFile):
    """HDF5 in the layout H5MD: compact, exact to the dtype, quick to write; read by `read_h5md`, MDAnalysis, VMD.

    Holds positions, velocities, images, cells and times, in Å and fs, once masses (Da) and species; numbers of
    `REDUCED` systems as they are, without units. `elements` (optional) names the species. Closed after each segment of
    a run. Needs h5py (`pip install kinax[md]`). Source: P. de Buyl et al., Comput. Phys. Commun. 185, 1546 (2014),
    doi:10.1016/j.cpc.2014.01.018.
    """

    path: str | os.PathLike[str]
    elements: Sequence[str] | None = None
    units: Units = METAL

    def create(self, system: System) -> None:
        """The groups, with no frames."""
        refuse_existing(self.path)
        length, velocity, mass, _ = _scales(self.units)
        n, dtype = system.position.shape[0], system.position.dtype
        named = self.units.length is not None
        with _h5py().File(self.path, "w") as file:
            about = file.create_group("h5md")
            about.attrs["version"] = np.array([1, 1])
            about.create_group("author").attrs["name"] = ""
            about.create_group("creator").attrs.update({"name": "kinax", "version": ""})
            atoms = file.create_group("particles/all")
            for name, shape, kind in (
                ("position", (n, 3), dtype),
                ("velocity", (n, 3), dtype),
                ("image", (n, 3), np.int32),
                ("box/edges", (3, 3), dtype),
            ):
                group = atoms.create_group(name)
                group.create_dataset("value", (0, *shape), kind, maxshape=(None, *shape), chunks=(1, *shape))
                group.create_dataset("step", (0,), np.int64, maxshape=(None,), chunks=(1024,))
                group.create_dataset("time", (0,), np.float64, maxshape=(None,), chunks=(1024,))
                if named:
                    unit = _MOVING.get(name, "Angstrom")
                    group["time"].attrs["unit"] = "fs"
                    group["value"].attrs.update({} if unit is None else {"unit": unit})
            atoms["mass"] = np.asarray(system.mass) / mass
            atoms["species"] = np.asarray(system.species)
            atoms["mass"].attrs.update({"unit": "u"} if named else {})
            atoms["box"].attrs["dimension"] = 3
            atoms["box"].attrs["boundary"] = ["periodic" if axis else "none" for axis in system.space.axes]
            if self.elements is not None:
                atoms["species"].attrs["elements"] = list(self.elements)

    def append(self, ts: np.ndarray, systems: System) -> None:
        """Rows of the datasets, into space that is taken from the disk before."""
        length, velocity, _, time = _scales(self.units)
        cell = np.asarray(jax.vmap(lambda s: s.space.cell)(systems))
        rows = {
            "position": np.asarray(systems.position) / systems.position.dtype.type(length),
            "velocity": np.asarray(systems.velocity) / systems.position.dtype.type(velocity),
            "image": np.asarray(systems.image),
            "box/edges": cell / cell.dtype.type(length),
        }
        reserve(self.path, sum(x.nbytes for x in rows.values()) + _MARGIN)
        with _opened(self.path, "r+") as file:
            first = _count(file)
            for name, values in rows.items():
                group = file["particles/all"][name]
                for part, added in (
                    ("value", values),
                    ("time", np.asarray(ts, float) / time),
                    ("step", np.arange(first, first + len(ts))),
                ):
                    group[part].resize(first + len(ts), axis=0)
                    group[part][first:] = added

    def mark(self) -> int:
        """The number of frames."""
        with _opened(self.path, "r") as file:
            return _count(file)

    def back_to(self, mark: int) -> None:
        """Shorter datasets."""
        with _opened(self.path, "r+") as file:
            if _count(file) < mark:
                raise ValueError(f"{str(self.path)!r} has fewer frames than when the restart file was written.")
            try:
                for name in (*_MOVING, "box/edges"):
                    for part in ("value", "time", "step"):
                        file["particles/all"][name][part].resize(mark, axis=0)
            except RuntimeError as error:
                raise ValueError(
                    f"{str(self.path)!r} was hit in the middle of writing: its frames can be read, but none added. Go "
                    "on from the restart file, by `read_restart`, into another file."
                ) from error


def read_h5md(path: str | os.PathLike[str], *, units: Units = METAL) -> tuple[np.ndarray, System]:
    """The times and the stacked systems of a file that `H5MD` has written, in `units`, as `solution.ts, solution.ys`.

    Raises ValueError if the file is damaged, has no frames, or holds numbers without units where `units` has some (or
    the reverse).
    """
    with _opened(path, "r") as file:
        try:
            atoms = file["particles/all"]
            count, ts, rows = _whole_rows(file)
            mass, species = atoms["mass"][()], atoms["species"][()]
            has_units = "unit" in atoms["position"]["value"].attrs
            axes = tuple(str(b) == "periodic" for b in atoms["box"].attrs["boundary"])
        except (KeyError, OSError) as error:
            raise ValueError(f"{str(path)!r} holds no trajectory as H5MD(...) writes it ({error}).") from error
    if count == 0:
        raise ValueError(f"{str(path)!r} holds no frames.")
    if has_units != (units.length is not None):
        told = (
            "is in Å and fs: read it with METAL, REAL, NANO or SI" if has_units else "has no units: read it as REDUCED"
        )
        raise ValueError(f"{str(path)!r} {told}, not as {units.name}.")
    length, velocity, dalton, time = _scales(units)
    dtype = rows["position"].dtype.type

    def system(position, velocity, image, cell):
        return System(position, _space(cell, axes), velocity=velocity, mass=mass * dalton, species=species, image=image)

    moving = rows["position"] * dtype(length), rows["velocity"] * dtype(velocity), rows["image"]
    return ts * time, jax.vmap(system)(*map(jnp.asarray, (*moving, rows["box/edges"] * dtype(length))))


def reserve(path: str | os.PathLike[str], amount: int) -> None:
    """Take so many bytes from the disk for the file, so that what is written into them cannot fail halfway."""
    add_bytes(path, bytes(amount))


def _space(cell: Any, axes: Any) -> AbstractSpace:
    return Triclinic(cell=cell, axes=axes) if any(axes) else Free()


def _scales(units: Units) -> tuple[float, float, float, float]:
    """1 Å, 1 Å/fs, 1 Da and 1 fs in these units."""
    if units.length is None:
        return 1.0, 1.0, 1.0, 1.0
    return units.angstrom, units.angstrom / units.femtosecond, units.dalton, units.femtosecond


def _count(file: Any) -> int:
    """The number of frames that are whole."""
    return min(len(file["particles/all"][name]["value"]) for name in (*_MOVING, "box/edges"))


def _whole_rows(file: Any) -> tuple[int, np.ndarray, dict[str, np.ndarray]]:
    """The frames, without the last ones where a kill came between their rows and HDF5's record of them."""
    atoms, count = file["particles/all"], _count(file)
    while True:
        try:
            rows = {name: atoms[name]["value"][:count] for name in (*_MOVING, "box/edges")}
            return count, atoms["position"]["time"][:count], rows
        except OSError:
            if count == 0:
                raise
            count -= 1


def _opened(path: str | os.PathLike[str], mode: str) -> Any:
    try:
        return _h5py().File(path, mode)
    except OSError as error:
        raise ValueError(f"{str(path)!r} cannot be read as HDF5: it is missing, damaged or cut ({error}).") from error


def _h5py() -> Any:
    try:
        import h5py
    except ImportError as error:
        raise ImportError("HDF5 needs h5py: pip install kinax[md]") from error
    return h5py
