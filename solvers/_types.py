"""Role names used in signatures, and the one way to declare a parameter."""

import dataclasses
from typing import Any, TYPE_CHECKING, TypeAlias, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float

if TYPE_CHECKING:  # pyright counts an eqx.AbstractVar as a constructor argument
    from typing import ClassVar as AbstractVar
else:
    from equinox import AbstractVar as AbstractVar

State = TypeVar("State")
Scalar = Float[Array, ""]
Numbers: TypeAlias = Any  # the type of a parameter's field: numbers and arrays go in, float arrays come out
AnyArray = Array | np.ndarray
RealScalarLike = float | int | Array | np.ndarray


def strong(x: Any) -> Any:
    """The array with a definite dtype: a weak type changes in a loop's carry, and compiles every function once more."""
    weak = isinstance(x, jax.Array) and getattr(x, "weak_type", False)  # PRNG keys do not have it
    if weak and x.ndim == 0 and not isinstance(x, Tracer):
        return jax.device_put(np.asarray(x))  # compiles nothing
    return jnp.asarray(x, x.dtype) if weak else x


def inexact_asarray(x: Any) -> Any:
    """Numbers and arrays as float (or complex) JAX arrays; anything else as it is.

    Integers become floats, so that `mass=2` has a gradient. What is not numeric passes, because PyTree
    transformations build modules with placeholders in their fields.
    """
    if isinstance(x, int | float | complex | list | tuple | np.ndarray | np.generic):
        leaves = jax.tree.leaves(x)
        if all(isinstance(leaf, int | float | complex | np.ndarray | np.generic) for leaf in leaves):
            return _from_host(x, leaves)
        x = strong(jnp.asarray(x))
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.integer):
        x = x.astype(jnp.result_type(float))
    return x


def _from_host(x: Any, leaves: list[Any]) -> Any:
    # `jnp.asarray` and `astype` would compile a program for each shape
    dtype = jnp.result_type(*leaves) if leaves else jnp.result_type(float)
    return jax.device_put(np.asarray(x, jnp.result_type(float) if jnp.issubdtype(dtype, jnp.integer) else dtype))


def as_parameter(x: Any) -> Any:
    """What `parameter` makes of the value of a field."""
    return strong(inexact_asarray(x))


def parameter(*, default: Any = dataclasses.MISSING) -> Any:
    """A module field that can be differentiated and fitted: numbers given to it become float arrays.

    A bare Python float in an Equinox module gets no gradient, silently; declare every physical parameter so:

        class Spring(eqx.Module):
            stiffness: Scalar = parameter()
    """
    return eqx.field(converter=as_parameter, default=default)
