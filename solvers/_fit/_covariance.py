"""What the linearized problem knows of every direction."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from .._search import Linearization


class Information(eqx.Module):
    """The inverse of the Fisher information $J^T J$ in the directions that the data see, and those they do not.

    - `inverse`: in coordinates; zero for coordinates that are held at a bound.
    - `blind`: rows that span, in units of `scale`, what does not change the data.
    - `scale`: the size of a change of each coordinate that changes the data by one unit.
    """

    inverse: Float[Array, "p p"]
    blind: Float[Array, "k p"]
    scale: Float[Array, " p"]

    def unseen(self, g: Float[Array, "m p"]) -> Bool[Array, " m"]:
        """Which of the sensitivities `g` reach into directions that the data do not see."""
        g = g * self.scale[None, :]
        reach = jnp.sum((g @ self.blind.T) ** 2, axis=1)
        return reach > jnp.finfo(g.dtype).eps ** 0.5 * jnp.sum(g**2, axis=1)


def information(linear: Linearization, held: Bool[np.ndarray, " p"], determined: bool) -> Information:
    """By singular values of the Jacobian with unit columns; without `determined` nothing is known of anything.

    Coordinates that are held (at a bound) count as known.
    """
    jac = np.asarray(linear.jacobian)[:, ~held]
    p, free = held.size, int((~held).sum())
    norms = np.sqrt((jac**2).sum(axis=0))
    scale = np.where(norms > 0, 1 / np.where(norms > 0, norms, 1), 1)
    if determined and np.isfinite(jac).all():
        _, s, vt = np.linalg.svd(jac * scale, full_matrices=True)
        s = np.concatenate([s, np.zeros(free - s.size, jac.dtype)])
        seen = s > s.max(initial=0) * max(jac.shape) * np.finfo(jac.dtype).eps
    else:
        s, vt, seen = np.ones(free, jac.dtype), np.eye(free, dtype=jac.dtype), np.zeros(free, bool)
    half = np.zeros((p, int(seen.sum())), jac.dtype)
    half[~held] = scale[:, None] * vt[seen].T / s[seen]
    blind = np.zeros((int((~seen).sum()), p), jac.dtype)
    blind[:, ~held] = vt[~seen]
    scales = np.ones(p, jac.dtype)
    scales[~held] = scale
    return Information(jnp.asarray(half @ half.T), jnp.asarray(blind), jnp.asarray(scales))
