"""Runge-Kutta methods that stay on Lie groups."""

from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree

from .._fixed_step import FixedStep
from .._geometric._pair import later
from .._presets import nonstiff
from .._simulator import AbstractSimulator
from .._solution import TimeState
from .._tree import difference, is_concrete
from .._types import parameter
from ._groups import AbstractLieGroup

_APART = 1e-3  # what is further from its group than this, relative to 1, is an error


class RungeKuttaMuntheKaas(AbstractSimulator[TimeState]):
    r"""Advances $\dot g = g\, \widehat{a(t, g)}$ by `dt` with a Runge-Kutta method in the algebra.

    Around the element at the start of a step $g = g_0 \exp u$, and $\dot u = \mathrm{dexp}^{-1}_{-u} a(t, g_0 \exp u)$
    is an ordinary equation from $u = 0$, which any method solves with its order. g stays on the group to rounding.

    - `vector_field`: a function `f(t, y, args)`, called with `args = None`; it returns velocities of `groups`, for
      rotations the angular velocity in the axes of the body.
    - `groups`: a group, or a PyTree of groups for the parts of `y`:

            top = lambda t, y, args: (y[1], cross(inertia * y[1], y[1]) / inertia)  # attitude, angular velocity
            RungeKuttaMuntheKaas(top, (UnitQuaternion(), Euclidean()), dt=0.01, solver=diffrax.Dopri8())

    - `dt`: the step, a time in which nothing turns by a full turn.
    - `solver`: a diffrax solver, `nonstiff()` by default.

    An element that is off its group by more than 0.1 percent (a quaternion of norm 0 or 2) is refused, or NaN if its
    value is not known; by less, it is moved there (`project`).
    Source: H. Munthe-Kaas, Appl. Numer. Math. 29, 115 (1999), doi:10.1016/S0168-9274(98)00030-0.
    """

    vector_field: Callable[..., PyTree]
    groups: PyTree
    dt: Any = parameter()
    solver: diffrax.AbstractSolver = eqx.field(default_factory=nonstiff)

    def __check_init__(self) -> None:
        _check_groups(self.groups)

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        start = _start(self.groups, state.y)

        def rate(t: Array, u: PyTree, args: None) -> PyTree:
            velocity = _velocity(self.vector_field, self.groups, t, _moved(self.groups, start, u))
            return _each(self.groups, lambda group, u, a: group.dexpinv(u, a), u, velocity)

        origin = _each(self.groups, lambda group, g: group.zero(g), start)
        if isinstance(self.solver, diffrax.AbstractERK):
            u = _explicit(rate, self.solver.tableau, TimeState(t=state.t, y=origin), self.dt)
        else:
            u = FixedStep(rate, self.dt, self.solver)(TimeState(t=state.t, y=origin)).y
        return TimeState(t=later(state.t, self.dt), y=_moved(self.groups, start, u))


class CommutatorFree(AbstractSimulator[TimeState]):
    r"""Advances $\dot g = g\, \widehat{a(t, g)}$ by `dt` with products of exponentials alone, of order 4.

    Four evaluations and five exponentials, the last two of them $\exp(\frac{h}{12} (3 a_1 + 2 a_2 + 2 a_3 - a_4))$ and
    $\exp(\frac{h}{12} (-a_1 + 2 a_2 + 2 a_3 + 3 a_4))$. Neither a commutator nor `dexpinv` is needed, and steps may be
    longer than a turn.

    `vector_field`, `groups`, `dt` and what is refused: as for `RungeKuttaMuntheKaas`.
    Source: E. Celledoni, A. Marthinsen, B. Owren, Future Gener. Comput. Syst. 19, 341 (2003),
    doi:10.1016/S0167-739X(02)00161-9.
    """

    vector_field: Callable[..., PyTree]
    groups: PyTree
    dt: Any = parameter()

    def __check_init__(self) -> None:
        _check_groups(self.groups)

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        start, half = _start(self.groups, state.y), self.dt / 2
        velocity = lambda t, y: _velocity(self.vector_field, self.groups, t, y)
        move = lambda y, weights, *slopes: _moved(self.groups, y, _combined(self.dt, weights, slopes))
        a1 = velocity(state.t, start)
        second = move(start, (1 / 2,), a1)
        a2 = velocity(later(state.t, half), second)
        a3 = velocity(later(state.t, half), move(start, (1 / 2,), a2))
        a4 = velocity(later(state.t, self.dt), move(second, (-1 / 2, 1), a1, a3))
        middle = move(start, (1 / 4, 1 / 6, 1 / 6, -1 / 12), a1, a2, a3, a4)
        end = move(middle, (-1 / 12, 1 / 6, 1 / 6, 1 / 4), a1, a2, a3, a4)
        return TimeState(t=later(state.t, self.dt), y=end)


def _explicit(field: Callable[..., PyTree], tableau: Any, origin: TimeState, dt: Array) -> PyTree:
    """The end of a step from zero. In a loop: unrolled, the derivative of eight stages takes minutes to compile."""
    used = max(i for i, b in enumerate(tableau.b_sol) if b != 0) + 1  # without the stage carried over (FSAL)
    nodes, square = np.append(0.0, tableau.c)[:used], np.zeros((used, used))
    for k, row in enumerate(tableau.a_lower[: used - 1], start=1):
        square[k, :k] = row

    def total(weights: Any, slopes: PyTree) -> PyTree:
        return jax.tree.map(lambda k: jnp.tensordot(jnp.asarray(weights, k.dtype), k, 1), slopes)

    def stage(slopes: PyTree, k: Array) -> tuple[PyTree, None]:
        t = later(origin.t, jnp.asarray(nodes, dt.dtype)[k] * dt)
        slope = field(t, total(jnp.asarray(square)[k], slopes), None)
        return jax.tree.map(lambda all_, one: all_.at[k].set(dt.astype(one.dtype) * one), slopes, slope), None

    none = jax.tree.map(lambda x: jnp.zeros((used, *x.shape), x.dtype), origin.y)
    slopes, _ = jax.lax.scan(stage, none, jnp.arange(used))
    return total(tableau.b_sol[:used], slopes)


def _is_group(x: Any) -> bool:
    return isinstance(x, AbstractLieGroup)


def _check_groups(groups: PyTree) -> None:
    for leaf in jax.tree.leaves(groups, is_leaf=_is_group):
        if not _is_group(leaf):
            raise ValueError(
                f"groups must hold Lie groups (SO3(), UnitQuaternion(), SE3(), Euclidean()), not {leaf!r}."
            )


def _each(groups: PyTree, fn: Callable[..., PyTree], *trees: PyTree) -> PyTree:
    """`fn(group, part, ...)` for every group and its parts of the trees."""
    return jax.tree.map(fn, groups, *trees, is_leaf=_is_group)


def _moved(groups: PyTree, y: PyTree, u: PyTree) -> PyTree:
    return _each(groups, lambda group, g, u: group.product(g, group.exp(u)), y, u)


def _combined(dt: Array, weights: Any, slopes: Any) -> PyTree:
    """dt sum_i weights_i slopes_i."""
    total = lambda *k: sum(w * x for w, x in zip(weights, k, strict=True))
    return jax.tree.map(lambda *k: dt.astype(k[0].dtype) * total(*k), *slopes)


def _start(groups: PyTree, y: PyTree) -> PyTree:
    """The elements of a state, moved onto their groups; refused, or NaN, if they are not next to them."""
    try:
        jax.tree.structure(groups, is_leaf=_is_group).flatten_up_to(y)
    except ValueError as error:
        raise ValueError(f"groups must have the structure of the state, or of its upper part: {error}") from None

    def place(group: AbstractLieGroup, g: PyTree) -> PyTree:
        group.zero(g)  # looks at the shapes
        near = group.project(g)
        if near is g:
            return g
        gaps = jax.tree.map(lambda a, b: jnp.max(jnp.abs(a - b), initial=0), g, near)
        close = jax.tree.reduce(jnp.logical_and, jax.tree.map(lambda gap: gap <= _APART, gaps), jnp.asarray(True))
        if is_concrete(close) and not bool(close):
            name = type(group).__name__
            raise ValueError(f"{g!r} is not in {name}: use {name}().project(g), or check it (a quaternion of norm 0?).")
        return jax.tree.map(lambda x: jnp.where(close, x, jnp.nan), near)

    return _each(groups, place, y)


def _velocity(vector_field: Callable[..., PyTree], groups: PyTree, t: Array, y: PyTree) -> PyTree:
    """What the vector field returns, if it is made of velocities."""
    velocity = vector_field(t, y, None)
    expected = _each(groups, lambda group, g: group.zero(g), y)
    found = difference(jax.eval_shape(lambda: velocity), jax.eval_shape(lambda: expected), "vector_field(t, y, args)")
    if found is not None:
        raise ValueError(f"The vector field must return velocities of the groups, (3,) for a rotation, but {found}.")
    return velocity
