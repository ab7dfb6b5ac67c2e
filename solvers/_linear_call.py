"""Gives a linear map the transpose that one chooses."""

from collections.abc import Callable
from typing import Any

import equinox.internal as eqxi
import jax
from jax.extend.core import jaxpr_as_fun
from jax.interpreters import ad, batching
from jaxtyping import Array, PyTree

from ._primitive import passing

PullBack = Callable[[list[Array], list[Array]], list[Array]]


def with_transpose(value: PyTree, pull_back: Callable[[Any, Any], Any], residuals: PyTree, linear: PyTree) -> PyTree:
    """`value`, which was computed from `linear` by a linear map, with another transpose of that map.

    - `value`, `residuals`, `linear`: PyTrees of arrays.
    - `pull_back(residuals, cotangent)`: the cotangent of `linear` that belongs to one of `value`. It is called when the
      map is transposed, and must close over no tracer.

    Forward mode sees `value` and how it was computed, to any order; the transpose of that computation is never asked
    for, so it need not have one.
    """
    values, structure = jax.tree.flatten(value)
    known, known_structure = jax.tree.flatten(residuals)
    inputs, inputs_structure = jax.tree.flatten(linear)

    def flat_pull_back(known, cotangents):
        cotangent = pull_back(known_structure.unflatten(known), structure.unflatten(cotangents))
        return inputs_structure.flatten_up_to(cotangent)

    sizes = (len(values), len(known))
    restored = _as_weak(flat_pull_back, [jax.typeof(x).weak_type for x in known])
    out = with_transpose_p.bind(*values, *known, *inputs, pull_back=restored, sizes=sizes)
    return structure.unflatten(out)


def _as_weak(pull_back: PullBack, weak: list[bool]) -> PullBack:
    """The same; of these residuals the types are weak, which JAX may have forgotten when it transposes (0.12 does)."""

    def restored(known, cotangents):
        types = [jax.typeof(x) for x in known]
        if [t.weak_type for t in types] == weak:
            return pull_back(known, cotangents)
        types = [jax.ShapeDtypeStruct(t.shape, t.dtype, weak_type=w) for t, w in zip(types, weak, strict=True)]
        return jaxpr_as_fun(jax.make_jaxpr(pull_back)(types, cotangents))(*known, *cotangents)

    return restored


def _split(operands, sizes):
    first, second = sizes[0], sum(sizes)
    return list(operands[:first]), list(operands[first:second]), list(operands[second:])


def _values(*operands, pull_back, sizes):
    return _split(operands, sizes)[0]


def _jvp(primals, tangents, *, pull_back, sizes):
    out = with_transpose_p.bind(*primals, pull_back=pull_back, sizes=sizes)
    return out, [t if isinstance(t, ad.Zero) else _refuse_reverse(t) for t in _split(tangents, sizes)[0]]


def _refuse_reverse(tangent):
    return eqxi.nondifferentiable_backward(
        tangent,
        msg="A derivative in forward mode cannot be differentiated in reverse mode. Take both in forward mode, "
        "jax.jacfwd(jax.jacfwd(fn)), or use `adjoint=Unrolled()`.",
    )


def _transpose(cotangents, *operands, pull_back, sizes):
    values, known, inputs = _split(operands, sizes)
    zeros = lambda operands: [ad.Zero(x.aval) if ad.is_undefined_primal(x) else None for x in operands]
    if all(isinstance(ct, ad.Zero) for ct in cotangents):
        return zeros(operands)
    pulled = pull_back(known, [ad.instantiate_zeros(ct) for ct in cotangents])
    wanted = [ct if ad.is_undefined_primal(x) else None for x, ct in zip(inputs, pulled, strict=True)]
    return [*zeros(values), *zeros(known), *wanted]


def _batch(axis, operands, dims, *, pull_back, sizes):
    if all(dim is None for dim in dims):
        out = with_transpose_p.bind(*operands, pull_back=pull_back, sizes=sizes)
        return out, [None] * len(out)
    # Values and inputs are both mapped, so that no cotangent has to be summed over the batch.
    size = axis.size
    values, known, inputs = _split(list(zip(operands, dims, strict=True)), sizes)
    front = lambda pairs: [batching.bdim_at_front(x, dim, size) for x, dim in pairs]
    mapped = [None if dim is None else 0 for _, dim in known]
    known = [x if dim is None else batching.bdim_at_front(x, dim, size) for x, dim in known]
    pull_back = jax.vmap(pull_back, (mapped, 0), axis_size=size, axis_name=axis.name, spmd_axis_name=axis.spmd_name)
    out = with_transpose_p.bind(*front(values), *known, *front(inputs), pull_back=pull_back, sizes=sizes)
    return out, [0] * len(out)


with_transpose_p = passing("with_transpose", _values, _jvp, _batch)
ad.primitive_transposes[with_transpose_p] = _transpose
