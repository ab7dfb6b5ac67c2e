"""Checkpoints: arrays and what they belong to, in one file that is replaced at once and never executes code."""

import contextlib
import dataclasses
import io
import json
import os
import pathlib
import signal
import threading
import time
import types
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, TypeVar

import jax
import numpy as np

_FORMAT = "kinax-checkpoint-1"
_SEGMENT_SECONDS = 0.5  # how long nothing is shown, and how late SIGTERM is heard
_State = TypeVar("_State")


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """Where a long computation saves what it needs to go on, and how often.

    - `path`: a file; if it exists and belongs to the same computation, that one goes on from there.
    - `every`: seconds between two saves. The end, an interruption from the keyboard and SIGTERM save too.

    The file is a NumPy archive (`.npz`, with a checksum for each array) that is written aside and then renamed, so at
    any moment there is a whole one. It is read without pickle.
    """

    path: str | os.PathLike[str]
    every: float = 60.0

    def __post_init__(self):
        if not self.every >= 0:
            raise ValueError(f"Checkpoint: every must be a number of seconds, not {self.every}.")


def as_checkpoint(checkpoint: Any) -> Checkpoint | None:
    """A path is a checkpoint with the default interval."""
    if checkpoint is None or isinstance(checkpoint, Checkpoint):
        return checkpoint
    if isinstance(checkpoint, str | os.PathLike):
        return Checkpoint(checkpoint)
    raise TypeError(f"checkpoint must be a path or Checkpoint(path, every=seconds), not {checkpoint!r}.")


class Keeper:
    """Saves and restores the arrays of one computation; without a checkpoint it does nothing.

    `belongs` tells what the arrays belong to, part by part, each with the words for an error.
    """

    def __init__(self, checkpoint: Checkpoint | None, belongs: dict[str, str]):
        self._checkpoint, self._belongs = checkpoint, belongs
        self._saved = time.monotonic()

    @property
    def active(self) -> bool:
        """Whether there is a checkpoint."""
        return self._checkpoint is not None

    def restore(self) -> list[np.ndarray] | None:
        """The arrays saved last, or None if there is no file yet."""
        if self._checkpoint is None or not pathlib.Path(self._checkpoint.path).exists():
            return None
        belongs, arrays = read_arrays(self._checkpoint.path)
        different = [part for part, text in self._belongs.items() if belongs.get(part) != text]
        if different or set(belongs) != set(self._belongs):
            raise ValueError(
                f"The checkpoint {str(self._checkpoint.path)!r} belongs to something else: it differs in "
                f"{', '.join(different) or 'kind'}. Give another path, or delete the file to start anew."
            )
        return arrays

    def save_now_and_then(self, arrays: Sequence[np.ndarray]) -> None:
        """Save, if the interval has passed."""
        if self._checkpoint is not None and time.monotonic() - self._saved >= self._checkpoint.every:
            self.save(arrays)

    def save(self, arrays: Sequence[np.ndarray]) -> None:
        """Replace the file."""
        if self._checkpoint is not None:
            write_arrays(self._checkpoint.path, self._belongs, arrays)
            self._saved = time.monotonic()


def write_arrays(path: str | os.PathLike[str], about: dict[str, Any], arrays: Sequence[np.ndarray]) -> None:
    """Write arrays and a JSON header; the file appears whole or not at all."""
    header = np.frombuffer(json.dumps({"format": _FORMAT, "about": about}).encode(), np.uint8)
    numbered = {f"a{number:04d}": np.asarray(array) for number, array in enumerate(arrays)}
    with written_whole(path) as file:
        np.savez(file, allow_pickle=False, header=header, **numbered)


@contextlib.contextmanager
def written_whole(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write to, beside `path`, whose place it takes at the end: what is there is whole at any moment."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    with open(partial, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def read_arrays(path: str | os.PathLike[str]) -> tuple[dict[str, Any], list[np.ndarray]]:
    """The header and the arrays of a file; ValueError if it is damaged or something else."""
    try:
        content = io.BytesIO(pathlib.Path(path).read_bytes())
        with np.load(content, allow_pickle=False) as file:
            header = json.loads(bytes(file["header"]).decode())
            arrays = [file[name] for name in sorted(set(file.files) - {"header"})]
            if header["format"] != _FORMAT:
                raise ValueError(f"its format is {header['format']!r}, this kinax reads {_FORMAT!r}")
            return header["about"], arrays
    except (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"{str(path)!r} cannot be read as a checkpoint: it is damaged, or something else ({error}). "
            "Give another path, or delete the file to start anew."
        ) from error


class Terminated(SystemExit):
    """Raised after SIGTERM, when everything has been saved."""


@dataclasses.dataclass
class Pace:
    """How many units of work the next segment should have, by how long the last ones took."""

    amount: int = 1

    def learn(self, done: int, seconds: float) -> None:
        """A segment of `done` units has taken so long."""
        self.amount = int(np.clip(done * _SEGMENT_SECONDS / max(seconds, 1e-9), 1, min(8 * max(done, 1), 2**30)))


def in_segments(
    keeper: Keeper,
    state: _State,
    move: Callable[[_State, int], tuple[_State, int]],
    is_done: Callable[[_State], bool],
    pace: Pace,
) -> _State:
    """Move a state on until it is done; save it now and then, at the end, at SIGTERM, and if moving it raises.

    - `move(state, amount)`: the state after about `amount` units of work, and how many it were. The clock decides how
      many are asked for, so the numbers must not depend on that. It leaves the old state alone.
    - `pace`: a new one, or that of work of the same kind.
    """
    with _termination(keeper.active) as asked:
        while not is_done(state) and not asked.is_set():
            keeper.save_now_and_then(jax.tree.leaves(state))
            start = time.perf_counter()
            try:
                state, done = move(state, pace.amount)
            except BaseException:  # an interruption from the keyboard, too
                keeper.save(jax.tree.leaves(state))
                raise
            pace.learn(done, time.perf_counter() - start)
        keeper.save(jax.tree.leaves(state))
    if not is_done(state):
        raise Terminated("Asked to terminate: all is saved in the checkpoint, run the same call again to go on.")
    return state


@contextlib.contextmanager
def _termination(active: bool) -> Iterator[threading.Event]:
    """An event that is set when the process is asked to terminate, so that it can save first."""
    asked = threading.Event()
    if not active or threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def note(number: int, frame: types.FrameType | None) -> None:
        asked.set()

    before = signal.signal(signal.SIGTERM, note)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGTERM, before)
