"""NIST's Statistical Reference Datasets for nonlinear regression: 27 models and the reader of their files.

https://www.itl.nist.gov/div898/strd/nls/nls_main.shtml. Every file gives data, two starts and certified values.
"""

import os
import pathlib
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest

DEFAULT = pathlib.Path(__file__).parents[2] / "shared" / "data"
FOLDER = pathlib.Path(os.environ.get("KINAX_REFERENCE_DATA", DEFAULT)) / "nist-strd"
needs_nist = pytest.mark.skipif(
    not FOLDER.is_dir(), reason=f"NIST's data are not in {FOLDER}: set KINAX_REFERENCE_DATA"
)


class Certified(NamedTuple):
    """A data set: `model(b, x)` is to match `y`, from two starts; the optimum that NIST certifies."""

    name: str
    model: Callable[[Any, Any], Any]
    x: np.ndarray
    y: np.ndarray
    starts: np.ndarray
    parameters: np.ndarray
    standard_errors: np.ndarray
    rss: float


def saturation(b, x):
    return b[0] * (1 - jnp.exp(-b[1] * x))


def decay_over_line(b, x):
    return jnp.exp(-b[0] * x) / (b[1] + b[2] * x)


def two_gaussians(b, x):
    bump = lambda height, center, width: height * jnp.exp(-(((x - center) / width) ** 2))
    return b[0] * jnp.exp(-b[1] * x) + bump(b[2], b[3], b[4]) + bump(b[5], b[6], b[7])


def three_decays(b, x):
    return sum(b[i] * jnp.exp(-b[i + 1] * x) for i in (0, 2, 4))


def cubic_over_cubic(b, x):
    return (b[0] + x * (b[1] + x * (b[2] + x * b[3]))) / (1 + x * (b[4] + x * (b[5] + x * b[6])))


def three_cycles(b, x):
    cycle = lambda period, c, s: c * jnp.cos(2 * jnp.pi * x / period) + s * jnp.sin(2 * jnp.pi * x / period)
    return b[0] + cycle(12, b[1], b[2]) + cycle(b[3], b[4], b[5]) + cycle(b[6], b[7], b[8])


MODELS: dict[str, Callable[[Any, Any], Any]] = {
    "Bennett5": lambda b, x: b[0] * (b[1] + x) ** (-1 / b[2]),
    "BoxBOD": saturation,
    "Chwirut1": decay_over_line,
    "Chwirut2": decay_over_line,
    "DanWood": lambda b, x: b[0] * x ** b[1],
    "ENSO": three_cycles,
    "Eckerle4": lambda b, x: b[0] / b[1] * jnp.exp(-(((x - b[2]) / b[1]) ** 2) / 2),
    "Gauss1": two_gaussians,
    "Gauss2": two_gaussians,
    "Gauss3": two_gaussians,
    "Hahn1": cubic_over_cubic,
    "Kirby2": lambda b, x: (b[0] + x * (b[1] + x * b[2])) / (1 + x * (b[3] + x * b[4])),
    "Lanczos1": three_decays,
    "Lanczos2": three_decays,
    "Lanczos3": three_decays,
    "MGH09": lambda b, x: b[0] * (x**2 + x * b[1]) / (x**2 + x * b[2] + b[3]),
    "MGH10": lambda b, x: b[0] * jnp.exp(b[1] / (x + b[2])),
    "MGH17": lambda b, x: b[0] + b[1] * jnp.exp(-x * b[3]) + b[2] * jnp.exp(-x * b[4]),
    "Misra1a": saturation,
    "Misra1b": lambda b, x: b[0] * (1 - (1 + b[1] * x / 2) ** -2),
    "Misra1c": lambda b, x: b[0] * (1 - (1 + 2 * b[1] * x) ** -0.5),
    "Misra1d": lambda b, x: b[0] * b[1] * x / (1 + b[1] * x),
    "Nelson": lambda b, x: b[0] - b[1] * x[0] * jnp.exp(-b[2] * x[1]),  # of log(y); x holds time and temperature
    "Rat42": lambda b, x: b[0] / (1 + jnp.exp(b[1] - b[2] * x)),
    "Rat43": lambda b, x: b[0] / (1 + jnp.exp(b[1] - b[2] * x)) ** (1 / b[3]),
    "Roszman1": lambda b, x: b[0] - b[1] * x - jnp.arctan(b[2] / (x - b[3])) / jnp.pi,
    "Thurber": cubic_over_cubic,
}


def read(name: str) -> Certified:
    """The data set of that name, from NIST's file."""
    text = (FOLDER / f"{name}.dat").read_text()
    number = r"\s+([-+.\dE]+)"
    rows = np.array(re.findall(rf"^\s*b\d+ ={number * 4}\s*$", text, re.MULTILINE), float)
    rss = re.search(rf"^Residual Sum of Squares:{number}", text, re.MULTILINE)
    data = np.array([line.split() for line in text.split("\nData:")[-1].splitlines()[1:] if line.strip()], float)
    assert rss is not None and len(rows) > 1
    y = np.log(data[:, 0]) if name == "Nelson" else data[:, 0]
    x = data[:, 1:].T if name == "Nelson" else data[:, 1]
    return Certified(name, MODELS[name], x, y, rows[:, :2].T, rows[:, 2], rows[:, 3], float(rss[1]))


def digits(found: Any, certified: Any) -> float:
    """The log relative error (LRE): how many leading digits agree, in the worst entry; at most 15."""
    found, certified = np.asarray(found, float), np.asarray(certified, float)
    error = np.max(np.abs(found - certified) / np.abs(certified))
    return float(np.clip(-np.log10(error), 0, 15)) if np.isfinite(error) and error > 0 else 15.0 * (error == 0)


# A coordinate and the fraction of its certified value at which it is stopped.
BOUNDED = {
    "Misra1a": (0, 0.9),
    "Chwirut2": (1, 1.2),
    "DanWood": (1, 0.95),
    "Misra1d": (1, 1.1),
    "Rat42": (0, 0.95),
    "Rat43": (3, 0.7),
    "Eckerle4": (1, 1.1),
    "Gauss1": (4, 0.97),
    "Kirby2": (2, 1.02),
    "BoxBOD": (0, 0.9),
}
