"""A function of one member, traced once; programs of any width are compiled from that trace."""

import collections
import dataclasses
import hashlib
import time
import types
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.extend.core
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from ._members import is_key, Members, rebuild, without_addresses

_ResultItem = type(diffrax.RESULTS.successful)  # equinox has no public name for the class of enumeration items
_REPLICATED = ("jax_enable_x64", "jax_default_matmul_precision", "jax_numpy_dtype_promotion", "jax_default_prng_impl")
_REPLICATED += ("jax_numpy_rank_promotion", "jax_threefry_partitionable")
_MAX_UNIT_BYTES = 64 * 2**20
_MAX_UNIT_BATCHES = 32


def jax_settings() -> tuple[tuple[str, Any], ...]:
    """The parts of JAX's configuration that decide numbers."""
    return tuple((name, getattr(jax.config, name)) for name in _REPLICATED)


@dataclasses.dataclass(frozen=True)
class OutputLeaf:
    """One array leaf of what the function returns; `outcomes` is its enumeration if it is a `RESULTS` item."""

    name: str
    one: jax.ShapeDtypeStruct
    key_impl: Any
    outcomes: Any


@dataclasses.dataclass(frozen=True)
class Outputs:
    """What the function returns for one member: arrays, and the rest, which is the same for all members."""

    leaves: tuple[OutputLeaf, ...]
    treedef: Any
    rest: tuple[Any, ...]  # one entry per leaf of the PyTree; `_ARRAY` where an array belongs

    def rebuild(self, arrays: Sequence[Any]) -> PyTree:
        """The PyTree of stacked outputs."""
        remaining = iter(zip(arrays, self.leaves, strict=True))
        leaves = []
        for entry in self.rest:
            if entry is _ARRAY:
                array, leaf = next(remaining)
                entry = array if leaf.key_impl is None else jax.random.wrap_key_data(array, impl=leaf.key_impl)
            leaves.append(entry)
        return jax.tree.unflatten(self.treedef, leaves)


_ARRAY = object()


class Program:
    """`fn` over up to `capacity` batches of `width` lanes, compiled for one device.

    Width 1 is `fn` itself; any other width is `jax.vmap(fn)`.
    """

    def __init__(self, family: "Family", width: int, device: Any, options: dict[str, Any]) -> None:
        self.width, self.capacity, self.device = width, family.capacity(width), device
        # the precision may come from a context of the caller's thread, which other threads do not see
        self._x64 = bool(dict(jax_settings())["jax_enable_x64"])
        start = time.perf_counter()
        self._lowered: Any = jax.jit(family.unit(width), compiler_options=options or None).lower(
            *family.unit_signature(width, self.capacity, device)
        )
        self._compiled: Any = None
        self.compile_seconds = time.perf_counter() - start

    def compile(self) -> "Program":
        """Finish the compilation, which releases the interpreter, unlike the lowering."""
        start = time.perf_counter()
        self._compiled = self._lowered.compile()
        self._lowered = None
        self.compile_seconds += time.perf_counter() - start
        return self

    def __call__(self, parameters: Any, leaves: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The raw outputs of some members (at most width x capacity)."""
        m = leaves[0].shape[0]
        batches = -(-m // self.width)
        stacked = [_pad(leaf, batches * self.width, self.capacity, self.width) for leaf in leaves]
        with jax.enable_x64(self._x64):
            count, moved = jax.device_put((np.int32(batches), stacked), self.device)
            outputs = self._compiled(count, parameters, moved)
        fetched = [np.asarray(out) for out in outputs]
        return [out.reshape((out.shape[0] * out.shape[1], *out.shape[2:]))[:m] for out in fetched]


class Family:
    """Everything known about one function and one structure of inputs: trace, programs, measured widths."""

    def __init__(self, fn: Callable[..., Any], members: Members) -> None:
        self._inputs = [leaf.one for leaf in members.leaves]
        self._parameters = [jax.ShapeDtypeStruct(np.shape(leaf), _dtype(leaf)) for leaf in parameters_of(fn)]
        # nothing of this object refers to `fn`, which may therefore die, and take its family with it
        self._trace, self.outputs = _traced(fn, members, self._parameters, self._inputs)
        self.is_adaptive = _has_while(self._trace.jaxpr)
        self._programs: dict[Any, Program] = {}
        self.tuned: dict[Any, Any] = {}

    def unit(self, width: int) -> Callable[..., list[Any]]:
        """The program: a loop over batches whose number is data, so that XLA cannot specialize on it."""
        flat = jax.extend.core.jaxpr_as_fun(self._trace)
        outputs = [leaf.one for leaf in self.outputs.leaves]

        def one(parameters: list[Any], leaves: list[Any]) -> list[Any]:
            found = zip(flat(*parameters, *leaves), outputs, strict=True)
            return [jnp.asarray(x, out.dtype) for x, out in found]  # an output that is constant is a Python scalar

        if width == 1:
            batch = lambda p, xs: [out[None] for out in one(p, [x[0] for x in xs])]
        else:
            batch = jax.vmap(one, in_axes=(None, 0))

        def unit(batches: Any, parameters: list[Any], stacked: list[Any]) -> list[Any]:
            capacity = stacked[0].shape[0]
            buffers = [jnp.zeros((capacity, width, *out.shape), out.dtype) for out in outputs]

            def body(i: Any, buffers: list[Any]) -> list[Any]:
                done = batch(parameters, [jax.lax.dynamic_index_in_dim(x, i, 0, False) for x in stacked])
                return [
                    jax.lax.dynamic_update_index_in_dim(buffer, out, i, 0)
                    for buffer, out in zip(buffers, done, strict=True)
                ]

            return jax.lax.fori_loop(jnp.zeros_like(batches), batches, body, buffers)

        return unit

    def unit_signature(self, width: int, capacity: int, device: Any) -> tuple[Any, ...]:
        """Shapes of the arguments of `unit`, placed on `device`."""
        sharding = jax.sharding.SingleDeviceSharding(device)
        place = lambda shape, dtype: jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)
        parameters = [place(p.shape, p.dtype) for p in self._parameters]
        stacked = [place((capacity, width, *x.shape), x.dtype) for x in self._inputs]
        return place((), np.int32), parameters, stacked

    def member_bytes(self) -> int:
        """Bytes of one member's inputs and outputs."""
        shapes = self._inputs + [leaf.one for leaf in self.outputs.leaves]
        return max(1, sum(int(np.prod(s.shape)) * np.dtype(s.dtype).itemsize for s in shapes))

    def capacity(self, width: int) -> int:
        """Batches that one call may hold."""
        return int(np.clip(_MAX_UNIT_BYTES // (width * self.member_bytes()), 1, _MAX_UNIT_BATCHES))

    def base_width(self, n: int, device: Any) -> int:
        """Lanes when nothing was measured: a function of shapes and `n` alone, so that it never changes numbers."""
        widest = 64 if device.platform == "cpu" else 1024
        wanted = 1 << max(1, int(np.ceil(np.log2(max(1, n / 4)))))
        fits = 1 << max(1, int(np.log2(max(2, _MAX_UNIT_BYTES // self.member_bytes()))))
        return min(widest, wanted, fits)

    def program(self, width: int, device: Any, options: dict[str, Any]) -> Program:
        """The compiled program; compiled at most once."""
        key = (width, device, tuple(sorted(options.items())))
        if key not in self._programs:
            self._programs[key] = Program(self, width, device, options).compile()
        return self._programs[key]

    def programs(self, wanted: Sequence[tuple[int, Any, dict[str, Any]]], pool: Any) -> list[Program]:
        """Several programs, compiled side by side, each as soon as it is lowered."""
        keys = [(width, device, tuple(sorted(options.items()))) for width, device, options in wanted]
        new = {
            key: pool.submit(Program(self, *one).compile)
            for key, one in zip(keys, wanted, strict=True)
            if key not in self._programs
        }
        self._programs |= {key: compiling.result() for key, compiling in new.items()}
        return [self._programs[key] for key in keys]

    def fingerprint(self, fn: Callable[..., Any]) -> str:
        """A digest of the traced computation and its constants: the same for the same formula and parameters."""
        digest = hashlib.sha256(without_addresses(str(self._trace.jaxpr)).encode())
        digest.update(_digest_of(self._trace, {}))
        for parameter in parameters_of(fn):
            digest.update(_bytes_of(parameter))
        return digest.hexdigest()


def _traced(fn: Callable[..., Any], members: Members, parameters: list[Any], inputs: list[Any]) -> tuple[Any, Outputs]:
    """The jaxpr of `fn` by its own arrays and those of one member, and what it returns."""
    dynamic, static = eqx.partition(fn, eqx.is_array)
    treedef, key_impls = jax.tree.structure(dynamic), [leaf.key_impl for leaf in members.leaves]
    seen: list[Outputs] = []

    def one(parameters: list[Any], leaves: list[Any]) -> list[Any]:
        given = eqx.combine(jax.tree.unflatten(treedef, parameters), static)
        arrays, outputs = _describe(given(rebuild(members.treedef, leaves, key_impls)))
        seen.append(outputs)
        return arrays

    return jax.make_jaxpr(one)(parameters, inputs), seen[-1]


def parameters_of(fn: Callable[..., Any]) -> list[Any]:
    """The array leaves of a function that is a PyTree, such as an Equinox module; data, not part of the program."""
    return jax.tree.leaves(eqx.filter(fn, eqx.is_array))


_families: "collections.OrderedDict[Any, Family]" = collections.OrderedDict()
_MAX_FAMILIES = 16  # one of an adaptive solve takes 4 MB and more


def family_of(fn: Callable[..., Any], members: Members) -> Family:
    """The family of `fn` and these inputs; remembered, so that a second call compiles nothing.

    The latest few are, each as long as its function exists: that of a lambda in a loop goes with the lambda.
    """
    dynamic, static = eqx.partition(fn, eqx.is_array)
    static_leaves, treedef = jax.tree.flatten(static)
    shapes = tuple((np.shape(leaf), str(_dtype(leaf))) for leaf in jax.tree.leaves(dynamic))
    # 1, 1.0 and True are equal, as are 0.0 and -0.0, but they give different programs
    kinds = tuple((type(leaf), repr(leaf) if isinstance(leaf, float | complex) else "") for leaf in static_leaves)
    held = tuple(weakref.ref(x, _forget) if isinstance(x, types.FunctionType) else x for x in static_leaves)
    key = (held, kinds, treedef, repr(treedef), shapes, members.signature, jax_settings())
    try:
        known = _families.get(key)
    except TypeError:  # something static in `fn` cannot be hashed
        return Family(fn, members)
    if known is None:
        known = _families[key] = Family(fn, members)
        if len(_families) > _MAX_FAMILIES:
            _families.popitem(last=False)
    _families.move_to_end(key)
    return known


def _forget(function: weakref.ref) -> None:
    """Drop the families of a function that is no more: nobody can ask for them."""
    for key in [key for key in list(_families) if any(held is function for held in key[0])]:
        _families.pop(key, None)


def _dtype(leaf: Any) -> Any:
    return leaf.dtype if is_key(leaf) else jax.dtypes.canonicalize_dtype(leaf.dtype)


def _pad(leaf: np.ndarray, members: int, capacity: int, width: int) -> np.ndarray:
    """Repeat the last member to fill its batch; leave the batches that will not run at zero."""
    padded = np.zeros((capacity * width, *leaf.shape[1:]), leaf.dtype)
    padded[: leaf.shape[0]] = leaf
    padded[leaf.shape[0] : members] = leaf[-1]
    return padded.reshape((capacity, width, *leaf.shape[1:]))


def _describe(output: PyTree) -> tuple[list[Any], Outputs]:
    """Split what the function returned into raw arrays and a description that puts them together again."""
    flat, treedef = jax.tree_util.tree_flatten_with_path(output)
    numbered = jax.tree.unflatten(treedef, range(len(flat)))
    items = jax.tree.leaves(numbered, is_leaf=lambda x: isinstance(x, _ResultItem))
    outcomes = {
        jax.tree.leaves(item)[0]: item._enumeration
        for item in items
        if isinstance(item, _ResultItem) and hasattr(item._enumeration, "successful")
    }
    arrays, leaves, rest = [], [], []
    for i, (path, leaf) in enumerate(flat):
        if not isinstance(leaf, jax.Array | np.ndarray | np.generic | bool | int | float | complex):
            rest.append(leaf)
            continue
        rest.append(_ARRAY)
        impl: Any = None
        if isinstance(leaf, jax.Array) and is_key(leaf):
            impl, leaf = str(jax.random.key_impl(leaf)), jax.random.key_data(leaf)
        array = jnp.asarray(leaf)
        arrays.append(array)
        one = jax.ShapeDtypeStruct(array.shape, array.dtype)
        leaves.append(OutputLeaf(jax.tree_util.keystr(path) or "value", one, impl, outcomes.get(i)))
    if not arrays:
        raise ValueError("`fn` returns no array, so an ensemble of it would hold nothing.")
    return arrays, Outputs(leaves=tuple(leaves), treedef=treedef, rest=tuple(rest))


def _has_while(jaxpr: Any) -> bool:
    """True if the work depends on the data: somewhere a loop runs until a condition holds."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "while":
            return True
        if any(hasattr(inner, "eqns") and _has_while(inner) for inner in _params_of(equation)):
            return True
    return False


def _params_of(equation: Any) -> list[Any]:
    """What an equation carries beside its operands, jaxprs whole."""
    return jax.tree.leaves(tuple(equation.params.values()), is_leaf=lambda x: hasattr(x, "eqns"))


def _digest_of(jaxpr: Any, known: dict[int, bytes]) -> bytes:
    """A digest of the constants of a jaxpr and of all jaxprs within it, whose text shows only their shapes.

    By content, and once per jaxpr: whether two equations share one depends on JAX's caches.
    """
    if id(jaxpr) in known:
        return known[id(jaxpr)]
    digest = hashlib.sha256()
    for constant in getattr(jaxpr, "consts", ()):
        digest.update(_bytes_of(constant))
    for equation in jaxpr.eqns:
        for operand in equation.invars:
            if isinstance(operand, jax.extend.core.Literal):
                digest.update(_bytes_of(operand.val))
        for inner in _params_of(equation):
            if hasattr(inner, "eqns"):
                digest.update(_digest_of(inner, known))
            elif hasattr(inner, "__array__"):
                digest.update(_bytes_of(inner))
    known[id(jaxpr)] = digest.digest()
    return known[id(jaxpr)]


def _bytes_of(constant: Any) -> bytes:
    array = np.asarray(jax.random.key_data(constant) if is_key(constant) else constant)
    return f"{array.dtype}{array.shape}".encode() + np.ascontiguousarray(array).tobytes()
