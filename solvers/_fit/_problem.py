"""The compiled parts of `fit`: functions of the module, so that a second fit of the same kind compiles nothing."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optimistix as optx
from jaxtyping import Array, Float, PyTree

from ._parameter import Coordinates
from ._result import supports_forward


class Problem(eqx.Module):
    """The residuals as a function of the coordinates."""

    where: Coordinates
    residuals: Callable[[Any, Any], PyTree]
    data: PyTree

    def tree(self, z: Float[Array, " p"]) -> PyTree:
        """The residuals as the user's function returns them."""
        return self.residuals(self.where.at(z), self.data)

    def flat(self, z: Float[Array, " p"]) -> Float[Array, " n"]:
        """The residuals as one vector, in the precision of the coordinates."""
        return jnp.concatenate([jnp.ravel(leaf) for leaf in jax.tree.leaves(self.tree(z))]).astype(z.dtype)


@eqx.filter_jit
def evaluate(problem: Problem, z: Float[Array, " p"]) -> PyTree:
    """The residuals at `z`."""
    return problem.tree(z)


@eqx.filter_jit
def residual_jacobian(problem: Problem, z: Float[Array, " p"], forward: bool) -> Float[Array, "n p"]:
    """The Jacobian of the flat residuals at `z`."""
    return (jax.jacfwd if forward else jax.jacrev)(problem.flat)(z)


@eqx.filter_jit
def search(problem: Problem, z0: Float[Array, " p"], method, forward: bool, max_steps: int):
    """Where the search ends, how, and after how many steps."""
    arrays, rest = eqx.partition(problem, eqx.is_array)
    found = optx.least_squares(
        lambda z, arrays: eqx.combine(arrays, rest).flat(z),
        method,
        z0,
        arrays,
        options={"jac": "fwd" if forward else "bwd"},
        max_steps=max_steps,
        throw=False,
    )
    return found.value, found.result, found.stats["num_steps"]


def forward_mode(problem: Problem, z: Float[Array, " p"]) -> bool:
    """Whether the residuals can be differentiated in forward mode; found out once per kind of problem."""
    arrays, rest = eqx.partition(problem, eqx.is_array_like)
    leaves, structure = jax.tree.flatten(rest)
    shapes = jax.tree.map(lambda x: (jnp.shape(x), str(jnp.result_type(x))), jax.tree.leaves(arrays))
    key = (structure, tuple(leaves), str(shapes))
    return _forward_mode(_Keyed(key, problem, z))


class _Keyed:
    """A problem that equals every other of its kind."""

    def __init__(self, key, problem, z):
        self.key, self.content = key, [problem, z]

    def __hash__(self):
        return hash(self.key)

    def __eq__(self, other):
        return self.key == other.key


@functools.lru_cache(maxsize=64)
def _forward_mode(keyed: _Keyed) -> bool:
    problem, z = keyed.content
    keyed.content.clear()  # the cache keeps the key alone
    return supports_forward(problem.flat, z)
