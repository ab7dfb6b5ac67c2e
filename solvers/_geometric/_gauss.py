"""Collocation at the nodes of Gauss, for Hamiltonian fields that do not separate, and for any other."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
from jax.flatten_util import ravel_pytree
from jaxtyping import PyTree
from numpy.polynomial import legendre

from .._exact import exact
from .._simulator import AbstractSimulator
from .._solution import TimeState
from .._tree import all_finite, difference, leaf_name, refuse_other_than_floats
from .._types import parameter
from ._guarded import frozen, guarded, solution
from ._pair import check_state, later
from ._stages import StageNewton


class GaussLegendre(AbstractSimulator[TimeState]):
    r"""Collocation at the s nodes of Gauss, of order 2s: $Z_i = h \sum_j a_{ij} f(t + c_j h, y_0 + Z_j)$,
    $y_1 = y_0 + h \sum_i b_i f(t + c_i h, y_0 + Z_i)$.

    For any vector field, Hamiltonian without being separable above all: symplectic, symmetric, A-stable, and exact for
    quadratic invariants (angular momentum, a norm). The equations are solved to rounding, so that the energy error of
    a Hamiltonian field stays bounded; if that fails, the state is NaN: reduce `dt`.

    - `vector_field`: a function `f(t, y, args)`, called with `args = None`; `y` is any PyTree of real arrays.
    - `dt` $h$: the step, a time; a negative one goes back.
    - `stages`: s, 1 or more.
    - `root_finder`: `StageNewton()` by default; `StageFixedPoint()` for large states and short steps.

    Derivatives are those of the equations (implicit function theorem), in both modes and to any order. Source:
    E. Hairer, C. Lubich, G. Wanner, Geometric Numerical Integration (2006), sections II.1, VI.4 and VIII.6.
    """

    vector_field: Callable[..., PyTree]
    dt: Any = parameter()
    stages: int = eqx.field(default=2, static=True)
    root_finder: optx.AbstractRootFinder = eqx.field(default_factory=StageNewton)
    max_steps: int = eqx.field(default=50, static=True)

    def __check_init__(self) -> None:
        if isinstance(self.stages, bool) or not isinstance(self.stages, int) or self.stages < 1:
            raise ValueError(f"GaussLegendre.stages must be a whole number of at least 1, not {self.stages!r}.")

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        return _stepped(self, self.stages, state)


class ImplicitMidpoint(AbstractSimulator[TimeState]):
    r"""The implicit midpoint rule, $y_1 = y_0 + h f(t + \frac h2, \frac{y_0 + y_1}{2})$.

    `GaussLegendre` with one stage: of order 2, symplectic, symmetric, A-stable, exact for quadratic invariants.

    - `vector_field`: a function `f(t, y, args)`, called with `args = None`; `y` is any PyTree of real arrays.
    - `dt` $h$: the step, a time; a negative one goes back.
    - `root_finder`: `StageNewton()` by default; `StageFixedPoint()` for large states and short steps.

    Where the equation cannot be solved the state is NaN: reduce `dt`. Source: E. Hairer, C. Lubich, G. Wanner,
    Geometric Numerical Integration (2006), sections II.1 and VI.4.
    """

    vector_field: Callable[..., PyTree]
    dt: Any = parameter()
    root_finder: optx.AbstractRootFinder = eqx.field(default_factory=StageNewton)
    max_steps: int = eqx.field(default=50, static=True)

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        return _stepped(self, 1, state)


class _Tableau(NamedTuple):
    c: np.ndarray  # (s,)
    b: np.ndarray  # (s,)
    a: np.ndarray  # (s, s)


@functools.cache
def _gauss(stages: int) -> _Tableau:
    """By the W-transformation, so that b_i a_ij + b_j a_ji = b_i b_j holds to rounding.

    Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), section IV.5.
    """
    x, weights = legendre.leggauss(stages)
    degrees = np.arange(stages)
    w = legendre.legvander(x, stages - 1) * np.sqrt(2 * degrees + 1)[None, :]  # orthonormal: W^T B W = 1
    xi = 1 / (2 * np.sqrt(4.0 * degrees[1:] ** 2 - 1))
    middle = np.diag(xi, -1) - np.diag(xi, 1)
    middle[0, 0] = 0.5
    return _Tableau(c=(1 + x) / 2, b=weights / 2, a=w @ middle @ w.T * weights[None, :] / 2)


def _stepped(simulator: Any, stages: int, state: TimeState) -> TimeState:
    _check(simulator, state)
    return guarded(lambda state: _collocated(simulator, stages, state), state)


def _collocated(simulator: Any, stages: int, state: TimeState) -> TimeState:
    y0, unflat = ravel_pytree(state.y)
    tableau = _gauss(stages)
    c, b, a = (jnp.asarray(x, y0.dtype) for x in tableau)
    h = simulator.dt.astype(y0.dtype)
    times = state.t + jnp.asarray(tableau.c, state.t.dtype) * simulator.dt.astype(state.t.dtype)
    field = lambda t, y: ravel_pytree(simulator.vector_field(t, unflat(y), None))[0]
    slopes = lambda z: jax.vmap(lambda t, z: field(t, y0 + z))(times, z)
    residual = lambda z: z - h * exact(a, slopes(z))
    prepared = lambda start: _prepared(field, (later(state.t, simulator.dt / 2), state.t, start, h), c, a, unflat)
    guess, options = frozen(prepared, y0)(jax.lax.stop_gradient(y0))
    fixed = frozen(residual, guess)
    found = optx.root_find(
        lambda z, _: fixed(z),
        simulator.root_finder,
        guess,
        options=options,
        max_steps=simulator.max_steps,
        throw=False,
    )
    good = (found.result == optx.RESULTS.successful) & all_finite((found.value, y0))
    y1 = y0 + h * exact(b, slopes(solution(residual, found.value, good)))  # h f damps what is left of an error
    return TimeState(t=later(state.t, simulator.dt), y=unflat(jnp.where(good, y1, jnp.nan)))


def _check(simulator: Any, state: TimeState) -> None:
    name = type(simulator).__name__
    check_state(simulator, state, TimeState)
    refuse_other_than_floats(state.y, "state.y")
    for path, leaf in jax.tree_util.tree_leaves_with_path(state.y):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(
                f"{name} needs a state of real numbers, but {leaf_name(path, 'state.y')} is {leaf.dtype}: split it "
                "into real and imaginary part."
            )
    rates = jax.eval_shape(lambda: simulator.vector_field(state.t, state.y, None))
    found = difference(rates, jax.eval_shape(lambda: state.y), "vector_field(t, y, None)")
    if found is not None:
        raise ValueError(f"A vector field must return what y looks like, but {found}.")


def _prepared(field: Callable[..., Any], start: Any, c: Any, a: Any, unflat: Any) -> tuple[Any, dict[str, Any]]:
    """A guess of the stages, and what the iteration needs of the Jacobian in the middle of the step."""
    middle, t0, y0, h = start
    slope = field(t0, y0)
    jacobian = jax.jacfwd(lambda y: field(middle, y))(y0 + h / 2 * slope)
    guess = (c * h)[:, None] * slope[None]
    # corrections in units of what they correct: positions and velocities differ by many orders in some units
    sizes = jnp.abs(y0) + jnp.abs(h * slope)
    each = jax.tree.map(lambda x: jnp.full(x.shape, jnp.max(x, initial=0)), unflat(sizes))
    most = jnp.max(sizes, initial=0)
    most = jnp.where(most > 0, most, 1)
    scale = jnp.maximum(ravel_pytree(each)[0], jnp.finfo(y0.dtype).tiny * 1e8 + 1e-30 * most)
    return guess, dict(matrix=h * a, jacobian=jacobian, scale=scale, most=most)
