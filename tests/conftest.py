import os

import jax
import pytest

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_compilation_cache_dir", os.path.abspath(os.environ.get("KINAX_CACHE", ".jax_cache")))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
# Never import the package here: jaxtyping's import hook starts after conftest.


@pytest.fixture(autouse=True, scope="module")
def _forgotten_programs():
    """A process that keeps the programs of all modules runs out of memory maps, and XLA aborts."""
    yield
    jax.clear_caches()
