import gc
import os
from pathlib import Path

# Of each program that it reads from the cache XLA says, over a page, that the processor lacks `prefer-no-gather`:
# a hint for the compiler, which no processor has. JAX passes this level on when it is imported.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import pytest

CACHE = Path(os.environ.get("KINAX_CACHE") or Path.home() / ".cache/kinax/jax").resolve()
jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
# Tracing makes many objects that live long; looking through them again and again took a fifth of the time.
gc.set_threshold(100_000, 20, 20)
# Never import the package here: jaxtyping's import hook starts after conftest.

programs = 0  # compiled or read from the cache since they were last forgotten


def _count(event, duration_secs, **unused):
    global programs
    programs += event.endswith("/backend_compile_duration")


jax.monitoring.register_event_duration_secs_listener(_count)


def _forget(most):
    """A process that keeps the programs of all modules runs out of memory; but modules share the small ones.

    And of the 65530 memory maps that Linux allows a process each program needs some six, large ones more than twenty:
    XLA crashes without.
    """
    global programs
    if programs > most or _num_maps() > 30_000:
        jax.clear_caches()
        programs = 0


def _num_maps():
    try:
        return Path("/proc/self/maps").read_bytes().count(b"\n")
    except OSError:  # no Linux
        return 0


@pytest.fixture(autouse=True, scope="module")
def _programs_of_a_module():
    yield
    _forget(300)


@pytest.fixture(autouse=True)
def _programs_of_a_test():
    yield
    _forget(3000)


@pytest.fixture(scope="module")
def backward_sweep():
    """Gradients of solves are swept backward, also those by so few numbers that forward mode would be sooner."""
    jax.clear_caches()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kinax.solvers._adjoint._FEW", 0)
        yield
    jax.clear_caches()


def pytest_addoption(parser):
    parser.addoption("--first", type=int, help="of each module the first tests alone, so many functions, one case each")


def pytest_configure(config):
    if CACHE.exists() and not hasattr(config, "workerinput"):
        _trim(2 * 2**30)


def _trim(size):
    """Removes what was not used for the longest time; JAX's own bound reads the whole folder for each new program."""
    files = sorted(
        ((s.st_atime, s.st_size, path) for path in CACHE.glob("*-cache") for s in [path.stat()]), reverse=True
    )
    for _, of_this, path in files:
        size -= of_this
        if size < 0:
            path.unlink(missing_ok=True)


@pytest.hookimpl(trylast=True)  # after `-m` has chosen
def pytest_collection_modifyitems(config, items):
    first = config.getoption("--first")
    if first is None:
        return
    of_module: dict[Path, dict[str, pytest.Item]] = {}
    for item in items:
        tests = of_module.setdefault(item.path, {})
        if len(tests) < first:
            tests.setdefault(item.originalname, item)
    chosen = [item for tests in of_module.values() for item in tests.values()]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen
