"""Gives a value the derivative that one knows it to have."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.interpreters import ad, batching
from jaxtyping import PyTree

from ._primitive import passing


def with_derivative(x: PyTree, push_forward: Callable[[Any, Any, Any], Any], known: PyTree) -> PyTree:
    """`x`, a PyTree of arrays, which changes by `push_forward(x, known, change)` when `known` changes by `change`.

    - `push_forward`: linear in `change`, which is None at leaves of `known` that do not change or cannot; it is
      differentiated for higher derivatives, and for reverse mode transposed. It must close over no tracer.
    - What `x` was computed from has no part in its derivative.

    A primitive, because JAX forgets custom rules inside a scan that is differentiated twice, once in reverse mode.
    """
    x = jax.tree.map(jax.lax.stop_gradient, x)
    values, structure = jax.tree.flatten(x)
    arrays, rest = eqx.partition(known, eqx.is_array)
    inputs, known_structure = jax.tree.flatten(arrays)

    def flat_push_forward(values, inputs, changes):
        known = eqx.combine(known_structure.unflatten(inputs), rest)
        change = jax.tree.unflatten(known_structure, changes)
        return structure.flatten_up_to(push_forward(structure.unflatten(values), known, change))

    out = _derived_p.bind(*values, *inputs, push_forward=flat_push_forward, size=len(values))
    return structure.unflatten(out)


def _values(*operands, push_forward, size):
    return list(operands[:size])


def _jvp(primals, tangents, *, push_forward, size):
    out = _derived_p.bind(*primals, push_forward=push_forward, size=size)
    inputs, tangents = list(primals[size:]), tangents[size:]
    still = lambda x, t: isinstance(t, ad.Zero) or not jnp.issubdtype(jnp.result_type(x), jnp.inexact)
    changes = [None if still(x, t) else t for x, t in zip(inputs, tangents, strict=True)]
    if all(change is None for change in changes):
        return out, [ad.Zero(jax.typeof(x).to_tangent_aval()) for x in out]
    return out, push_forward(out, inputs, changes)


def _batch(axis, operands, dims, *, push_forward, size):
    if all(dim is None for dim in dims):
        return _derived_p.bind(*operands, push_forward=push_forward, size=size), [None] * size
    values, inputs = operands[:size], operands[size:]
    values = [batching.bdim_at_front(x, dim, axis.size) for x, dim in zip(values, dims[:size], strict=True)]
    mapped = [None if dim is None else 0 for dim in dims[size:]]
    front = lambda x, dim: x if dim is None else batching.bdim_at_front(x, dim, axis.size)
    inputs = [front(x, dim) for x, dim in zip(inputs, dims[size:], strict=True)]

    def push(values, inputs, changes):
        axes = [None if change is None else m for m, change in zip(mapped, changes, strict=True)]
        options = dict(axis_size=axis.size, axis_name=axis.name, spmd_axis_name=axis.spmd_name)
        return jax.vmap(push_forward, (0, mapped, axes), **options)(values, inputs, changes)

    return _derived_p.bind(*values, *inputs, push_forward=push, size=size), [0] * size


_derived_p = passing("derived", _values, _jvp, _batch)
