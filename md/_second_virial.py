"""The second virial coefficient of a pair potential."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..solvers import compiled
from ._pair import AbstractPair
from ._potential import in_dtype

_PANELS, _NODES, _DECADES = 64, 16, 6  # distances from the reach down to its millionth
_CORE = 80.0  # of exp(-80) nothing is left beside 1


@compiled
def second_virial(pair: AbstractPair, kT: Any, *, species: tuple[int, int] = (0, 0)) -> Array:
    r"""$B_2(T) = -2 \pi \int_0^{r_c} (e^{-u(r)/kT} - 1) \, r^2 dr$ [length³]: pressure is $n kT (1 + B_2 n + \dots)$.

    The potential counts as it is, cutoff included: to describe a real gas, let it reach far. `kT` [energy], one number;
    `species` of the two atoms. Differentiable by the parameters and `kT`. Error: Gauss-Legendre quadrature in
    $\log r$, about $10^{-10}$ of $2 \pi \sigma^3 / 3$ for smooth curves; less exact where a curve has a kink.
    Infinite if the potential has no repulsive core at r = 0.
    """
    dtype = jnp.result_type(float)
    kT = jnp.asarray(kT).astype(dtype)
    if kT.ndim:
        raise ValueError(f"kT must be one number, not an array of shape {kT.shape}: use jax.vmap for several.")
    pair = in_dtype(pair, dtype)
    depth, weight = (jnp.asarray(x, dtype) for x in _quadrature())
    r = pair.reach * jnp.exp(-depth)
    a, b = (jnp.asarray(k, jnp.int32) for k in species)
    exponent = lambda r2: -jax.vmap(lambda r2: pair.energy(r2, a, b))(r2) / kT
    # inside the core energies overflow, and with them derivatives that are multiplied by 0
    core = jax.lax.stop_gradient(exponent(r**2)) < -_CORE
    mayer = jnp.where(core, -1, jnp.expm1(exponent(jnp.where(core, pair.reach, r) ** 2)))
    return -2 * jnp.pi * jnp.sum(weight * mayer * r**3)


def _quadrature() -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of log(reach / r)."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    width = _DECADES * np.log(10) / _PANELS
    return (width * (np.arange(_PANELS)[:, None] + (nodes + 1) / 2)).ravel(), np.tile(weights * width / 2, _PANELS)
