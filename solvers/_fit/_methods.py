"""What may be passed as `method`."""

from typing import Any

from .._search import AbstractMethod, LevenbergMarquardt


def as_method(method: Any) -> AbstractMethod:
    """The method itself, or one that wraps a solver of optimistix or an optimizer of optax."""
    if method is None:
        return LevenbergMarquardt()
    if isinstance(method, AbstractMethod):
        return method
    raise TypeError(f"method must be LevenbergMarquardt() or another method of kinax, not {method!r}.")
