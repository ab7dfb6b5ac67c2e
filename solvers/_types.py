"""Role names used in signatures, and the one way to declare a parameter."""

from typing import Any, TYPE_CHECKING, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

if TYPE_CHECKING:  # pyright counts an eqx.AbstractVar as a constructor argument
    from typing import ClassVar as AbstractVar
else:
    from equinox import AbstractVar as AbstractVar

State = TypeVar("State")
Scalar = Float[Array, ""]
IntScalar = Int[Array, ""]
Key = PRNGKeyArray


def inexact_asarray(x: Any) -> Any:
    """`x` as a float (or complex) array in the dtype that JAX is configured for; tracers and structures pass.

    Integers become floats, so that `mass=2` has a gradient. Anything that is not numeric is refused.
    """
    if x is None or isinstance(x, jax.ShapeDtypeStruct) or not isinstance(x, (int, float, complex, list, tuple)):
        if not (hasattr(x, "dtype") and hasattr(x, "shape")):
            return x  # a structural placeholder put there by a PyTree transformation
        if isinstance(x, np.ndarray | np.generic):
            x = jnp.asarray(x)
    else:
        x = jnp.asarray(x)
    if isinstance(x, jax.Array) and jnp.issubdtype(x.dtype, jnp.integer):
        x = x.astype(jnp.result_type(float))
    return x


def parameter(**options: Any) -> Any:
    """A module field that can be differentiated and fitted: numbers given to it become float arrays.

    A bare Python float in an Equinox module gets no gradient, silently; declare every physical parameter so:

        class Spring(eqx.Module):
            stiffness: Scalar = parameter()
    """
    return eqx.field(converter=inexact_asarray, **options)
