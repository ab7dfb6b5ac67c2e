"""Sums of several arrays along one axis in one pass over them.

XLA fuses what makes an array into the loop that consumes it if that is one loop. Three sums of arrays that share their
makings (force components and the vectors between atoms) are three loops, so everything shared passes through memory;
one reduction with three operands is one loop, vectorized and divided among threads. See docs/md-notes.md.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


def joint_sums(terms: tuple[Any, ...]) -> tuple[Any, ...]:
    """The sum of each array along its first axis; all have one shape. Differentiable in both modes."""
    return tuple(_sums_p.bind(*terms, axis=0))


def _reduce(*terms, axis):
    zeros = tuple(jnp.zeros((), x.dtype) for x in terms)
    return jax.lax.reduce(terms, zeros, lambda a, b: tuple(map(jnp.add, a, b)), (axis,))


def _abstract(*terms, axis):
    return [x.update(shape=x.shape[:axis] + x.shape[axis + 1 :]) for x in terms]


def _jvp(primals, tangents, *, axis):
    out = _sums_p.bind(*primals, axis=axis)
    moving = [k for k, t in enumerate(tangents) if not isinstance(t, ad.Zero)]
    change: list[Any] = [jnp.zeros_like(x) for x in out]
    for k, x in zip(moving, _sums_p.bind(*(tangents[k] for k in moving), axis=axis), strict=True):
        change[k] = x
    return out, change


def _transpose(cotangents, *terms, axis):
    def spread(cotangent, term):
        if isinstance(cotangent, ad.Zero):
            return ad.Zero(term.aval)
        return jnp.broadcast_to(jnp.expand_dims(cotangent, axis), term.aval.shape)

    return [spread(c, t) for c, t in zip(cotangents, terms, strict=True)]


def _batch(data, terms, dims, *, axis):
    if all(d is None for d in dims):
        return _sums_p.bind(*terms, axis=axis), [None] * len(terms)
    terms = [batching.bdim_at_front(x, d, data.size) for x, d in zip(terms, dims, strict=True)]
    return _sums_p.bind(*terms, axis=axis + 1), [0] * len(terms)


_sums_p = Primitive("joint_sums")
_sums_p.multiple_results = True
_sums_p.def_impl(lambda *terms, axis: jax.jit(lambda *t: _reduce(*t, axis=axis))(*terms))
_sums_p.def_abstract_eval(_abstract)
mlir.register_lowering(_sums_p, mlir.lower_fun(_reduce, multiple_results=True))
ad.primitive_jvps[_sums_p] = _jvp
ad.primitive_transposes[_sums_p] = _transpose
batching.fancy_primitive_batchers[_sums_p] = _batch
