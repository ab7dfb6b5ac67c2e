"""Every example runs as a user runs it, and says nothing on the error stream."""

import os
import pathlib
import subprocess
import sys

import jax
import pytest

ROOT = pathlib.Path(__file__).parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda p: p.stem)
def test_example_runs(example, tmp_path):
    cache = jax.config.values["jax_compilation_cache_dir"]
    environment = {
        **os.environ,
        "MPLBACKEND": "Agg",
        "JAX_COMPILATION_CACHE_DIR": cache,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    half_written = "ignore:Error reading persistent compilation cache entry:UserWarning"  # by another worker
    command = [sys.executable, "-W", "error", "-W", half_written, str(example)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "an example shows what it found"
