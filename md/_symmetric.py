"""A symmetric linear map is its own transpose: said once, it is never transposed by scattering."""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array


def symmetric(product: Callable[[list[Array], Array], Array], known: list[Array], vector: Array) -> Array:
    """`product(known, vector)`, a symmetric matrix made of `known` times a vector; transposed, it is the same product.

    Differentiable in both modes and to any order. `product` must close over no tracer.
    """
    return symmetric_p.bind(*known, vector, product=product)


def _apply(*operands, product):
    return product(list(operands[:-1]), operands[-1])


def _jvp(primals, tangents, *, product):
    apply = lambda *operands: _apply(*operands, product=product)
    out = symmetric_p.bind(*primals, product=product)
    change: Any = None
    if not isinstance(tangents[-1], ad.Zero):
        change = symmetric_p.bind(*primals[:-1], tangents[-1], product=product)
    moving = [k for k, t in enumerate(tangents[:-1]) if not isinstance(t, ad.Zero)]
    if moving:

        def of_moving(*values):
            operands = list(primals)
            for k, value in zip(moving, values, strict=True):
                operands[k] = value
            return apply(*operands)

        _, by_known = jax.jvp(of_moving, [primals[k] for k in moving], [tangents[k] for k in moving])
        change = by_known if change is None else change + by_known
    return out, change  # JAX calls this only if something moves


def _transpose(cotangent, *operands, product):
    known = operands[:-1]
    if isinstance(cotangent, ad.Zero):
        return [*(None for _ in known), ad.Zero(operands[-1].aval)]
    return [*(None for _ in known), symmetric_p.bind(*known, cotangent, product=product)]


def _batch(axis, operands, dims, *, product):
    if all(d is None for d in dims):
        return symmetric_p.bind(*operands, product=product), None
    known = [x if d is None else batching.bdim_at_front(x, d, axis.size) for x, d in zip(operands, dims, strict=True)]
    mapped = [None if d is None else 0 for d in dims[:-1]]
    vector = batching.bdim_at_front(operands[-1], dims[-1], axis.size)  # mapped always, so that the map stays square
    return symmetric_p.bind(*known[:-1], vector, product=jax.vmap(product, (mapped, 0), axis_size=axis.size)), 0


symmetric_p = Primitive("symmetric")
symmetric_p.def_impl(lambda *operands, product: jax.jit(lambda *o: _apply(*o, product=product))(*operands))
symmetric_p.def_abstract_eval(lambda *avals, product: avals[-1])
mlir.register_lowering(symmetric_p, mlir.lower_fun(_apply, multiple_results=False))
ad.primitive_jvps[symmetric_p] = _jvp
ad.primitive_transposes[symmetric_p] = _transpose
batching.fancy_primitive_batchers[symmetric_p] = _batch
