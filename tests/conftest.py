import gc
import os
from pathlib import Path

import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_compilation_cache_dir", os.path.abspath(os.environ.get("KINAX_CACHE", ".jax_cache")))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
# Tracing makes many objects that live long; looking through them again and again took a fifth of the time.
gc.set_threshold(100_000, 20, 20)
MAPS = Path("/proc/self/maps")
# Never import the package here: jaxtyping's import hook starts after conftest.


@pytest.fixture(autouse=True, scope="module")
def _forgotten_programs():
    """A process that keeps the programs of all modules runs out of memory."""
    yield
    jax.clear_caches()


@pytest.fixture(autouse=True)
def _forgotten_maps():
    """Linux allows a process 65530 memory maps, each program needs some, and XLA crashes without."""
    yield
    if MAPS.exists() and MAPS.read_bytes().count(b"\n") > 20_000:
        jax.clear_caches()
