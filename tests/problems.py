"""Stiff test problems with reference solutions, from the test set of Hairer and Wanner (Solving ODEs II, 1996)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from kinax.physics import Motion, Robertson, ScaledVanDerPol


def hires(t: Any, y: Any, args: Any) -> Any:
    """HIRES, a plant's response to light: eight species (Schaefer 1975; Hairer and Wanner II, IV.10)."""
    r = 280 * y[5] * y[7]
    return jnp.stack(
        [
            -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007,
            1.71 * y[0] - 8.75 * y[1],
            -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4],
            8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3],
            -1.745 * y[4] + 0.43 * (y[5] + y[6]),
            -r + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6],
            r - 1.81 * y[6],
            -r + 1.81 * y[6],
        ]
    )


def oregonator(t: Any, y: Any, args: Any) -> Any:
    """OREGO, the Belousov-Zhabotinskii reaction (Field and Noyes 1974; Hairer and Wanner II, IV.10)."""
    return jnp.stack(
        [
            77.27 * (y[1] + y[0] * (1 - 8.375e-6 * y[0] - y[1])),
            (y[2] - (1 + y[0]) * y[1]) / 77.27,
            0.161 * (y[0] - y[2]),
        ]
    )


class Problem(NamedTuple):
    """An initial-value problem on [0, end] with the solution at the end; `atol` is per unit of rtol."""

    field: Any
    y0: Any
    end: float
    reference: list[float]
    atol: float


PROBLEMS = {
    "ROBER": Problem(
        Robertson(),
        Robertson.State(a=1.0, b=0.0, c=0.0),
        1e11,
        [0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050],
        1e-8,
    ),
    "HIRES": Problem(
        hires,
        np.array([1.0, 0, 0, 0, 0, 0, 0, 0.0057]),
        321.8122,
        [
            0.7371312573325668e-3,
            0.1442485726316185e-3,
            0.5888729740967575e-4,
            0.1175651343283149e-2,
            0.2386356198831331e-2,
            0.6238968252742796e-2,
            0.2849998395185769e-2,
            0.2850001604814231e-2,
        ],
        1e-4,
    ),
    "OREGO": Problem(
        oregonator,
        np.array([1.0, 2.0, 3.0]),
        360.0,
        [0.1000814870318523e1, 0.1228178521549917e4, 0.1320554942846706e3],
        1.0,
    ),
    "VDPOL": Problem(
        ScaledVanDerPol(eps=1e-6), Motion(q=2.0, v=0.0), 2.0, [0.1706167732170483e1, -0.8928097010247975], 1.0
    ),
}


def scaled_error(problem: Problem, y: Any) -> float:
    """The largest error of a component relative to its reference."""
    found = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(y)])
    return float(np.max(np.abs(found - problem.reference) / np.abs(problem.reference)))
