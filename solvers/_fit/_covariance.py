"""What the linearized problem knows of every direction."""

import equinox as eqx
import numpy as np
from jaxtyping import Bool, Float

from .._search import Linearization


class Information(eqx.Module):
    """The inverse of the Fisher information $J^T J$ in the directions that the data see, and those they do not.

    - `inverse`: in coordinates; zero for coordinates that are held at a bound.
    - `blind`: rows that span, in units of `scale`, what does not change the data.
    - `scale`: the size of a change of each coordinate that changes the data by one unit.
    """

    inverse: Float[np.ndarray, "p p"]
    blind: Float[np.ndarray, "k p"]
    scale: Float[np.ndarray, " p"]

    def unseen(self, g: Float[np.ndarray, "m p"]) -> Bool[np.ndarray, " m"]:
        """Which of the sensitivities `g` reach into directions that the data do not see."""
        g = g * self.scale[None, :]
        reach = np.sum((g @ self.blind.T) ** 2, axis=1)
        return reach > np.finfo(g.dtype).eps ** 0.5 * np.sum(g**2, axis=1)


def information(linear: Linearization, held: Bool[np.ndarray, " p"], determined: bool) -> Information:
    """By singular values of the Jacobian with unit columns; without `determined` nothing is known of anything.

    Coordinates that are held (at a bound) count as known.
    """
    jac = np.asarray(linear.jacobian)[:, ~held]
    p, free = held.size, int((~held).sum())
    if determined and np.isfinite(jac).all():
        scale, s, seen, unseen = spectrum(jac)
    else:
        scale, s = np.ones(free, jac.dtype), np.ones(0, jac.dtype)
        seen, unseen = np.zeros((0, free), jac.dtype), np.eye(free, dtype=jac.dtype)
    half = np.zeros((p, s.size), jac.dtype)
    half[~held] = scale[:, None] * seen.T / s
    blind = np.zeros((unseen.shape[0], p), jac.dtype)
    blind[:, ~held] = unseen
    scales = np.ones(p, jac.dtype)
    scales[~held] = scale
    return Information(half @ half.T, blind, scales)


def spectrum(jac: Float[np.ndarray, "n p"]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Of the Jacobian with its columns scaled to unit length: the scales, the singular values above rounding, the
    directions that belong to them, and those that it maps to zero (rows, in the scaled coordinates)."""
    norms = np.linalg.norm(jac, axis=0)
    scale = 1 / np.where(norms > 0, norms, 1)
    _, s, vt = np.linalg.svd(jac * scale, full_matrices=True)
    seen = int((s > s.max(initial=0) * max(jac.shape) * np.finfo(jac.dtype).eps).sum())
    return scale, s[:seen], vt[:seen], vt[seen:]
