"""Programs of a few small kernels, which take longer to compile than to run: options of the compiler for them."""

from collections.abc import Set
from typing import Any

import jax

# XLA's older CPU emitters compile in two thirds of the time, and make kernels for small arrays that are no slower.
# Later versions have only the newer ones, which were made quicker there, and refuse the option.
_OLD_EMITTERS: dict[str, Any] = {"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < (0, 11) else {}


def quick_options(platforms: Set[str]) -> dict[str, Any]:
    """What `compiler_options` may be for such programs there; empty for accelerators, or if the compiler knows none."""
    return _OLD_EMITTERS if platforms == {"cpu"} else {}
