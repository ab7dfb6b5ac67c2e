"""Primitives of JAX that pass values through and have rules of their own for derivatives."""

from collections.abc import Callable
from typing import Any

from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir


def passing(name: str, values: Callable[..., list[Any]], jvp: Callable[..., Any], batch: Callable[..., Any]) -> Any:
    """A primitive that is `values(*operands, **params)`, some of its operands."""
    primitive = Primitive(name)
    primitive.multiple_results = True
    primitive.def_impl(values)
    primitive.def_abstract_eval(values)
    mlir.register_lowering(primitive, mlir.lower_fun(values, multiple_results=True))
    ad.primitive_jvps[primitive] = jvp
    batching.fancy_primitive_batchers[primitive] = batch
    return primitive
