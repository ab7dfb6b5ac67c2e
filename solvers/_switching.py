"""A method for problems of which one does not know whether, or when, they are stiff."""

from collections.abc import Callable
from typing import Any, ClassVar

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, PyTree

from ._radau import AbstractImplicitTerm, Collocation, Radau, unwrapped

_STABLE = 2.5  # steps limited by stability stay above it, at tight tolerances only just: the region ends at 3.5
_PATIENCE = 15  # steps that speak for a switch, less those against it
_POINTS = np.arange(1, 5) / 4
_POWERS = np.linalg.inv(_POINTS[:, None] ** np.arange(1, 5))  # from values there to coefficients, degree 4


class _Memory(eqx.Module):
    """What is carried from step to step."""

    implicit: Array  # whether the next step is
    votes: Array  # steps that spoke for a switch, less those against it
    fresh: Array  # whether the method in use has not made a step yet
    direction: Array  # (n,) towards the Jacobian's largest eigenvalue
    slope: PyTree  # at the end of the last explicit step
    implicit_state: Any


class Switching(diffrax.AbstractImplicitSolver, diffrax.AbstractAdaptiveSolver):
    r"""An explicit method while it is stable at the steps that accuracy wants, `Radau` where it is not.

    While explicit, $h |\lambda|$ is estimated from the difference of two stages at the end of a step; while implicit,
    by one step of a power iteration with the Jacobian. A majority of 15 steps beyond the limit of stability changes
    the method, or of 15 that the explicit one could have made with at most two.

    Dense output is that of the method in use, up to degree 4 of the explicit one.

    - `explicit`: a Runge-Kutta method whose last two stages are at the end of the step and whose last one is its
      result: `diffrax.Tsit5()` (default), `diffrax.Dopri5()`.
    - `implicit`: a `Radau`.

    Under `jax.vmap` every member pays for both methods, so there choose one: `nonstiff()` or `stiff()`.
    Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), section IV.2.
    """

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar[Callable[..., Collocation]] = Collocation

    explicit: diffrax.AbstractERK = eqx.field(default_factory=diffrax.Tsit5)
    implicit: Radau = eqx.field(default_factory=Radau)

    def __check_init__(self):
        tableau: Any = self.explicit.tableau
        if not (tableau.fsal and tableau.c[-1] == 1 and tableau.c[-2] == 1):
            raise ValueError(
                f"Switching needs an explicit method with two stages at the end of a step, such as diffrax.Tsit5(), "
                f"not {type(self.explicit).__name__}()."
            )

    @property
    def root_finder(self) -> Any:
        """That of the implicit method; it takes its tolerances from the step size controller."""
        return self.implicit.root_finder

    @property
    def root_find_max_steps(self) -> int:
        """That of the implicit method."""
        return self.implicit.root_find_max_steps

    def order(self, terms):
        """That of the explicit method, the lower one."""
        return self.explicit.order(terms)

    def error_order(self, terms):
        """That of the explicit method."""
        return self.explicit.error_order(terms)

    def init(self, terms, t0, t1, y0, args):
        """Explicit at first."""
        if isinstance(unwrapped(terms)[0], AbstractImplicitTerm):
            raise ValueError(
                "auto() makes explicit steps, which an implicit equation does not have: pass solver=stiff()."
            )
        flat, _ = ravel_pytree(y0)
        wave = jnp.cos(jnp.arange(1, flat.shape[0] + 1, dtype=flat.dtype) ** 2)  # no eigenvector of anything
        none = jnp.asarray(0, np.int32)
        zero = jax.tree.map(jnp.zeros_like, y0)
        first = self.implicit.init(terms, t0, t1, y0, args)
        return _Memory(jnp.asarray(False), none, jnp.asarray(True), wave, zero, first)

    def func(self, terms, t0, y0, args):
        """The vector field."""
        return terms.vf(t0, y0, args)

    def step(self, terms, t0, t1, y0, args, solver_state, made_jump):
        """A step of the method in use."""
        memory: _Memory = solver_state
        jump = made_jump | memory.fresh

        def explicitly():
            tableau: Any = self.explicit.tableau
            begin = jax.lax.cond(jump, lambda: terms.vf(t0, y0, args), lambda: memory.slope)
            y1, error, k, slope = _explicit_step(terms, tableau, (t0, t1), y0, args, begin)
            inner = self.explicit.interpolation_cls(t0=t0, t1=t1, y0=y0, y1=y1, k=k)
            dense = {"y0": y0, "y1": y1, "curve": _as_polynomial(inner, y0, rows)}
            states = slope, memory.implicit_state
            vote = _stage_size(tableau, k) > _STABLE
            return y1, error, dense, states, vote, memory.direction, diffrax.RESULTS.successful

        def implicitly():
            y1, error, dense, state, result = self.implicit.step(
                terms, t0, t1, y0, args, memory.implicit_state, made_jump=jump
            )
            size, direction = _power_step(terms, t0, y0, args, memory.direction)
            calm = jnp.abs(t1 - t0).astype(size.dtype) * size < 2 * _STABLE  # explicit steps would not be much shorter
            dense["curve"] = jnp.pad(dense["curve"], ((0, rows - self.implicit.stages), (0, 0)))
            return y1, error, dense, (memory.slope, state), calm, direction, result

        rows = max(len(_POINTS), self.implicit.stages)
        y1, error, dense, states, vote, direction, result = jax.lax.cond(memory.implicit, implicitly, explicitly)
        votes = jnp.where(vote, memory.votes + 1, jnp.maximum(memory.votes - 1, 0))
        switch = votes >= _PATIENCE
        memory = _Memory(memory.implicit ^ switch, jnp.where(switch, 0, votes), switch, direction, *states)
        return y1, error, dense, memory, result


def _explicit_step(
    terms: Any, tableau: Any, times: tuple[Any, Any], y0: PyTree, args: PyTree, slope: PyTree
) -> tuple[PyTree, PyTree, PyTree, PyTree]:
    """The end of a step, its error, the slopes times h (stages first), and the slope there.

    One stage after the other: diffrax's loop over them has both modes of differentiation at several times the cost.
    """
    t0, h = times[0], terms.contr(*times)
    slopes = [slope]
    scaled = lambda weights: jax.tree.map(lambda *k: h.astype(k[0].dtype) * _weighted(weights, k), *slopes)
    stage = y0
    for row, node in zip(tableau.a_lower, tableau.c, strict=True):
        stage = jax.tree.map(jnp.add, y0, scaled(row))
        slopes.append(terms.vf(t0 + float(node) * (times[1] - t0), stage, args))
    k = jax.tree.map(lambda *k: h.astype(k[0].dtype) * jnp.stack(k), *slopes)
    return stage, scaled(tableau.b_error), k, slopes[-1]


def _weighted(weights: Any, k: Any) -> Any:
    return sum(float(w) * x for w, x in zip(weights, k, strict=True))


def _stage_size(tableau: Any, k: PyTree) -> Array:
    r"""$h |\lambda|$: of the two stages at the end, the difference of the slopes over that of the states."""
    flat = jax.vmap(lambda k: ravel_pytree(k)[0])(k)
    row = np.zeros(len(flat))
    row[: len(tableau.a_lower[-2])] = tableau.a_lower[-2]
    apart = jnp.tensordot(jnp.asarray(tableau.b_sol - row, flat.dtype), flat, 1)
    above, below = (jnp.linalg.norm(jax.lax.stop_gradient(x)) for x in (flat[-1] - flat[-2], apart))
    return jnp.where(below > 0, above / jnp.where(below > 0, below, 1), 0)


def _power_step(terms: Any, t: Any, y: PyTree, args: PyTree, direction: Array) -> tuple[Array, Array]:
    """The size of the Jacobian times a unit vector, and the direction of the product."""
    flat, unflat = jax.lax.stop_gradient(ravel_pytree(y)[0]), ravel_pytree(y)[1]
    field = lambda y: ravel_pytree(terms.vf(t, unflat(y), args))[0]
    product = jax.lax.stop_gradient(jax.jvp(field, (flat,), (direction / jnp.linalg.norm(direction),))[1])
    size = jnp.linalg.norm(product)
    usable = (size > 0) & jnp.isfinite(size)
    return jnp.where(usable, size, 0), jnp.where(usable, product / jnp.where(usable, size, 1), direction)


def _as_polynomial(interpolation: Any, y0: PyTree, rows: int) -> Array:
    """The dense output of a step, of degree 4 at most, as coefficients (rows, n)."""
    t0, t1 = interpolation.t0, interpolation.t1
    points = t0 + jnp.asarray(_POINTS, jnp.result_type(t1)) * (t1 - t0)
    values = jax.vmap(lambda t: ravel_pytree(interpolation.evaluate(t))[0])(points)
    flat, _ = ravel_pytree(y0)
    curve = jnp.matmul(jnp.asarray(_POWERS, flat.dtype), values - flat[None], precision=jax.lax.Precision.HIGHEST)
    return jnp.pad(curve, ((0, rows - len(_POINTS)), (0, 0)))
