"""Units for the worker processes of an executor: plain bytes and arrays, nothing tied to this process."""

import collections
import concurrent.futures
import dataclasses
import hashlib
import pickle
import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from ._family import Family, family_of, jax_settings, parameters_of
from ._members import Leaf, Members
from ._workers import evaluate

try:  # optional: pickles lambdas and functions of a notebook
    import cloudpickle as _pickler
except ImportError:
    _pickler = pickle


@dataclasses.dataclass(frozen=True)
class Payload:
    """A function of one member and the structure of that member, pickled once."""

    blob: bytes
    digest: str
    settings: tuple[tuple[str, Any], ...]


def payload_of(fn: Callable[..., Any], members: Members) -> Payload:
    """Pickle `fn` for worker processes."""
    template = jax.tree.unflatten(members.treedef, range(len(members.leaves)))
    shapes = [(leaf.name, leaf.one.shape, str(leaf.one.dtype), leaf.key_impl) for leaf in members.leaves]
    try:
        blob = _pickler.dumps((fn, template, shapes))
        if _pickler is pickle:
            pickle.loads(blob)
    except Exception as error:
        raise TypeError(
            f"`fn` or the structure of `inputs` cannot be pickled, so it cannot be sent to another process ({error}). "
            "Define `fn` with `def` at the top level of a module that the workers can import, or "
            "`pip install cloudpickle`, which pickles lambdas and functions defined in a notebook."
        ) from error
    return Payload(blob=blob, digest=hashlib.sha256(blob).hexdigest(), settings=jax_settings())


def check_executor(executor: Any) -> None:
    """Refuse what cannot work."""
    if not isinstance(executor, concurrent.futures.Executor) and not callable(getattr(executor, "submit", None)):
        raise TypeError(f"`executor` must be a concurrent.futures.Executor, not {executor!r}.")
    context = getattr(executor, "_mp_context", None)
    if context is not None and context.get_start_method() == "fork":
        raise ValueError(
            "`executor` starts its processes by `fork`, which deadlocks once JAX has started its threads. Use "
            '`ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn"))`.'
        )


_known: "collections.OrderedDict[str, tuple[Family, list[Any]]]" = collections.OrderedDict()
_MAX_KNOWN = 16


def run_remote(
    payload: Payload, width: int, leaves: Sequence[np.ndarray]
) -> tuple[float, list[np.ndarray], dict[int, str]]:
    """Evaluate some members in a worker process, which keeps one compiled program per function and width."""
    if payload.digest not in _known:
        for name, value in payload.settings:
            if getattr(jax.config, name) != value:
                jax.config.update(name, value)
        fn, members = _unpack(payload.blob)
        _known[payload.digest] = (family_of(fn, members), parameters_of(fn))
        if len(_known) > _MAX_KNOWN:
            _known.popitem(last=False)
    _known.move_to_end(payload.digest)
    family, parameters = _known[payload.digest]
    device = jax.local_devices()[0]
    program = family.program(width, device, {})
    start = time.perf_counter()
    arrays, raised = evaluate(lambda xs: program(parameters, xs), leaves, family.outputs.leaves)
    return time.perf_counter() - start, arrays, raised


def _unpack(blob: bytes) -> tuple[Callable[..., Any], Members]:
    fn, template, shapes = pickle.loads(blob)
    leaves = [Leaf(name=name, array=np.zeros((0, *shape), dtype), key_impl=impl) for name, shape, dtype, impl in shapes]
    return fn, Members(n=0, leaves=tuple(leaves), treedef=jax.tree.structure(template))
