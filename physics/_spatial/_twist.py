"""Cross products of 6-vectors, angular part first. Source: R. Featherstone, Rigid Body Dynamics Algorithms (2008)."""

import jax.numpy as jnp
from jaxtyping import Array

from ...solvers import compiled
from ._vectors import cross3


@compiled
def twist_cross(v: Array, m: Array) -> Array:
    r"""$v \times m = (\omega \times m_\omega,\; \omega \times m_v + v_v \times m_\omega)$: the rate of m moved by v."""
    angular = cross3(v[:3], m[:3])
    return jnp.concatenate([angular, cross3(v[:3], m[3:]) + cross3(v[3:], m[:3])])


@compiled
def wrench_cross(v: Array, f: Array) -> Array:
    r"""$v \times^* f = (\omega \times n + v_v \times f,\; \omega \times f)$: the rate of f moved by v."""
    return jnp.concatenate([cross3(v[:3], f[:3]) + cross3(v[3:], f[3:]), cross3(v[:3], f[3:])])
