"""What is measured between different times: displacements, correlations, transport coefficients."""

from typing import Any

import jax
import numpy as np

from .._system import System
from ._average import autocorrelation, Average, Curve
from ._frames import spacing, trajectory

# The error of these is that among blocks of the trajectory, taken as independent.


def mean_square_displacement(ts: Any, systems: System, *, species: int | None = None, blocks: int = 4) -> Curve:
    r"""$\langle |x(t_0 + t) - x(t_0)|^2 \rangle$ [length²] over all starts $t_0$ and atoms, by unwrapped positions.

    `ts`, `systems`: those of a solution, evenly spaced; of one `species`, or all. Each of `blocks` parts of the
    trajectory gives a curve for times up to half its length. Source: G. R. Kneller et al., Comput. Phys. Commun. 91,
    191 (1995), doi:10.1016/0010-4655(95)00048-K.
    """
    step, length = trajectory(ts, systems, blocks)
    parts = _blocks(_unwrapped(systems, species), blocks, length)
    return _curve([_displacement(x) for x in parts], step, "mean square displacement")


def velocity_autocorrelation(ts: Any, systems: System, *, species: int | None = None, blocks: int = 4) -> Curve:
    r"""$\langle v(t_0) \cdot v(t_0 + t) \rangle$ [length²/time²] over all starts and atoms; as the above."""
    step, length = trajectory(ts, systems, blocks)
    velocity = np.asarray(systems.velocity, float)[:, _chosen(systems, species)]
    return _curve(_correlated(velocity, blocks, length), step, "velocity autocorrelation")


def diffusion(
    ts: Any, systems: System, *, window: tuple[float, float], species: int | None = None, blocks: int = 4
) -> Average:
    r"""Einstein's $D$ [length²/time]: a sixth of the slope of the mean square displacement in `window`.

    `window` = (from, to) [time], where the displacement is a straight line: look at the plot. It must lie within half a
    block. In a periodic box D is smaller than in bulk, by about $2.84 kT / (6 \pi \eta L)$: I.-C. Yeh and G. Hummer, J.
    Phys. Chem. B 108, 15873 (2004), doi:10.1021/jp0477147.
    """
    step, length = trajectory(ts, systems, blocks)
    parts = np.array([_displacement(x) for x in _blocks(_unwrapped(systems, species), blocks, length)])
    t = step * np.arange(parts.shape[1])
    inside = (t >= window[0]) & (t <= window[1])
    if inside.sum() < 2 or window[1] > t[-1] * (1 + 1e-9):
        raise ValueError(f"window {window} must hold two frames, and end by {t[-1]:.6g}, half the length of a block.")
    slopes = np.array([np.polyfit(t[inside], part[inside], 1)[0] for part in parts])
    return _over_blocks(slopes / 6)


def green_kubo_diffusion(ts: Any, systems: System, *, species: int | None = None, blocks: int = 4) -> Curve:
    r"""$D(t) = \frac13 \int_0^t \langle v(0) \cdot v(s) \rangle ds$ [length²/time]; the plateau is the coefficient."""
    step, length = trajectory(ts, systems, blocks)
    velocity = np.asarray(systems.velocity, float)[:, _chosen(systems, species)]
    parts = _correlated(velocity, blocks, length)
    return _curve([_integrated(part, step) / 3 for part in parts], step, "diffusion coefficient, up to t")


def green_kubo_viscosity(ts: Any, stresses: Any, *, volume: float, kT: float, blocks: int = 4) -> Curve:
    r"""$\eta(t) = \frac{V}{kT} \int_0^t \langle \sigma_{xy}(0) \sigma_{xy}(s) \rangle ds$ [energy time/length³].

    `stresses` (t, 3, 3) as `stress` gives them, saved every few steps by `observe`; averaged over the five independent
    components without pressure. The plateau is the viscosity. Source: P. J. Daivis and D. J. Evans, J. Chem. Phys.
    100, 541 (1994), doi:10.1063/1.466970.
    """
    stresses = np.asarray(stresses, float)
    if stresses.ndim != 3 or stresses.shape[1:] != (3, 3):
        raise ValueError(f"stresses has shape {stresses.shape}, expected (frames, 3, 3).")
    step, length = spacing(ts, len(stresses), blocks)
    xx, yy, zz = (stresses[:, k, k] for k in range(3))
    shears = [stresses[:, 0, 1], stresses[:, 0, 2], stresses[:, 1, 2], (xx - yy) / 2, (yy - zz) / 2]
    parts = _correlated(np.stack(shears, axis=1)[:, :, None], blocks, length)
    return _curve([_integrated(part, step) * volume / kT for part in parts], step, "viscosity, up to t")


def _displacement(x: np.ndarray) -> np.ndarray:
    """Mean square displacements of positions (t, n, 3) for lags up to half of t: squares, minus twice a correlation."""
    n = len(x)
    x = x - x.mean(axis=0)  # keeps the difference of large numbers small
    square = np.concatenate([np.zeros((1, x.shape[1])), np.cumsum(np.sum(x**2, axis=2), axis=0)])
    lag = np.arange(n // 2 + 1)
    sums = square[n - lag] + square[n] - square[lag]
    products = autocorrelation(x).sum(axis=2)[: n // 2 + 1]
    return np.maximum(0, (sums / (n - lag)[:, None] - 2 * products).mean(axis=1))


def _correlated(values: np.ndarray, blocks: int, length: int) -> list[np.ndarray]:
    """Autocorrelations of values (t, n, d), summed over d and averaged over n, for lags up to half a block."""
    return [
        autocorrelation(part).sum(axis=2).mean(axis=1)[: length // 2 + 1] for part in _blocks(values, blocks, length)
    ]


def _integrated(values: np.ndarray, step: float) -> np.ndarray:
    return step * np.concatenate([[0.0], np.cumsum((values[1:] + values[:-1]) / 2)])


def _blocks(x: np.ndarray, blocks: int, length: int) -> list[np.ndarray]:
    """The last so many blocks, each of this length."""
    x = x[len(x) - blocks * length :]
    return np.split(x, blocks)


def _over_blocks(values: np.ndarray) -> Average:
    blocks = len(values)
    error = values.std(axis=0, ddof=1) / np.sqrt(blocks)
    return Average(values.mean(axis=0), error, np.full_like(error, blocks))


def _curve(parts: list[np.ndarray], step: float, name: str) -> Curve:
    mean = _over_blocks(np.array(parts))
    return Curve(step * np.arange(len(parts[0])), mean.mean, mean.error, mean.samples, "time", name)


def _unwrapped(systems: System, species: int | None) -> np.ndarray:
    return np.asarray(jax.vmap(lambda s: s.unwrapped)(systems), float)[:, _chosen(systems, species)]


def _chosen(systems: System, species: int | None) -> np.ndarray:
    kinds = np.asarray(systems.species)[0]
    chosen = np.ones(kinds.shape, bool) if species is None else kinds == species
    if not chosen.any():
        raise ValueError(f"There is no atom of species {species}.")
    return chosen
