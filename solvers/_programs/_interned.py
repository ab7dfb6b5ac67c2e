"""Functions that are the same in all that they compute, as one object, so that what was compiled for one serves all."""

import functools
import hashlib
import sys
import types
from collections.abc import Callable, Hashable, Iterator
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import PyTree

from .._tree import is_concrete, is_number
from ._remembered import Remembered

_LIBRARIES = {"jax", "jaxlib", "numpy", "scipy", "equinox", "diffrax", "optimistix", "lineax", "optax", "kinax"}
_VALUES = bool, int, float, complex, str, bytes, type(None), type(Ellipsis), slice
_first: Remembered[Hashable, Any] = Remembered(256)


class _Opaque(Exception):
    """Something whose meaning may change behind its back, so that it equals itself alone."""


def interned(function: Callable[..., Any], context: PyTree) -> Any:
    """The first function seen with the same code and the same values of everything that the code refers to.

    A lambda in a loop, or in a cell of a notebook that is run again, is a new object each time, but the same
    computation, and is compiled once. It is another one if a number, array or function that it refers to by name or
    closure has changed, or a method of a class that does (of the objects in `context` too, which it is going to be
    given). What cannot be compared, such as an object with attributes, makes a function a computation of its own.
    """
    if not isinstance(function, types.FunctionType):
        return function
    try:
        key = _Comparison().of((function, tuple(sorted({type(x) for x in _objects(context)}, key=repr))))
    except _Opaque:
        return function
    return _first.get(key, lambda: function)


def _objects(tree: PyTree) -> Iterator[Any]:
    """The modules in a PyTree, and its leaves that are no arrays."""
    found: list[Any] = []

    def note(x: Any) -> bool:
        if not is_number(x):
            found.append(x)
        return False

    jax.tree.leaves(tree, is_leaf=note)
    return iter(found)


class _Comparison:
    """Keys that are equal where two things mean the same."""

    def __init__(self):
        self._open: list[Any] = []  # functions may refer to themselves

    def of(self, x: Any) -> Hashable:
        """The key; `_Opaque` if there is none."""
        if isinstance(x, float) and x != x:
            return "nan"
        if isinstance(x, _VALUES):
            return type(x), repr(x) if isinstance(x, slice | float) else x
        if isinstance(x, types.FunctionType):
            return self._function(x)
        if isinstance(x, types.MethodType):
            return "method", self.of(x.__func__), self.of(x.__self__)
        if isinstance(x, types.ModuleType | types.BuiltinFunctionType | np.ufunc | np.dtype | types.GenericAlias):
            return x
        if isinstance(x, type):
            return self._class(x)
        if isinstance(x, tuple | list):
            return type(x), tuple(self.of(one) for one in x)
        if isinstance(x, dict):
            return dict, tuple((self.of(key), self.of(value)) for key, value in x.items())
        if isinstance(x, np.ndarray | np.generic | jax.Array):
            return self._array(x)
        if isinstance(x, functools.partial):
            return functools.partial, self.of((x.func, x.args, x.keywords))
        if isinstance(x, eqx.Module):
            return self.of(type(x)), tuple((name, self.of(value)) for name, value in vars(x).items())
        if _of_library(type(x)):  # what `jax.jit` and its like return
            return _by_identity(x)
        raise _Opaque

    def _array(self, x: Any) -> Hashable:
        if not is_concrete(x) or not is_number(x):
            raise _Opaque
        values = np.ascontiguousarray(x)
        return "array", values.dtype.str, values.shape, hashlib.sha256(values.tobytes()).digest()

    def _function(self, x: types.FunctionType) -> Hashable:
        if _of_library(x):
            return x
        if x in self._open:
            return "itself", self._open.index(x)
        self._open.append(x)
        try:
            cells = [cell.cell_contents for cell in x.__closure__ or ()]
        except ValueError:  # an empty cell
            raise _Opaque from None
        names = [(name, x.__globals__[name]) for name in _names(x.__code__) if name in x.__globals__]
        constants = [
            (name, vars(module)[name])
            for _, module in names
            if isinstance(module, types.ModuleType) and not _of_library(module)
            for name in _names(x.__code__)
            if name in vars(module)
        ]
        key = x.__code__, self.of([x.__defaults__, x.__kwdefaults__, cells, names, constants])
        self._open.pop()
        return key

    def _class(self, x: type) -> Hashable:
        """A class of the user's with what its methods refer to."""
        if _of_library(x) or x in self._open:
            return x
        self._open.append(x)
        own = [pair for base in x.__mro__ if not _of_library(base) for pair in vars(base).items()]
        methods = [(name, method) for name, value in own if (method := _method(value)) is not None]
        key = x, self.of(methods)
        self._open.pop()
        return key


def _method(value: Any) -> types.FunctionType | None:
    """The function behind an attribute of a class: a method (wrapped by Equinox, too) or a property."""
    for inner in ("method", "fget", "__func__", "__wrapped__"):
        value = getattr(value, inner, None) or value
    return value if isinstance(value, types.FunctionType) else None


def _of_library(x: Any) -> bool:
    """Whether it belongs to Python or to a library whose functions and classes do not change."""
    module = x.__name__ if isinstance(x, types.ModuleType) else getattr(x, "__module__", None) or ""
    root = module.partition(".")[0]
    return root in _LIBRARIES or root in sys.stdlib_module_names and root != "__main__"


def _by_identity(x: Any) -> Hashable:
    try:
        hash(x)
    except TypeError:
        raise _Opaque from None
    return x


@functools.lru_cache(maxsize=4096)
def _names(code: types.CodeType) -> tuple[str, ...]:
    """The global names and attributes that code mentions, and the functions inside it."""
    inner = (constant for constant in code.co_consts if isinstance(constant, types.CodeType))
    return tuple(dict.fromkeys([*code.co_names, *(name for one in inner for name in _names(one))]))
