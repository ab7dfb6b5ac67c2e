"""States of two parts, each of which moves the other."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters.partial_eval import dce_jaxpr
from jaxtyping import PyTree

from .._tree import difference, is_float, refuse_other_than_floats


def check_state(simulator: Any, state: Any, kind: type) -> None:
    """The state is of the kind that the simulator advances."""
    if not isinstance(state, kind):
        raise ValueError(f"{type(simulator).__name__} needs a {kind.__name__}, not a {type(state).__name__}.")


def check_separable(simulator: Any, field: Callable[..., PyTree], t: Any, y: Any) -> None:
    """`y` has two parts, `field` returns the like, and the rate of neither part depends on that part itself."""
    name = type(simulator).__name__
    if not (isinstance(y, tuple) and len(y) == 2):
        raise ValueError(
            f"{name} needs a state y of two parts, a tuple or a NamedTuple such as Phase(q, p), not {type(y).__name__}."
        )
    refuse_other_than_floats(y, "state.y")
    program, rates = jax.make_jaxpr(lambda t, y: field(t, y, None), return_shape=True)(t, y)
    found = difference(rates, jax.eval_shape(lambda: y), "vector_field(t, y, None)")
    if found is not None:
        raise ValueError(f"A vector field must return what y looks like, but {found}.")
    sizes = [len(jax.tree.leaves(part)) for part in y]
    second = [False] * sizes[0] + [True] * sizes[1]
    first = [not flag for flag in second]
    for part, own in enumerate((first, second)):
        _, used = dce_jaxpr(program.jaxpr, own)
        inputs = used[-len(own) :]  # behind the time
        if any(a and b for a, b in zip(own, inputs, strict=True)):
            parts = [f"`{n}`" for n in getattr(y, "_fields", ("y[0]", "y[1]"))]
            raise ValueError(
                f"{name} needs a separable vector field, but the rate of {parts[part]} depends on {parts[part]} "
                "itself (a coefficient that may be zero counts). Use GaussLegendre or ImplicitMidpoint, or split the "
                "field and join the parts by Strang."
            )


def joined(like: tuple, first: PyTree, second: PyTree) -> Any:
    """The pair of the kind of `like`."""
    make: Any = type(like)
    return make(first, second) if hasattr(like, "_fields") else (first, second)


def moved(x: PyTree, dt: Any, rate: PyTree) -> PyTree:
    """x + dt rate, in the dtype of x."""
    return jax.tree.map(lambda a, b: a + jnp.asarray(dt).astype(a.dtype) * b, x, rate)


def later(t: Any, dt: Any) -> Any:
    """t + dt, in the dtype of t."""
    if not is_float(t):  # an integer clock would stand still
        raise ValueError(f"The time of a state must be a float array, not {t!r}.")
    return t + jnp.asarray(dt).astype(t.dtype)
