"""Results streamed to a directory: readable at any time, and resumed by the next call."""

import dataclasses
import json
import os
import pathlib
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ._family import Family
from ._members import Members

_FORMAT = 1
_PENDING, _OK, _FAILED = 0, 1, 2


@dataclasses.dataclass(frozen=True, repr=False)
class StoredEnsemble:
    """What a store holds, complete or not.

    - `values`: name of the output leaf -> memory-mapped array, first axis the members.
    - `done`, `failed`: bool arrays `(n,)`; rows of `values` that are not done are zero.
    - `failures`: index of a failed member -> why.
    """

    values: dict[str, np.ndarray]
    done: np.ndarray
    failed: np.ndarray
    failures: dict[int, str]

    def __repr__(self) -> str:
        lines = [f"StoredEnsemble: {self.done.sum()} of {len(self.done)} members done, {self.failed.sum()} failed"]
        lines += [f"  {name}: {array.dtype}{list(array.shape)}" for name, array in self.values.items()]
        return "\n".join(lines)


class Store:
    """A directory with one `.npy` file per output leaf, a mask of what is done, and a manifest."""

    def __init__(self, path: str | os.PathLike[str], fn: Callable[..., Any], members: Members, family: Family) -> None:
        self._path = pathlib.Path(path)
        self._manifest = _manifest(fn, members, family)
        if self._path.exists() and (not self._path.is_dir() or any(self._path.iterdir())):
            _check_same(self._path, self._manifest)
        else:
            _create(self._path, self._manifest)
        self._mask = np.load(self._path / "done.npy", mmap_mode="r+")
        self._arrays = [np.load(self._path / leaf["file"], mmap_mode="r+") for leaf in self._manifest["leaves"]]
        self.failures = _read_failures(self._path)
        self.failed = np.asarray(self._mask == _FAILED)
        self.done = np.asarray(self._mask != _PENDING)

    def write(self, indices: np.ndarray, arrays: Sequence[np.ndarray], failures: dict[int, str]) -> None:
        """Write some members: values and reasons first, the mask last, so that what it says is there is there."""
        for kept, new in zip(self._arrays, arrays, strict=True):
            kept[indices] = new if kept.dtype == new.dtype else np.ascontiguousarray(new).view(kept.dtype)
        if failures:
            with open(self._path / "failures.jsonl", "a") as file:
                file.writelines(json.dumps([i, why]) + "\n" for i, why in failures.items())
        self.failures.update(failures)
        self.failed[list(failures)] = True
        self.done[indices] = True
        self._mask[indices] = np.where(self.failed[indices], _FAILED, _OK)

    def finish(self) -> list[np.ndarray]:
        """The stacked outputs as read-only memory maps."""
        self.close()
        return [_open(self._path, leaf) for leaf in self._manifest["leaves"]]

    def close(self) -> None:
        """Bring everything to the disk."""
        for array in [*self._arrays, self._mask]:
            array.flush()


def read_store(path: str | os.PathLike[str]) -> StoredEnsemble:
    """Read what `ensemble(..., store=path)` has written so far, while it runs or after it was interrupted."""
    folder = pathlib.Path(path)
    manifest = _read_manifest(folder)
    mask = np.array(np.load(folder / "done.npy", mmap_mode="r"))  # first: what it says is done has been written
    return StoredEnsemble(
        values={leaf["name"]: _open(folder, leaf) for leaf in manifest["leaves"]},
        done=mask != _PENDING,
        failed=mask == _FAILED,
        failures=_read_failures(folder),
    )


def _manifest(fn: Callable[..., Any], members: Members, family: Family) -> dict[str, Any]:
    leaves = []
    for i, leaf in enumerate(family.outputs.leaves):
        file = f"{i:03d}{re.sub(r'[^A-Za-z0-9_.-]+', '_', leaf.name)}.npy"
        leaves.append({"name": leaf.name, "file": file, "shape": list(leaf.one.shape), "dtype": str(leaf.one.dtype)})
    return {
        "format": _FORMAT,
        "n": members.n,
        "leaves": leaves,
        "inputs": members.fingerprint(),
        "function": family.fingerprint(fn),
    }


def _create(path: pathlib.Path, manifest: dict[str, Any]) -> None:
    path.mkdir(parents=True, exist_ok=True)
    n = manifest["n"]
    for leaf in manifest["leaves"]:
        dtype = np.dtype(leaf["dtype"])
        raw = dtype if dtype.kind in "biufc" else np.dtype(f"u{dtype.itemsize}")  # `.npy` does not know bfloat16
        np.lib.format.open_memmap(path / leaf["file"], mode="w+", dtype=raw, shape=(n, *leaf["shape"]))
    np.lib.format.open_memmap(path / "done.npy", mode="w+", dtype=np.uint8, shape=(n,))
    partial = path / "manifest.json.part"
    partial.write_text(json.dumps(manifest, indent=1))
    os.replace(partial, path / "manifest.json")  # last and at once: a store with a manifest is whole


def _check_same(path: pathlib.Path, wanted: dict[str, Any]) -> None:
    found = _read_manifest(path)
    differences = {
        "n": f"it holds {found['n']} members, this call has {wanted['n']}",
        "inputs": "its inputs had other values, names or dtypes",
        "leaves": f"its outputs are {_listed(found)}, this function returns {_listed(wanted)}",
        "function": "its function computed something else (other formula, constants, parameters or precision)",
    }
    for what, reason in differences.items():
        if found[what] != wanted[what]:
            raise ValueError(
                f"The store {str(path)!r} belongs to another ensemble: {reason}. "
                "Give another directory to `store`, or delete this one."
            )


def _listed(manifest: dict[str, Any]) -> str:
    return ", ".join(f"{leaf['name']}: {leaf['dtype']}{leaf['shape']}" for leaf in manifest["leaves"])


def _read_manifest(path: pathlib.Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / "manifest.json").read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{str(path)!r} is not a store of `ensemble` (no readable manifest.json in it). "
            "Give `store` a new or empty directory."
        ) from error
    if manifest.get("format") != _FORMAT:
        raise ValueError(f"The store {str(path)!r} has format {manifest.get('format')}, this kinax reads {_FORMAT}.")
    return manifest


def _open(path: pathlib.Path, leaf: dict[str, Any]) -> np.ndarray:
    array = np.load(path / leaf["file"], mmap_mode="r")
    return array if str(array.dtype) == leaf["dtype"] else array.view(leaf["dtype"])


def _read_failures(path: pathlib.Path) -> dict[int, str]:
    file = path / "failures.jsonl"
    failures = {}
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            index, why = json.loads(line)
        except json.JSONDecodeError:  # the last line of a process that was killed while writing it
            continue
        failures[int(index)] = why
    return failures
