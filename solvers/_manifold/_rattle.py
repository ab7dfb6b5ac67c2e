"""Mechanical systems with holonomic constraints."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from .._exact import exact
from .._geometric._guarded import frozen, guarded, solution
from .._geometric._pair import check_separable, joined, later
from .._impulses import impulses, Scales
from .._simulator import AbstractCautious
from .._solution import TimeState
from .._tree import all_finite, is_concrete, is_float
from .._types import as_parameter, parameter

_OFF = 1e-6  # a state further off its constraints, relative to sizes and speeds, is an error


class RATTLE(AbstractCautious[TimeState]):
    r"""Velocity Verlet on the constraint $g(q) = 0$, with its velocities $J \dot q = 0$, $J = \partial g / \partial q$.

    $$p_{1/2} = p_0 + \tfrac h2 f(q_0) - J_0^T \lambda, \quad q_1 = q_0 + h\, \dot q(p_{1/2}), \quad g(q_1) = 0,$$
    $$p_1 = p_{1/2} + \tfrac h2 f(q_1) - J_1^T \mu, \quad J_1\, \dot q(p_1) = 0.$$

    Order 2, symmetric, symplectic: the energy oscillates and does not drift, and compositions have higher orders.
    Both constraints hold to rounding after every step. The multipliers are differentiated as solutions of their
    equations, in both modes and to any order. Equations that cannot be solved (dependent constraints, a step too long)
    give NaN.

    - `vector_field`: a function `f(t, y, args)` of a state with two parts of the same structure, $(q, p)$ or
      $(q, v)$, e.g. `Hamiltonian(...)`. The rate of neither part may depend on that part itself (no drag, no magnetic
      field).
    - `constraint`: a function `g(q)`, an array () or (m,). Its rows must be independent.
    - `dt`: the step, a time.
    - `mass`: what a force is divided by in the rate of the second part: 1 (default) for momenta, the masses for
      velocities, a number or a PyTree like q, or like its upper part; masses of particles are (n, 1)
      beside positions (n, dim).

    A state that is off its constraints is refused, or gives NaN if its value is not known; `project` moves it there.
    The positions are those of SHAKE, which differs in the velocities alone.

    Source: J.-P. Ryckaert, G. Ciccotti, H. J. C. Berendsen, J. Comput. Phys. 23, 327 (1977),
    doi:10.1016/0021-9991(77)90098-5; H. C. Andersen, J. Comput. Phys. 52, 24 (1983),
    doi:10.1016/0021-9991(83)90014-1; E. Hairer, Ch. Lubich, G. Wanner, Geometric Numerical Integration (2006),
    section VII.1.4.
    """

    vector_field: Callable[..., PyTree]
    constraint: Callable[[PyTree], Array]
    dt: Any = parameter()
    mass: PyTree = eqx.field(converter=lambda tree: jax.tree.map(as_parameter, tree), default=1.0)

    def __check_init__(self) -> None:
        masses = jax.tree.leaves(self.mass)
        if is_concrete(masses) and any(isinstance(m, jax.Array) and not bool(jnp.all(m > 0)) for m in masses):
            raise ValueError(f"RATTLE.mass must be positive, not {self.mass}.")

    def __call__(self, state: TimeState) -> TimeState:
        """The state at `t + dt`."""
        if is_concrete((self, state)):
            self.check(state)
        return guarded(self._step, state)

    def _step(self, state: TimeState) -> TimeState:
        flat, middle, end = _Flat(self, state), later(state.t, self.dt / 2), later(state.t, self.dt)
        here = flat.constraints(state.t, flat.q, flat.z)
        h = self.dt.astype(flat.q.dtype)
        q, z = flat.q, flat.z + h / 2 * flat.force(state.t, flat.q)
        arrive = lambda x: q + h * flat.rate(middle, z - flat.divided(exact(x, here.jacobian)))
        start = jnp.where(_fine(here, flat, h), jnp.zeros_like(here.residual), jnp.nan)
        motion = _most(arrive(start) - q)
        scales = Scales(reach=jnp.abs(h) * here.reach, size=_most(q) + motion, motion=motion)
        x = _impulses(lambda x: flat.residual(arrive(x)), start, scales)
        q1 = arrive(x)
        z = z - flat.divided(exact(x, here.jacobian)) + h / 2 * flat.force(end, q1)
        return TimeState(t=end, y=flat.tree(q1, flat.tangent(end, q1, z)))

    def project(self, state: TimeState) -> TimeState:
        r"""A state on the constraints next to one that is not: q along $W J^T$, $W = \partial \dot q / \partial p$.

        Then the second part, so that $J \dot q = 0$. Differentiable; NaN if there is none near.
        """
        return guarded(self._placed, state)

    def _placed(self, state: TimeState) -> TimeState:
        flat = _Flat(self, state)
        here = flat.constraints(state.t, flat.q, flat.z)
        arrive = lambda x: flat.q + exact(x, here.response)
        scales = Scales(here.reach, _most(flat.q), jnp.zeros_like(_most(flat.q)))
        q = arrive(_impulses(lambda x: flat.residual(arrive(x)), jnp.zeros_like(here.residual), scales))
        return TimeState(t=state.t, y=flat.tree(q, flat.tangent(state.t, q, flat.z)))

    def multipliers(self, state: TimeState) -> Array:
        r"""$\lambda$, shaped like $g$, of the constraints' force $-J^T \lambda$ in continuous time.

        From $\ddot g = 0$. For $g = |q| - l$ it is the tension of the rod [force].
        """
        flat = _Flat(self, state)
        here = flat.constraints(state.t, flat.q, flat.z)
        velocity = lambda t, q, z: jax.jvp(flat.residual, (q,), (flat.rate(t, z),))[1]
        free = (jnp.ones_like(state.t), flat.rate(state.t, flat.z), flat.force(state.t, flat.q))
        _, acceleration = jax.jvp(velocity, (state.t, flat.q, flat.z), free)
        found = jnp.linalg.solve(here.matrix, acceleration)
        return found.reshape(jax.eval_shape(self.constraint, flat.y[0]).shape)

    def check(self, state: TimeState) -> None:
        """Raise a ValueError if constraints depend on one another, or if the state is not on them (known values)."""
        _refuse(*_look(self, state))


class _Constraints(NamedTuple):
    residual: Array  # (m,)
    jacobian: Array  # (m, n)
    response: Array  # (m, n): by what a unit of each multiplier changes the rate of q
    matrix: Array  # (m, m): by what it changes the rate of the residuals
    reach: Array  # (m,)
    normal: Array  # (m,): the rate of the residuals


class _Flat:
    """A simulator at a state, with vectors for the two parts of it."""

    def __init__(self, simulator: RATTLE, state: TimeState) -> None:
        check_separable(simulator, simulator.vector_field, state.t, state.y)
        self.t, self.y, self._simulator = state.t, state.y, simulator
        self.q, self._unflat = ravel_pytree(state.y[0])
        self.z, _ = ravel_pytree(state.y[1])
        if self.q.shape != self.z.shape:
            raise ValueError(f"RATTLE needs a state of two parts that look alike, not {state.y}.")
        spread = lambda m, part: jax.tree.map(lambda x: jnp.broadcast_to(m, x.shape).astype(x.dtype), part)
        try:
            self._mass, _ = ravel_pytree(jax.tree.map(spread, simulator.mass, state.y[1]))
        except ValueError:
            raise ValueError(
                f"RATTLE.mass must be a number, or a PyTree whose shapes broadcast to those of q, not {simulator.mass}."
            ) from None

    def tree(self, q: Array, z: Array) -> PyTree:
        return joined(self.y, self._unflat(q), self._unflat(z))

    def divided(self, force: Array) -> Array:
        return force / self._mass

    def residual(self, q: Array) -> Array:
        value = self._simulator.constraint(self._unflat(q))
        if not is_float(value):
            raise ValueError(f"RATTLE.constraint must return one float array, () or (m,), not {value!r}: stack them.")
        return jnp.ravel(value)

    def rate(self, t: Array, z: Array) -> Array:
        return self._field(t, self.q, z)[0]

    def force(self, t: Array, q: Array) -> Array:
        return self._field(t, q, self.z)[1]

    def _field(self, t: Array, q: Array, z: Array) -> tuple[Array, Array]:
        first, second = self._simulator.vector_field(t, self.tree(q, z), None)
        return ravel_pytree(first)[0], ravel_pytree(second)[0]

    def constraints(self, t: Array, q: Array, z: Array) -> _Constraints:
        jacobian = jax.jacrev(self.residual)(q)
        velocity, push = jax.linearize(lambda z: self.rate(t, z), z)
        response = jax.vmap(lambda row: push(self.divided(row)))(jacobian)
        reach = jnp.max(jnp.abs(response), axis=1)
        matrix = exact(jacobian, response.T)
        return _Constraints(self.residual(q), jacobian, response, matrix, reach, exact(jacobian, velocity))

    def tangent(self, t: Array, q: Array, z: Array) -> Array:
        """The second part without what would leave the constraints at q."""
        here = self.constraints(t, q, z)
        leave = lambda x: z - self.divided(exact(x, here.jacobian))
        reach = jnp.max(jnp.abs(here.jacobian / self._mass[None]), axis=1)
        scales = Scales(reach, _most(z), _most(z))
        x = _impulses(lambda x: exact(here.jacobian, self.rate(t, leave(x))), jnp.zeros_like(here.residual), scales)
        return leave(x)


def _impulses(fn: Callable[[Array], Array], start: Array, scales: Scales) -> Array:
    """Of the equation fn = 0, NaN if there are none; one that has none has no derivative either."""
    found = impulses(frozen(fn, start), jax.lax.stop_gradient(start), scales)
    good = all_finite(found)
    return jnp.where(good, solution(fn, found, good), jnp.nan)


def _most(x: Array) -> Array:
    return jnp.max(jnp.abs(x), initial=0)


def _scaled(matrix: Array) -> Array:
    """With ones on the diagonal, where it is not zero."""
    diagonal = jnp.diagonal(matrix)
    root = jnp.sqrt(jnp.where(diagonal > 0, diagonal, 1))
    return matrix / root[None] / root[:, None]


def _independent(matrix: Array) -> Array:
    """Whether no row of the Jacobian lies in the span of those before it, to rounding."""
    pivots = jnp.diagonal(jnp.linalg.cholesky(_scaled(matrix))) ** 2
    return jnp.all(pivots > 16 * matrix.shape[0] * jnp.finfo(matrix.dtype).eps)


def _refuse(here: _Constraints, fine: Array) -> None:
    if not is_concrete((here, fine)) or bool(fine):
        return
    if not bool(_independent(here.matrix)):
        size, rank = len(here.residual), int(jnp.linalg.matrix_rank(_scaled(here.matrix)))
        raise ValueError(
            f"The Jacobian of the constraint has the rank {rank} at this state, not {size}: its rows depend on one "
            "another, or one is zero. Leave out constraints that follow from others."
        )
    raise ValueError(
        f"The state is not on its constraints: g(q) = {here.residual}, and its rate is {here.normal}, instead of zero. "
        "Start from `simulator.project(state)`."
    )


@eqx.filter_jit
def _look(simulator: RATTLE, state: TimeState) -> tuple[_Constraints, Array]:
    """The constraints at a state, and whether it is on them."""
    flat = _Flat(simulator, state)
    here = flat.constraints(state.t, flat.q, flat.z)
    return here, _fine(here, flat, simulator.dt.astype(flat.q.dtype))


def _fine(here: _Constraints, flat: _Flat, h: Array) -> Array:
    """Whether a state is on its constraints, with its velocity, and these are independent."""
    eps = jnp.finfo(h.dtype).eps
    rtol, h = max(_OFF, 1e3 * eps), jnp.abs(h)
    speed, push = _most(flat.rate(flat.t, flat.z)), _most(flat.divided(flat.force(flat.t, flat.q)))
    size = _most(flat.q) + h * speed + 1
    back = lambda residual: _most(exact(jnp.linalg.solve(here.matrix, residual), here.response))
    near = back(here.residual) <= rtol * (_most(flat.q) + h * speed) + 100 * eps
    along = back(here.normal) <= rtol * (speed + h * push) + 100 * eps * size / h
    return _independent(here.matrix) & near & along
