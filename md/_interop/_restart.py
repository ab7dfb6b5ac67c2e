"""Restart files: the whole state of a run, exact to the bit."""

import dataclasses
import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...solvers._checkpoint import read_arrays, write_arrays
from .._dynamics import Dynamics
from .._neighbors import AllPairs, NeighborList

_KINDS = {kind.__name__: kind for kind in (AllPairs, NeighborList)}


def write_restart(path: str | os.PathLike[str], state: Dynamics) -> None:
    """Save a state, `solution.state`: all bits of it, the neighbor list and random keys included.

    The file appears whole or not at all, and takes the place of an older one. OSError if the disk is full; the older
    one is then left as it was.
    """
    write_state(path, state, {})


def read_restart(path: str | os.PathLike[str], like: Dynamics) -> Dynamics:
    """The state that `write_restart` saved; a run from it gives the bits that it would have given without a stop.

    `like`: a state of the same kind, `dynamics.start(system)`, whose values do not matter. Raises ValueError if the
    file is damaged, or holds a state of another kind.
    """
    return read_state(path, like)[0]


def write_state(path: str | os.PathLike[str], state: Dynamics, notes: dict[str, Any]) -> None:
    """A state and notes beside it."""
    kind = type(state.neighbors)
    if kind.__name__ not in _KINDS:
        raise ValueError(f"Restart files hold {' or '.join(_KINDS)}, not {kind.__name__}.")
    arrays, fixed = [], {}
    for field in dataclasses.fields(state.neighbors):
        value = getattr(state.neighbors, field.name)
        if field.metadata.get("static"):
            fixed[field.name] = value
        else:
            arrays.append(np.asarray(value))
    arrays += [_plain(x) for x in jax.tree.leaves(_rest(state))]
    about = {"neighbors": kind.__name__, "fixed": fixed, "every": state.every, "notes": notes}
    write_arrays(path, about, arrays)


def read_state(path: str | os.PathLike[str], like: Dynamics) -> tuple[Dynamics, dict[str, Any]]:
    """A state and the notes beside it."""
    about, arrays = read_arrays(path)
    if not isinstance(about, dict) or about.get("neighbors") not in _KINDS:
        raise ValueError(f"{str(path)!r} is no restart file.")
    kind = _KINDS[about["neighbors"]]
    fields = [f for f in dataclasses.fields(kind) if not f.metadata.get("static")]
    held = {f.name: jnp.asarray(x) for f, x in zip(fields, arrays, strict=False)}
    neighbors = kind(**held, **{name: _tuples(x) for name, x in about["fixed"].items()})
    leaves, structure = jax.tree.flatten(_rest(like))
    arrays = arrays[len(fields) :]
    shapes = [(x.shape, x.dtype) for x in arrays], [(x.shape, x.dtype) for x in map(_plain, leaves)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"{str(path)!r} holds another kind of state than `like`: another number of atoms, another dtype or another "
            f"integrator. Its arrays are {shapes[0]}, those of `like` {shapes[1]}."
        )
    rest = jax.tree.unflatten(structure, [_like(x, leaf) for x, leaf in zip(arrays, leaves, strict=True)])
    return dataclasses.replace(like, **rest, neighbors=neighbors, every=about["every"]), about["notes"]


def _rest(state: Dynamics) -> dict[str, Any]:
    """The state without its neighbors and what is static."""
    names = {f.name for f in dataclasses.fields(state)} - {"neighbors", "every"}
    return {name: getattr(state, name) for name in sorted(names)}


def _plain(leaf: Any) -> np.ndarray:
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _like(array: np.ndarray, leaf: Any) -> Any:
    if _is_key(leaf):
        return jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf))
    return jnp.asarray(array)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
