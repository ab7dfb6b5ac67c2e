"""Python's garbage collector while a verb traces, compiles and runs."""

import contextlib
import gc
import threading
from collections.abc import Iterator

# Tracing makes many objects that live long. Looking through all of them again and again, as Python does by default for
# every 700 new ones, took a tenth (a small fit) to a quarter (`hybrid`) of a first call.
_SELDOM = 100_000
_lock = threading.Lock()
_inside = 0
_before = _meanwhile = gc.get_threshold()


@contextlib.contextmanager
def seldom_collecting() -> Iterator[None]:
    """Garbage is collected less often meanwhile, in the whole process; afterwards as before. Also a decorator."""
    global _inside, _before, _meanwhile
    with _lock:
        if _inside == 0:
            _before = gc.get_threshold()
            if 0 < _before[0] < _SELDOM:  # 0: switched off by the user
                gc.set_threshold(_SELDOM)
            _meanwhile = gc.get_threshold()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0 and gc.get_threshold() == _meanwhile:
                gc.set_threshold(*_before)
