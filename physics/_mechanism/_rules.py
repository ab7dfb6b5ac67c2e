r"""Inverse and forward dynamics as functions with their own derivatives.

Forward dynamics is differentiated through inverse dynamics, so that nothing differentiates a factorization:
$\delta a = M^{-1} (\delta\tau - \mathrm{ID}_q \delta q - \mathrm{ID}_v \delta v - \mathrm{ID}_\theta \delta\theta)$.
Source: J. Carpentier, N. Mansard, Analytical derivatives of rigid body dynamics algorithms, RSS 2018.
"""

from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array

from .._spatial import matmul
from . import _dynamics
from ._configuration import tangent
from ._derivatives import inverse_dynamics_slopes
from ._geometry import geometry
from ._solve import solvable
from ._topology import plan


@eqx.filter_custom_jvp
def inverse_dynamics(mechanism: Any, q: Array, v: Array, a: Array) -> Array:
    """The joints' forces (nv,) for an acceleration."""
    return _dynamics.inverse_dynamics(mechanism, geometry(mechanism, plan(mechanism.topology), q), v, a)


@inverse_dynamics.def_jvp
def _inverse_dynamics_jvp(primals, tangents):
    mechanism, q, v, a = primals
    sizes = plan(mechanism.topology)
    found = geometry(mechanism, sizes, q)
    tau = _dynamics.inverse_dynamics(mechanism, found, v, a)
    return tau, _change_of_forces(mechanism, sizes, found, (q, v, a), tangents)


@eqx.filter_custom_jvp
def forward_dynamics(mechanism: Any, q: Array, v: Array, tau: Array, added: Array) -> Array:
    """The acceleration (nv,); `added`, (nv,) or (nv, nv) and symmetric, is added to the mass matrix."""
    solve, bias = solvable(mechanism, geometry(mechanism, plan(mechanism.topology), q), v, added)
    return solve(tau - bias)


@forward_dynamics.def_jvp
def _forward_dynamics_jvp(primals, tangents):
    mechanism, q, v, tau, added = primals
    d_mechanism, dq, dv, d_tau, d_added = tangents
    sizes = plan(mechanism.topology)
    found = geometry(mechanism, sizes, q)
    solve, bias = solvable(mechanism, found, v, added)
    a = solve(tau - bias)
    push = -_change_of_forces(mechanism, sizes, found, (q, v, a), (d_mechanism, dq, dv, None))
    if d_tau is not None:
        push = push + d_tau
    if d_added is not None:
        push = push - (d_added * a if added.ndim == 1 else matmul(d_added, a))
    return a, solve(push)


def _change_of_forces(
    mechanism: Any, sizes: Any, found: Any, at: tuple[Array, ...], tangents: tuple[Any, ...]
) -> Array:
    """The change of the joints' forces by changes of the parameters, q, v and a, each a tangent or None."""
    (q, v, a), (d_mechanism, dq, dv, da) = at, tangents
    if any(x is not None for x in jax.tree.leaves(d_mechanism)):  # one pass for everything: no matrices to keep
        again = lambda m, q, v, a: _dynamics.inverse_dynamics(m, geometry(m, sizes, q), v, a)
        return eqx.filter_jvp(again, (mechanism, q, v, a), (d_mechanism, dq, dv, da))[1]
    change = jax.numpy.zeros_like(v)
    if any(x is not None for x in (dq, dv, da)):
        slopes = inverse_dynamics_slopes(mechanism, sizes, found, v, a)
        if dq is not None:
            change = change + matmul(slopes.q, tangent(sizes, mechanism.masks, q, dq))
        if dv is not None:
            change = change + matmul(slopes.v, dv)
        if da is not None:
            change = change + matmul(slopes.a, da)
    return change
