"""Coefficients of the Radau IIA methods, computed for any number of stages."""

import functools
from typing import NamedTuple

import numpy as np
from numpy.polynomial import legendre


class Method(NamedTuple):
    r"""$Z = h\,(A \otimes 1) F$ at the nodes $c$, and what decouples it: $A^{-1} = T \Lambda T^{-1}$.

    Of each pair of complex conjugate eigenvalues there is one, after the real one, so that
    $Z = \Re \sum_k$ `to_stages[:, k]` $w_k$.
    """

    c: np.ndarray  # (s,)
    a: np.ndarray  # (s, s)
    inverse: np.ndarray  # (s, s) of a
    eigenvalues: np.ndarray  # (m,) complex, of the inverse of A; m = (s + 1) / 2
    to_stages: np.ndarray  # (s, m) complex
    to_modes: np.ndarray  # (m, s) complex
    real: float  # the first eigenvalue
    error: np.ndarray  # (s,) the stages' weights in the error estimate
    lift: np.ndarray  # (s, s) from stages to coefficients of theta, theta^2, ... of the collocation polynomial

    @property
    def order(self) -> int:
        """Of convergence at the end of a step."""
        return 2 * len(self.c) - 1


@functools.cache
def radau(stages: int) -> Method:
    """The method with `stages` nodes, an odd number.

    Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), sections IV.5 and IV.8.
    """
    c = _nodes(stages)
    a = _integrals(c)
    inverse = np.linalg.inv(a)
    values, vectors = np.linalg.eig(inverse.astype(complex))
    order = np.argsort(np.abs(np.imag(values)))
    keep = [k for k in order if np.imag(values[k]) > -1e-8]  # the real one first
    real = float(np.real(values[keep[0]]))
    return Method(
        c=c,
        a=a,
        inverse=inverse,
        eigenvalues=values[keep],
        to_stages=vectors[:, keep] * np.where(np.arange(len(keep)) == 0, 1, 2),  # of a pair twice the real part
        to_modes=np.linalg.inv(vectors)[keep],
        real=real,
        error=_error(c, a, real),
        lift=np.linalg.inv(c[:, None] ** np.arange(1, stages + 1)),
    )


def _nodes(stages: int) -> np.ndarray:
    """Zeros of P_s - P_(s-1), moved to (0, 1], the last one at 1."""
    series = np.zeros(stages + 1)
    series[stages], series[stages - 1] = 1, -1
    roots = np.sort(legendre.legroots(series).real)
    slope = legendre.legder(series)
    for _ in range(3):
        roots = roots - legendre.legval(roots, series) / legendre.legval(roots, slope)
    roots[-1] = 1
    return (1 + roots) / 2


def _integrals(c: np.ndarray) -> np.ndarray:
    """a_ij: the integral from 0 to c_i of the Lagrange polynomial of node j."""
    x, weights = legendre.leggauss(len(c))
    a = np.zeros((len(c), len(c)))
    for i, end in enumerate(c):
        for j, node in enumerate(c):
            others = np.delete(c, j)
            lagrange = np.prod((end * (1 + x)[:, None] / 2 - others) / (node - others), axis=1)
            a[i, j] = end / 2 * weights @ lagrange
    return a


def _error(c: np.ndarray, a: np.ndarray, real: float) -> np.ndarray:
    r"""e with $h \gamma_0 (1 - h \gamma_0 J)^{-1} (f(t_0, y_0) + e Z / h)$ the difference to a method of order s.

    That method is the quadrature with a further node at 0 of weight $\gamma_0 = 1 / \lambda$, $\lambda$ the real
    eigenvalue, so that its matrix is one that is factored anyway.
    """
    nodes = np.append(0.0, c)
    moments = 1 / np.arange(1, len(c) + 1)
    moments = moments - np.where(np.arange(len(c)) == 0, 1 / real, 0)
    weights = np.linalg.solve(nodes[None, 1:] ** np.arange(len(c))[:, None], moments)
    return real * (weights - a[-1]) @ np.linalg.inv(a)
