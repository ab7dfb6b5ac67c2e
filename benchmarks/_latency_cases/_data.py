"""Data sets that look like the README's: its record with scatter of 10 boys."""

import numpy as np

ILL = np.array([3.0, 8, 26, 76, 225, 298, 258, 233, 189, 128, 68, 29, 14, 4])


def data_set(number: int) -> np.ndarray:
    """The one of this number."""
    return ILL + np.random.default_rng(number).normal(scale=10.0, size=ILL.shape)
