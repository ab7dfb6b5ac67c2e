"""Trajectory and restart files: what is in them, and what is left after a kill, a failure, a full disk."""

import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from typing import Any

import ase.io
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.md import (
    AbstractTrajectoryFile,
    draw_velocities,
    External,
    ExtXYZ,
    fcc,
    from_atoms,
    H5MD,
    Langevin,
    LennardJones,
    METAL,
    NANO,
    OpenMMSwitch,
    read_h5md,
    read_restart,
    record,
    REDUCED,
    SI,
    write_restart,
)
from kinax.solvers import rollout

PAIR = LennardJones(cutoff=OpenMMSwitch(radius=2.0, onset=1.5))
BATH = Langevin(potential=PAIR, kT=1.0, friction=1.0, dt=0.004)
QUICK = Langevin(potential=External(lambda x: jnp.sum(jnp.sin(x))), kT=1.0, friction=1.0, dt=0.004)  # to compile


def liquid(cells=2):
    return draw_velocities(fcc(cells, 1.7, mass=2.0), 1.0, key=jax.random.key(0))


def same(a, b):
    """All bits, of random keys too."""
    plain = lambda x: np.asarray(jax.random.key_data(x) if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else x)
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(plain(x), plain(y))


class Full(AbstractTrajectoryFile):
    """A file on a disk that is full at the third segment, once."""

    def __init__(self, inner):
        self.inner, self.path, self.appended = inner, inner.path, 0

    def create(self, system):
        self.inner.create(system)

    def append(self, ts, systems):
        self.appended += 1
        if self.appended == 3:
            raise OSError(28, "No space left on device")
        self.inner.append(ts, systems)

    def mark(self):
        return self.inner.mark()

    def back_to(self, mark):
        self.inner.back_to(mark)


@pytest.mark.parametrize("kind", ["xyz", "h5"])
def test_a_run_goes_to_a_file_and_on_after_a_stop_to_the_bit(kind, tmp_path, capsys):
    open_file = lambda name, units=METAL: (
        ExtXYZ(tmp_path / f"{name}.xyz", ("Ar",), units)
        if kind == "xyz"
        else H5MD(tmp_path / f"{name}.h5", ("Ar",), units)
    )
    start = QUICK.start(liquid(), key=jax.random.key(1))
    how: dict[str, Any] = {"save_every": 10, "segment": 20}
    whole, last = open_file("whole"), record(QUICK, start, 80, open_file("whole"), **how)
    first = rollout(QUICK, start, 20, save_every=10)
    second = rollout(QUICK, first.state, 20, save_every=10)
    if kind == "xyz":
        frames: Any = ase.io.read(str(whole.path), ":")
        assert len(frames) == 8
        back = from_atoms(frames[3], ("Ar",))
        np.testing.assert_allclose(back.unwrapped, jax.tree.map(lambda x: x[1], second.ys).unwrapped, atol=1e-7)
        np.testing.assert_allclose(back.velocity, second.ys.velocity[1], atol=1e-7)
        np.testing.assert_allclose(frames[3].info["time"] * METAL.femtosecond, 0.16)
    else:
        ts, systems = read_h5md(whole.path)
        np.testing.assert_allclose(ts, 0.04 * np.arange(1, 9))
        for name in ("position", "velocity", "image", "mass", "species"):
            theirs = np.concatenate([getattr(first.ys, name), getattr(second.ys, name)])
            np.testing.assert_allclose(getattr(systems, name)[:4], theirs, rtol=1e-13, atol=1e-13)
        np.testing.assert_allclose(systems.space.cell[0], 3.4 * np.eye(3), rtol=1e-13)
        np.testing.assert_allclose(read_h5md(whole.path, units=NANO)[1].position, 0.1 * systems.position, rtol=1e-13)
        with pytest.raises(ValueError, match="is in Å and fs"):
            read_h5md(whole.path, units=REDUCED)
    stopped, restart = Full(open_file("stopped")), tmp_path / "restart.npz"
    with pytest.raises(OSError, match="No space left on device; the frames up to step 40 are whole: make room"):
        record(QUICK, start, 80, stopped, restart=restart, **how)
    stopped.inner.append(np.ones(2), second.ys)  # what a killed run may have added after the restart file
    assert capsys.readouterr().err == ""
    same(record(QUICK, start, 80, stopped, restart=restart, progress=True, **how), last)
    bar = capsys.readouterr().err
    assert "40.0/80.0" in bar and "80.0/80.0" in bar and " 0.00/80.0" not in bar
    same(record(QUICK, start, 80, stopped, restart=restart, **how), last)  # nothing is left to do
    if kind == "xyz":
        assert (tmp_path / "stopped.xyz").read_bytes() == (tmp_path / "whole.xyz").read_bytes()
    else:
        same(read_h5md(stopped.path), read_h5md(whole.path))
    for change, words in [
        (lambda: record(QUICK, start, 80, whole, **how), "exists: delete it"),
        (lambda: record(QUICK, start, 90, stopped, restart=restart, **how), "belongs to another call"),
        (lambda: record(QUICK, start, 85, whole, **how), "must divide"),
        (lambda: record(QUICK, start, 80, whole, save_every=10, segment=15), "multiple of save_every"),
        (lambda: open_file("whole").back_to(10**9), "fewer frames|shorter"),
    ]:
        with pytest.raises(ValueError, match=words):
            change()


@pytest.mark.parametrize("kind", ["xyz", "h5"])
def test_a_full_disk_leaves_what_was_there(kind, tmp_path):
    """A limit on the size of files stands for the disk."""
    file = (ExtXYZ if kind == "xyz" else H5MD)(tmp_path / "run", ("Ar",), REDUCED)
    systems, ts = jax.tree.map(lambda x: np.stack([x] * 5), liquid()), np.arange(5.0)
    file.create(liquid())
    file.append(ts, systems)
    state = QUICK.start(liquid(), key=jax.random.key(0))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (os.path.getsize(file.path) + 5000, before[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            file.append(ts, systems)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        with pytest.raises(OSError):
            write_restart(tmp_path / "restart", state)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "restart").exists()
    read = lambda: len(
        ase.io.read(str(file.path), ":", format="extxyz") if kind == "xyz" else read_h5md(file.path, units=REDUCED)[0]
    )
    assert read() == 5
    file.append(ts, systems)
    assert read() == 10


def test_damaged_and_foreign_files_are_refused(tmp_path):
    start = QUICK.start(liquid(), key=jax.random.key(1))
    file, path = H5MD(tmp_path / "run.h5", units=REDUCED), tmp_path / "restart"
    file.create(liquid())
    with pytest.raises(ValueError, match="no frames"):
        read_h5md(file.path, units=REDUCED)
    file.append(np.arange(9.0), jax.tree.map(lambda x: np.stack([x] * 9), liquid()))
    with pytest.raises(ValueError, match="has no units: read it as REDUCED, not as SI"):
        read_h5md(file.path, units=SI)
    content = (tmp_path / "run.h5").read_bytes()
    (tmp_path / "run.h5").write_bytes(content[: len(content) // 2])
    (tmp_path / "other.h5").write_bytes(b"no such thing")
    for name in ("run.h5", "other.h5", "missing.h5"):
        with pytest.raises(ValueError, match="missing, damaged or cut"):
            read_h5md(tmp_path / name, units=REDUCED)
    write_restart(path, start)
    same(read_restart(path, QUICK.start(liquid(), key=jax.random.key(5))), start)
    with pytest.raises(ValueError, match="another kind of state"):
        read_restart(path, QUICK.start(liquid(1), key=jax.random.key(1)))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="damaged"):
        read_restart(path, start)
    with pytest.raises(ValueError, match="no chemical symbol"):
        ExtXYZ(tmp_path / "x.xyz", ("Qq",)).create(liquid())
    assert not (tmp_path / "x.xyz").exists()


@pytest.mark.slow
def test_a_list_goes_on_to_the_bit(tmp_path):
    start = BATH.start(liquid(5), key=jax.random.key(1))
    whole = record(BATH, start, 60, H5MD(tmp_path / "whole.h5"), save_every=20, segment=20)
    stopped = Full(H5MD(tmp_path / "stopped.h5"))
    with pytest.raises(OSError):
        record(BATH, start, 60, stopped, save_every=20, segment=20, restart=tmp_path / "restart")
    fresh = BATH.start(liquid(5), key=jax.random.key(2), skin=0.3)
    same(record(BATH, fresh, 60, stopped, save_every=20, segment=20, restart=tmp_path / "restart"), whole)


@pytest.mark.slow
def test_what_a_killed_run_has_written_is_readable(tmp_path):
    code = """
        import sys, jax
        from kinax.md import *
        pair = LennardJones(cutoff=Truncated(radius=2.0))
        bath = Langevin(potential=pair, kT=1.0, friction=1.0, dt=0.004)
        state = bath.start(fcc(3, 1.7), key=jax.random.key(1))
        file = ExtXYZ("run.xyz", ("Ar",)) if sys.argv[1] == "xyz" else H5MD("run.h5")
        record(bath, state, 10**7, file, save_every=1, segment=4)
    """
    for kind in ("xyz", "h5"):
        run = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), kind], cwd=tmp_path)
        path = tmp_path / f"run.{kind}"
        deadline = time.monotonic() + 180
        while (not path.exists() or path.stat().st_size < 1_000_000) and time.monotonic() < deadline:
            time.sleep(0.05)
        run.send_signal(signal.SIGKILL)
        run.wait()
        if kind == "xyz":
            lines = path.read_text().splitlines()
            assert len(lines) // 110 > 10 and len(ase.io.read(path, f":{len(lines) // 110}")) == len(lines) // 110
        else:
            ts, systems = read_h5md(path)
            assert len(ts) > 10 and np.isfinite(systems.position).all() and np.ptp(np.diff(ts)) < 1e-9
