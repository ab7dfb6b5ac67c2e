"""Long runs whose trajectory goes to a file while they run."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ...solvers import rollout
from ...solvers._progress import steps_bar
from .._dynamics import AbstractDynamics, Dynamics
from ._extxyz import AbstractTrajectoryFile
from ._restart import read_state, write_state

_SEGMENT, _BYTES = 1000, 2**26  # steps, and what frames may take of the memory


def record(
    dynamics: AbstractDynamics,
    state: Dynamics,
    n: int,
    file: AbstractTrajectoryFile,
    *,
    save_every: int,
    segment: int | None = None,
    restart: str | os.PathLike[str] | None = None,
    progress: bool = False,
) -> Dynamics:
    """Run `n` steps and append every `save_every`-th configuration to `file`; returns the last state.

    Runs in segments of `segment` steps (by default about 1000). While one runs, the frames of the one before are
    written. A run that is killed, fails or meets a full disk leaves all frames up to a segment's end readable.

    - `file`: `ExtXYZ(path, elements)` or `H5MD(path)`; it must not exist yet.
    - `restart`: a path for the state after each segment. If it exists, the same call goes on from there: frames written
      after it are dropped, and what follows has the same bits as without a stop.
    - `progress`: a bar, which moves on after each segment.

    Raises what `rollout` raises, ValueError for files that exist or do not belong together, and OSError with the number
    of whole frames if the disk is full.
    """
    if save_every < 1 or n < 1 or n % save_every:
        raise ValueError(f"save_every = {save_every} must divide n = {n}, both at least 1.")
    segment = _segment(state, n, save_every) if segment is None else segment
    if segment < 1 or segment % save_every:
        raise ValueError(f"segment = {segment} must be a multiple of save_every = {save_every}.")
    plan = {"n": n, "save_every": save_every, "segment": segment}
    state, done = _begin(state, file, restart, plan)
    dt, written = float(dynamics.dt), None
    with ThreadPoolExecutor(max_workers=1) as writer, steps_bar(n, done=done, show=progress) as bar:
        while done < n:
            steps = min(segment, n - done)
            solution = rollout(dynamics, state, steps, save_every=save_every)
            if written is not None:
                written.result()
            ts = dt * np.arange(done + save_every, done + steps + 1, save_every)
            done, state = done + steps, solution.state
            bar.update(steps)
            written = writer.submit(_keep, file, restart, {**plan, "done": done}, (ts, solution.ys, state))
        if written is not None:
            written.result()
    return state


def _begin(state: Dynamics, file: AbstractTrajectoryFile, restart: Any, plan: dict[str, int]) -> tuple[Dynamics, int]:
    """Where to go on, and how many steps are done."""
    if restart is None or not os.path.exists(restart):
        file.create(state.system)
        return state, 0
    state, notes = read_state(restart, state)
    if {name: notes.get(name) for name in plan} != plan:
        raise ValueError(f"{str(restart)!r} belongs to another call: it was made with {notes}, this one is {plan}.")
    file.back_to(notes["mark"])
    return state, notes["done"]


def _keep(
    file: AbstractTrajectoryFile, restart: Any, notes: dict[str, int], segment: tuple[Any, Any, Dynamics]
) -> None:
    """Write the frames of a segment, then its last state."""
    ts, systems, state = segment
    try:
        file.append(ts, systems)
        if restart is not None:
            write_state(restart, state, {**notes, "mark": file.mark()})
    except OSError as error:
        words = f"{error.strerror}; the frames up to step {notes['done'] - len(ts) * notes['save_every']} are whole"
        remedy = ": make room and run the same call again" if restart is not None else ""
        raise OSError(error.errno, words + remedy, str(file.path)) from error


def _segment(state: Dynamics, n: int, save_every: int) -> int:
    """About a thousand steps, whole saves; fewer if frames are large; equal parts of the run if that can be."""
    frame = sum(x.nbytes for x in (state.system.position, state.system.velocity, state.system.image))
    most = max(1, min(_SEGMENT // save_every, _BYTES // max(1, frame), n // save_every))
    saves = n // save_every
    return save_every * next((k for k in range(most, (most + 1) // 2, -1) if saves % k == 0), most)
