"""What keeps `residuals` from being compiled, in words."""

import contextlib
from collections.abc import Iterator

import jax

_SHAPE = (
    "changes its shape with the values of the parameters or data, or takes one for a Python number (a boolean mask as "
    "an index, jnp.nonzero, jnp.compress, x[: int(n)], float(x)). Its shape must be constant: set what does not count "
    "to zero with jnp.where, or mark missing data with NaN in a TimeSeries and return Observed(...)"
)
_UNTRACEABLE = {
    jax.errors.TracerBoolConversionError: (
        "decides by a value of the parameters or data (`if`, `while`, `and`, jnp.compress): use jnp.where, jax.lax.cond"
    ),
    jax.errors.TracerArrayConversionError: (
        "gives values of the parameters or data to NumPy or another library that is not JAX's: use jax.numpy"
    ),
    jax.errors.NonConcreteBooleanIndexError: _SHAPE,
    jax.errors.TracerIntegerConversionError: _SHAPE,
    jax.errors.ConcretizationTypeError: _SHAPE,
}


@contextlib.contextmanager
def explained() -> Iterator[None]:
    """JAX's errors of tracing as a ValueError that says what `residuals` does."""
    try:
        yield
    except tuple(_UNTRACEABLE) as error:
        does = next(text for kind, text in _UNTRACEABLE.items() if isinstance(error, kind))
        raise ValueError(f"residuals(model, data) {does}.") from error
