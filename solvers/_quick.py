"""Programs of a few small kernels, which take longer to compile than to run: options of the compiler for them."""

import functools
from collections.abc import Callable, Set
from typing import Any, ParamSpec, TypeVar

import equinox as eqx
import jax

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")

# XLA's older CPU emitters compile in two thirds of the time, and make kernels for small arrays that are no slower.
# Later versions have only the newer ones, which were made quicker there, and refuse the option.
OLD_EMITTERS: dict[str, Any] = {"xla_cpu_use_fusion_emitters": False} if jax.__version_info__ < (0, 11) else {}


def quickly(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`eqx.filter_jit(function)`, compiled with `quick_options`; not for use within another program."""
    programs = {
        True: eqx.filter_jit(function, compiler_options=OLD_EMITTERS or None),  # pyright: ignore[reportCallIssue]
        False: eqx.filter_jit(function),
    }

    @functools.wraps(function)
    def call(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Result:
        return programs[bool(quick_options({jax.default_backend()}))](*args, **kwargs)

    return call


def quick_options(platforms: Set[str]) -> dict[str, Any]:
    """What `compiler_options` may be for such programs there; empty for accelerators, or if the compiler knows none."""
    return OLD_EMITTERS if platforms == {"cpu"} else {}
