r"""Inverse and forward dynamics as functions with their own derivatives.

Forward dynamics is differentiated through inverse dynamics, so that nothing differentiates a factorization:
$\delta a = M^{-1} (\delta\tau - \mathrm{ID}_q \delta q - \mathrm{ID}_v \delta v - \mathrm{ID}_\theta \delta\theta)$.
Source: J. Carpentier, N. Mansard, Analytical derivatives of rigid body dynamics algorithms, RSS 2018.
"""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from .._spatial import matmul
from . import _dynamics
from ._configuration import tangent
from ._derivatives import inverse_dynamics_slopes
from ._geometry import Geometry, geometry
from ._solve import solvable
from ._topology import plan


@eqx.filter_custom_jvp
def inverse_dynamics(mechanism: Any, q: Array, v: Array, a: Array) -> Array:
    """The joints' forces (nv,) for an acceleration."""
    return _dynamics.inverse_dynamics(mechanism, geometry(mechanism, plan(mechanism.topology), q), v, a)


@inverse_dynamics.def_jvp
def _inverse_dynamics_jvp(primals, tangents):
    mechanism, q, v, a = primals
    found, change = _changing(mechanism, q, tangents)
    tau = _dynamics.inverse_dynamics(mechanism, found, v, a)
    return tau, change(v, a)


@eqx.filter_custom_jvp
def forward_dynamics(mechanism: Any, q: Array, v: Array, tau: Array, added: Array) -> Array:
    """The acceleration (nv,); `added`, (nv,) or (nv, nv) and symmetric, is added to the mass matrix."""
    solve, bias = solvable(mechanism, geometry(mechanism, plan(mechanism.topology), q), v, added)
    return solve(tau - bias)


@forward_dynamics.def_jvp
def _forward_dynamics_jvp(primals, tangents):
    mechanism, q, v, tau, added = primals
    d_mechanism, dq, dv, d_tau, d_added = tangents
    found, change = _changing(mechanism, q, (d_mechanism, dq, dv, None))
    solve, bias = solvable(mechanism, found, v, added)
    a = solve(tau - bias)
    push = -change(v, a)
    if d_tau is not None:
        push = push + d_tau
    if d_added is not None:
        push = push - (d_added * a if added.ndim == 1 else matmul(d_added, a))
    return a, solve(push)


def _changing(mechanism: Any, q: Array, tangents: tuple[Any, ...]) -> tuple[Geometry, Callable[[Array, Array], Array]]:
    """Where everything is, and (v, a) -> the change of the joints' forces by `tangents`, each one or None."""
    sizes = plan(mechanism.topology)
    d_mechanism, dq, dv, da = tangents
    if any(x is not None for x in jax.tree.leaves(d_mechanism)):  # one pass for everything: no matrices to keep
        place = lambda m, q: geometry(m, sizes, q)
        found, d_found = eqx.filter_jvp(place, (mechanism, q), (d_mechanism, dq))
        along = lambda v, a: eqx.filter_jvp(
            _dynamics.inverse_dynamics, (mechanism, found, v, a), (d_mechanism, d_found, dv, da)
        )
        return found, lambda v, a: along(v, a)[1]
    found = geometry(mechanism, sizes, q)

    def change(v: Array, a: Array) -> Array:
        total = jnp.zeros_like(v)
        if any(x is not None for x in (dq, dv, da)):
            slopes = inverse_dynamics_slopes(mechanism, sizes, found, v, a)
            if dq is not None:
                total = total + matmul(slopes.q, tangent(mechanism.masks.chart, q, dq))
            if dv is not None:
                total = total + matmul(slopes.v, dv)
            if da is not None:
                total = total + matmul(slopes.a, da)
        return total

    return found, change
