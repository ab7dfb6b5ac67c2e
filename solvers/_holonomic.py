"""Mechanical systems with constraints on positions, of index 3, as ordinary equations on a manifold."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ._exact import exact
from ._impulses import impulses, Scales
from ._judge import AbstractJudge, Verdict
from ._radau import constant
from ._results import RESULTS
from ._tree import difference


class Holonomic(eqx.Module):
    r"""$M(q) \dot v = f(t, q, v) - J^T \lambda$ with $g(t, q) = 0$: a vector field of $(q, v)$.

    The constraint is differentiated twice, so that accelerations and multipliers solve one linear system,

    $$\begin{pmatrix} M & J^T \\ J & 0 \end{pmatrix} \begin{pmatrix} \dot v \\ \lambda \end{pmatrix} =
      \begin{pmatrix} f \\ -\gamma \end{pmatrix}, \quad J = \partial g / \partial q, \quad
      \ddot g = J \dot v + \gamma.$$

    What drifts off then is put back after every step by `Projected`:

        integrate(system, y0, ts, solver=Projected(diffrax.Dopri8(), system))

    - `mass`: a function (q, args) -> the mass matrix (n, n), in the order of `jax.flatten_util.ravel_pytree(q)`.
    - `force`: a function (t, q, v, args) -> forces of the structure of q, velocity-dependent ones of M included.
    - `constraint`: a function (t, q, args) -> g, an array () or (m,).

    A state y is a pair (q, v) of one structure, a NamedTuple such as `kinax.physics.Motion` or a tuple. Where rows of J
    depend on one another the accelerations are NaN.
    Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), section VII.1.
    """

    mass: Callable[..., Array]
    force: Callable[..., PyTree]
    constraint: Callable[..., Array]

    def __call__(self, t: Any, y: PyTree, args: PyTree = None) -> PyTree:
        """Velocity and acceleration."""
        acceleration, _ = self._solved(t, y, args)
        q, v = y
        return _like(y, v, ravel_pytree(q)[1](acceleration))

    def multipliers(self, t: Any, y: PyTree, args: PyTree = None) -> Array:
        r"""$\lambda$ (m,): of a rod, $g = |q| - l$, the tension."""
        return self._solved(t, y, args)[1]

    def off(self, t: Any, y: PyTree, args: PyTree = None) -> tuple[Array, Array]:
        r"""$g$ and $\dot g$, (m,) each: zero on the manifold."""
        return self._rates(t, y, args)[:2]

    def project(self, t: Any, y: PyTree, args: PyTree = None) -> PyTree:
        r"""The state on the manifold next to one that is not: q along $M^{-1} J^T$, then v so that $\dot g = 0$.

        Differentiable; NaN if none is found.
        """
        q, unflat = ravel_pytree(y[0])
        v, _ = ravel_pytree(y[1])
        way = _ways(*constant((self.mass(y[0], args), self._jacobian(t, q, unflat, args))))
        t, most = jnp.asarray(t, q.dtype), jnp.max(jnp.abs(q), initial=0)
        residual = lambda x: jnp.ravel(self.constraint(t, unflat(q + exact(way, x)), args))
        start = jnp.zeros(way.shape[1], q.dtype)
        first = constant(exact(way, jnp.linalg.solve(jax.jacfwd(residual)(start), residual(start))))
        size = most + jnp.max(jnp.abs(jnp.where(jnp.isfinite(first), first, 0)), initial=0)
        reach = jnp.max(jnp.abs(way), axis=0, initial=0)
        q = q + exact(way, impulses(residual, start, Scales(reach, size, size)))
        matrix = self._jacobian(t, q, unflat, args)
        way = _ways(self.mass(unflat(q), args), matrix)
        _, rate, _ = self._rates(t, _like(y, unflat(q), unflat(v)), args)
        return _like(y, unflat(q), unflat(v - exact(way, jnp.linalg.solve(exact(matrix, way), rate))))

    def _solved(self, t: Any, y: PyTree, args: PyTree) -> tuple[Array, Array]:
        self._check(t, y, args)
        q, unflat = ravel_pytree(y[0])
        force, _ = ravel_pytree(self.force(t, y[0], y[1], args))
        _, _, rest = self._rates(t, y, args)
        matrix = self._jacobian(t, q, unflat, args)
        m, n = matrix.shape
        whole = jnp.block([[self.mass(y[0], args), matrix.T], [matrix, jnp.zeros((m, m), q.dtype)]])
        found = jnp.linalg.solve(whole, jnp.concatenate([force, -rest]))
        return found[:n], found[n:]

    def _check(self, t: Any, y: PyTree, args: PyTree) -> None:
        if not isinstance(y, tuple) or len(y) != 2 or jax.tree.structure(y[0]) != jax.tree.structure(y[1]):
            raise ValueError(f"Holonomic: a state is a pair (q, v) of one structure, such as Motion(q, v), not {y!r}.")
        found = difference(eqx.filter_eval_shape(self.force, t, *y, args), jax.eval_shape(lambda: y[0]), "force(...)")
        if found is not None:
            raise ValueError(f"Holonomic: force must return what q looks like, but {found}.")
        n = ravel_pytree(y[0])[0].shape[0]
        shape = eqx.filter_eval_shape(self.mass, y[0], args).shape
        if shape != (n, n):
            raise ValueError(f"Holonomic: mass must return a matrix of shape ({n}, {n}), not {shape}.")

    def _jacobian(self, t: Any, q: Array, unflat: Callable[[Array], PyTree], args: PyTree) -> Array:
        return jax.jacrev(lambda q: jnp.ravel(self.constraint(t, unflat(q), args)))(q)

    def _rates(self, t: Any, y: PyTree, args: PyTree) -> tuple[Array, Array, Array]:
        r"""$g$, $\dot g$ and $\gamma$: $\ddot g$ without acceleration."""
        q, unflat = ravel_pytree(y[0])
        v, _ = ravel_pytree(y[1])
        t = jnp.asarray(t, q.dtype)
        value = lambda t, q: jnp.ravel(self.constraint(t, unflat(q), args))
        along = lambda fn: lambda t, q: jax.jvp(fn, (t, q), (jnp.ones_like(t), v))[1]
        return value(t, q), along(value)(t, q), along(along(value))(t, q)


class Projected(diffrax.AbstractAdaptiveSolver, diffrax.AbstractWrappedSolver, AbstractJudge):
    """Any diffrax solver, with each step's end put back on the manifold of a `Holonomic` system.

    The order is kept: what a step leaves the manifold by is part of its error. Dense output is projected too.

    Source: E. Hairer, Ch. Lubich, G. Wanner, Geometric Numerical Integration (2006), section IV.4.
    """

    solver: diffrax.AbstractSolver
    system: Holonomic

    @property
    def term_structure(self) -> Any:
        """That of the solver."""
        return self.solver.term_structure

    @property
    def interpolation_cls(self) -> Callable[..., Any]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """That of the solver, projected."""
        return lambda *, t0, t1, args, **inner: _Interpolation(
            t0, t1, self.solver.interpolation_cls(t0=t0, t1=t1, **inner), self.system, args
        )

    # diffrax takes a wrapper for what it wraps, and changes these: the tolerances of an implicit solver, the loop of
    # an explicit one
    @property
    def root_finder(self) -> Any:
        """That of the solver."""
        return self._inner.root_finder

    @property
    def scan_kind(self) -> Any:
        """That of the solver."""
        return self._inner.scan_kind

    @property
    def _inner(self) -> Any:
        return self.solver

    def order(self, terms: Any) -> Any:
        """That of the solver."""
        return self.solver.order(terms)

    def error_order(self, terms: Any) -> Any:
        """That of the solver."""
        return self.solver.error_order(terms)

    def init(self, terms: Any, t0: Any, t1: Any, y0: PyTree, args: PyTree) -> Any:
        """That of the solver."""
        return self.solver.init(terms, t0, t1, y0, args)

    def step(self, terms: Any, t0: Any, t1: Any, y0: PyTree, args: PyTree, solver_state: Any, made_jump: Any) -> Any:
        """One step of the solver, and back to the manifold."""
        y1, error, dense, state, result = self.solver.step(terms, t0, t1, y0, args, solver_state, made_jump)
        if error is not None:
            # without a way back the step is rejected, and made from its start: even so its derivative must be finite
            back = constant(_flat(self.system.project(t1, y1, args)))
            found = jnp.all(jnp.isfinite(back))
            choose = lambda a, b: jax.tree.map(lambda a, b: jnp.where(found, a, b), a, b)
            t1, y1 = jnp.where(found, t1, t0), choose(y1, y0)
            error = choose(error, jax.tree.map(lambda e: jnp.full_like(e, jnp.inf), error))
        y1 = self.system.project(t1, y1, args)
        return y1, error, dense | {"args": _Args.of(args)}, state, result

    def func(self, terms: Any, t0: Any, y0: PyTree, args: PyTree) -> Any:
        """That of the solver."""
        return self.solver.func(terms, t0, y0, args)

    def judge(self, terms: Any, t0: Any, y0: PyTree, args: PyTree, tolerances: Any) -> Verdict:
        """Whether y0 is on the manifold, to its tolerances."""
        rtol, atol = tolerances
        near, _ = ravel_pytree(self.system.project(t0, y0, args))
        flat, _ = ravel_pytree(y0)
        off = jnp.abs(near - flat) / jnp.maximum(atol + rtol * jnp.abs(flat), jnp.finfo(flat.dtype).tiny)
        off = jax.lax.stop_gradient(jnp.where(jnp.isnan(off), jnp.inf, off))
        result = RESULTS.where(jnp.all(off <= 1), RESULTS.successful, RESULTS.inconsistent_start)
        return Verdict(result, {"start_off_by": jnp.max(off, initial=0), "start_component": jnp.argmax(off)})


class _Args(eqx.Module):
    """`args` as diffrax can store them: arrays, and what is not one beside them."""

    arrays: PyTree
    rest: PyTree = eqx.field(static=True)

    @staticmethod
    def of(args: PyTree) -> "_Args":
        return _Args(*eqx.partition(args, eqx.is_array))

    @property
    def whole(self) -> PyTree:
        return eqx.combine(self.arrays, self.rest)


class _Interpolation(diffrax.AbstractLocalInterpolation):
    t0: Any
    t1: Any
    inner: diffrax.AbstractLocalInterpolation
    system: Holonomic
    args: "_Args"

    def evaluate(self, t0: Any, t1: Any = None, left: bool = True) -> PyTree:
        if t1 is not None:
            return jax.tree.map(jnp.subtract, self.evaluate(t1), self.evaluate(t0))
        return self.system.project(t0, self.inner.evaluate(t0, None, left), self.args.whole)


def _flat(tree: PyTree) -> Array:
    return ravel_pytree(tree)[0]


def _ways(mass: Array, jacobian: Array) -> Array:
    """(n, m): by what each constraint's force moves q."""
    return jnp.linalg.solve(mass, jacobian.T)


def _like(pair: PyTree, first: PyTree, second: PyTree) -> PyTree:
    """A pair of the type of another."""
    return jax.tree.unflatten(jax.tree.structure(pair), jax.tree.leaves((first, second)))
