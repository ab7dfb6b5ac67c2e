"""Jacobians whose entries lie near the diagonal, if need be after the unknowns are put into another order."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import lineax as lx
import numpy as np
import scipy
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from .._tree import is_concrete
from .._types import inexact_asarray, RealScalarLike
from ._cyclic import Bands, factorized, Factors, solved, times, transposed
from ._equation import equation
from ._jacobian import AbstractBlocks, AbstractJacobian
from ._terms import AbstractImplicitTerm


class Banded(AbstractJacobian):
    r"""A Jacobian with $\partial f_i / \partial y_j = 0$ where i and j are more than `width` places apart.

    It is found from 3 `width` products with a vector, and solved with by cyclic reduction in blocks, without pivoting
    between them: n `width`² work instead of n³. Entries farther out are left to the iteration, which then converges
    more slowly or not at all (steps are rejected), never to something else; a derivative that they would spoil is an
    error. A mass matrix must have the same structure, and each algebraic equation must stand where the unknown stands
    that it determines.

    - `width`: half the bandwidth, as unknowns stand in `jax.flatten_util.ravel_pytree(y)`, or in `order`.
    - `order`: which unknown stands where, `order[k]` is the place in `ravel_pytree(y)` of the one that is k-th.

    `banded(vector_field, y0)` finds both. `solver=Radau(5, jacobian=Banded(2))`.
    """

    width: int = eqx.field(static=True)
    order: tuple[int, ...] | None = eqx.field(static=True, default=None, repr=False)

    def __check_init__(self):
        if not isinstance(self.width, int) or self.width < 1:
            raise ValueError(f"Banded: width must be a positive integer, not {self.width!r}.")
        if self.order is not None and sorted(self.order) != list(range(len(self.order))):
            raise ValueError("Banded: order must name every place of the flat state once.")

    def blocks(self, mass, jacobian, factors, scale):
        """Probes and factorizes."""
        n = scale.shape[0]
        bands, order = self.bands(n, 1), self.places(n)
        back = np.argsort(order)
        probes = jnp.asarray(bands.probes(), scale.dtype)[:, back] * scale[None]
        slope, products = jax.vmap(jacobian, out_axes=(None, 0))(probes)
        unit = lambda products: bands.blocks((products / scale[None])[:, order].astype(factors.dtype))
        m, j = unit(jax.vmap(mass)(probes)), unit(products)
        filler = bands.filler(factors.dtype)

        def shifted(factor: Array) -> Factors:
            lower, diagonal, upper = (a - factor * b for a, b in zip(m, j, strict=True))
            return factorized(lower, diagonal + filler, upper)

        return slope, BandedBlocks(jax.vmap(shifted)(factors), bands, tuple(order.tolist()))

    def linear_solver(self, stages):
        """Direct, with the stages of neighboring unknowns beside each other."""
        return StageSolver(self, stages)

    def places(self, n: int) -> np.ndarray:
        """Which of n unknowns stands where."""
        if self.order is not None and len(self.order) != n:
            raise ValueError(f"Banded: order has {len(self.order)} places, the state {n} numbers.")
        return np.arange(n) if self.order is None else np.asarray(self.order)

    def bands(self, n: int, each: int) -> Bands:
        """For n unknowns of `each` numbers."""
        width = min(self.width, n)
        return Bands(size=n * each, width=width * each, number=-(-n // width))


class BandedBlocks(AbstractBlocks):
    """Factorized matrices."""

    factors: Factors  # each with a leading axis m
    bands: Bands = eqx.field(static=True)
    order: tuple[int, ...] = eqx.field(static=True)

    def __call__(self, modes):
        """Cyclic reductions."""
        return jax.vmap(self._solve)(self.factors, modes)

    def first(self, v):
        """One."""
        first = jax.tree.map(lambda a: a[0], self.factors)
        return jnp.real(self._solve(first, v.astype(first.last.dtype)))

    def _solve(self, factors: Factors, v: Array) -> Array:
        order = np.asarray(self.order)
        x = self.bands.joined(solved(factors, self.bands.split(v[order])))
        return x[np.argsort(order)]


class StageSolver(lx.AbstractLinearSolver[Any]):
    """Solves with the derivative of all stages: banded where the Jacobian is, in blocks of `stages` numbers."""

    structure: Banded = eqx.field(static=True)
    stages: int = eqx.field(static=True)

    def init(self, operator, options):
        """The operator's blocks."""
        bands, order = self._layout(operator.in_size())
        probes = jnp.asarray(bands.probes()[:, np.argsort(order)], operator.in_structure().dtype)
        shape = operator.in_structure().shape
        products = jax.vmap(lambda probe: operator.mv(probe.reshape(shape)).reshape(-1))(probes)
        lower, diagonal, upper = bands.blocks(products[:, order])
        blocks = lower, diagonal + bands.filler(diagonal.dtype), upper
        probe = jnp.cos(jnp.arange(1, operator.in_size() + 1, dtype=products.dtype) ** 2)
        whole = operator.mv(probe.reshape(shape)).reshape(-1)
        missed = jnp.max(jnp.abs(bands.joined(times(blocks, bands.split(probe[order]))) - whole[order]))
        complete = missed <= jnp.sqrt(jnp.finfo(missed.dtype).eps) * jnp.max(jnp.abs(whole))
        return jax.tree.map(lambda a: jnp.where(complete, a, jnp.nan), blocks)  # no derivative rather than a wrong one

    def compute(self, state, vector, options):
        """One cyclic reduction."""
        bands, order = self._layout(vector.size)
        x = bands.joined(solved(factorized(*state), bands.split(vector.reshape(-1)[order])))
        return x[np.argsort(order)].reshape(vector.shape), lx.RESULTS.successful, {}

    def transpose(self, state, options):
        """Of the transposed blocks."""
        return transposed(*state), options

    def conj(self, state, options):
        """Of the conjugate blocks."""
        return jax.tree.map(jnp.conj, state), options

    def assume_full_rank(self):
        """Yes."""
        return True

    def _layout(self, size: int) -> tuple[Bands, np.ndarray]:
        """All stages of one unknown after those of another; they come as (stages, n)."""
        n = size // self.stages
        order = self.structure.places(n)
        return self.structure.bands(n, self.stages), (np.arange(self.stages)[None] * n + order[:, None]).reshape(-1)


def _term(vector_field: Any) -> Any:
    return vector_field if isinstance(vector_field, diffrax.AbstractTerm) else diffrax.ODETerm(vector_field)


def banded(
    vector_field: Callable[..., PyTree] | AbstractImplicitTerm,
    y0: PyTree,
    *,
    t0: RealScalarLike = 0.0,
    args: PyTree = None,
) -> Banded:
    """The structure of the Jacobian of a vector field (or a `MassTerm`, a `ResidualTerm`), seen near `y0` at `t0`.

    An entry counts as zero if it is zero at three states there; if others appear later, see `Banded`.

    Unknowns are put into the order of reverse Cuthill and McKee, so that those that act on each other are near each
    other. Needs values, so it cannot be called under `jit`; n products with a vector, n² numbers.
    """
    flat, unflat = ravel_pytree(jax.tree.map(inexact_asarray, y0))
    if not is_concrete((flat, args)):
        raise ValueError("banded looks at values: call it outside jit, vmap and grad, and pass what it returns inside.")
    t0 = jnp.asarray(t0, flat.dtype)
    system = equation(_term(vector_field), args, unflat)
    both: Any = jax.jacfwd(lambda y, slope: system.residual(t0, y, slope), argnums=(0, 1))
    jacobian = jax.jit(lambda y: jnp.sum(jnp.abs(jnp.stack(both(y, jnp.zeros_like(y)))), axis=0))
    random = np.random.default_rng(0)
    size = max(1e-3, 1e-3 * float(jnp.max(jnp.abs(flat), initial=0)))
    nearby = (flat + jnp.asarray(size * random.uniform(0, 1, flat.shape), flat.dtype) for _ in range(3))
    found = np.asarray([jacobian(y) for y in nearby])
    if not np.isfinite(found).all():
        raise ValueError("banded: the Jacobian near y0 is not finite; give a y0 (and t0) that the solution passes.")
    seen = np.any(found != 0, axis=0)
    both = scipy.sparse.csr_matrix(seen | seen.T | np.eye(len(seen), dtype=bool))
    order = scipy.sparse.csgraph.reverse_cuthill_mckee(both, symmetric_mode=True)
    place = np.argsort(order)
    rows, columns = both.nonzero()
    width = int(np.max(np.abs(place[rows] - place[columns]), initial=1))
    return Banded(max(width, 1), tuple(int(k) for k in order))
