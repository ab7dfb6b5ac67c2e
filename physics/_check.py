"""Bad input is refused while a system is built or traced, with a message that names it and the cure."""

import dataclasses
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def check_scalars(system: eqx.Module) -> None:
    """Every parameter of `system` is one number."""
    for field in dataclasses.fields(system):
        shape = jnp.shape(getattr(system, field.name))
        if shape != ():
            raise ValueError(
                f"{type(system).__name__}.{field.name} has shape {shape}, expected (): a system describes one case. "
                f"For a family build it inside the mapped function: `jax.vmap(lambda {field.name}: ...)`."
            )


def check_positive(system: eqx.Module, *names: str) -> None:
    """The parameters `names` are > 0, as far as their values are known: under `jit` and `vmap` they are not."""
    for name in names:
        value = getattr(system, name)
        if not isinstance(value, Tracer) and not np.all(np.asarray(value) > 0):
            raise ValueError(f"{type(system).__name__}.{name} must be positive, got {np.asarray(value)}.")


def check_not_negative(system: eqx.Module, *names: str) -> None:
    """The parameters `names` are >= 0, as far as their values are known."""
    for name in names:
        value = getattr(system, name)
        if not isinstance(value, Tracer) and not np.all(np.asarray(value) >= 0):
            raise ValueError(f"{type(system).__name__}.{name} must not be negative, got {np.asarray(value)}.")


def check_shape(system: eqx.Module, name: str, shape: tuple[int, ...]) -> None:
    """The parameter `name` has this shape."""
    found = jnp.shape(getattr(system, name))
    if found != shape:
        raise ValueError(f"{type(system).__name__}.{name} has shape {found}, expected {shape}.")


def check_state(system: eqx.Module, y: Any, like: Any) -> None:
    """`y` is the named state of which `like` holds the shapes, for example `Motion(q=(2,), v=(2,))`."""
    name, kind = type(system).__name__, type(like)
    if not isinstance(y, kind):
        fields = ", ".join(f"{field}=..." for field in kind._fields)
        raise TypeError(f"{name} has the state {kind.__qualname__}({fields}), got {type(y).__name__}.")
    for field, value, shape in zip(kind._fields, y, like, strict=True):
        found = jnp.shape(value)
        if found != shape:
            raise ValueError(
                f"{name}: the state's `{field}` has shape {found}, expected {shape}. "
                "A system is written for one state; for many use `ensemble` or `jax.vmap`."
            )


def check_twins(system: eqx.Module, y: Any, kind: Any) -> None:
    """`y` is the named state `kind` of two PyTrees of float arrays with one structure and the same shapes."""
    name = type(system).__name__
    if not isinstance(y, kind):
        raise TypeError(f"{name} has the state {kind.__name__}({', '.join(kind._fields)}), got {type(y).__name__}.")
    first, second = (jax.tree.map(jnp.shape, part) for part in y)
    if first != second:
        raise ValueError(f"{name}: `{kind._fields[0]}` and `{kind._fields[1]}` have shapes {first} and {second}.")
    for leaf in jax.tree.leaves(y):
        if not jnp.issubdtype(jnp.result_type(leaf), jnp.floating):
            raise TypeError(f"{name} needs a state of floats, got {jnp.result_type(leaf)}: write 1.0 for 1.")


def check_scalar_function(system: eqx.Module, function: Any, y: Any) -> None:
    """`function(*y)` is one real number."""
    shape = jax.tree.map(lambda x: x.shape, jax.eval_shape(function, *y))
    if shape != ():
        raise ValueError(f"{type(system).__name__} needs a scalar function, got a result of shape {shape}.")
