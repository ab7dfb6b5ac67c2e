"""The Brusselator with diffusion in one dimension: two species on n points of (0, 1)."""

from typing import Any

import jax.numpy as jnp


def start(n: int) -> dict[str, Any]:
    """As in E. Hairer, G. Wanner, Solving ODEs II, section IV.10."""
    x = jnp.arange(1, n + 1) / (n + 1)
    return {"u": 1 + jnp.sin(2 * jnp.pi * x), "v": jnp.full(n, 3.0)}


def brusselator(t: Any, y: dict[str, Any], diffusion: Any) -> dict[str, Any]:
    """u_t = 1 + u^2 v - 4 u + d u_xx, v_t = 3 u - u^2 v + d v_xx; u = 1 and v = 3 at both ends."""
    u, v = y["u"], y["v"]

    def curvature(w, end):
        outside = jnp.full(1, end)
        left, right = jnp.concatenate([outside, w[:-1]]), jnp.concatenate([w[1:], outside])
        return (left - 2 * w + right) * (len(w) + 1) ** 2

    reaction = u**2 * v
    return {
        "u": 1 + reaction - 4 * u + diffusion * curvature(u, 1.0),
        "v": 3 * u - reaction + diffusion * curvature(v, 3.0),
    }
