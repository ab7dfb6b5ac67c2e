"""Outcomes as integers in arrays, and back: `RESULTS` itself has no arithmetic."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from ._results import RESULTS


def code_of(result: Any) -> Int[Array, ""]:
    """The integer that stands for a result; 0 is success."""
    return jnp.asarray(jax.tree.leaves(result)[0], jnp.int32)


def as_result(code: Any) -> RESULTS:
    """The result that a code stands for."""
    return jax.tree.map(lambda _: jnp.asarray(code, jnp.int32), RESULTS.successful)


def promoted(result: Any) -> RESULTS:
    """A result of diffrax as one of ours, which keep their codes; `RESULTS.promote` would compile a program."""
    return as_result(code_of(result))


def message_of(code: Any) -> str:
    """The message of a code; empty for success."""
    return RESULTS[as_result(code)]
