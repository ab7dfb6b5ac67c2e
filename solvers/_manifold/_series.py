"""Functions of a squared angle x that are smooth at zero, with all their derivatives."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from jaxtyping import Array

_SMALL = 0.25  # rad²: below, the series; the first term left out is then below 1e-17 of the first one
_TERMS = 10
# |B_2k|: x cot x = 1 - x²/3 - ... has the coefficients -2^(2k) |B_2k| / (2k)!
_BERNOULLI = (1 / 6, 1 / 30, 1 / 42, 1 / 30, 5 / 66, 691 / 2730, 7 / 6, 3617 / 510, 43867 / 798, 174611 / 330)


def _smooth(x: Array, exact: Callable[[Array], Array], series: Sequence[float]) -> Array:
    """`exact(x)`, or the polynomial `series` for small x, which the formula never sees: its derivative is NaN there."""
    small = x < _SMALL
    far = exact(jnp.where(small, 1, x))
    small_x, near = jnp.where(small, x, 0), jnp.full_like(x, series[-1])
    for coefficient in series[-2::-1]:  # jnp.polyval would be a loop
        near = near * small_x + coefficient
    return jnp.where(small, near, far)


def _inverse_factorials(shift: int) -> list[float]:
    """(-1)^k / (2k + shift)!, for shift < 4."""
    terms, term = [], (1.0, 1.0, 1 / 2, 1 / 6)[shift]
    for k in range(_TERMS):
        terms.append(term)
        term /= -(2 * k + shift + 1) * (2 * k + shift + 2)
    return terms


def _cotangent_series() -> list[float]:
    """|B_2k| / (2k)!, from k = 1."""
    terms, factorial = [], 1.0
    for k, bernoulli in enumerate(_BERNOULLI, start=1):
        factorial *= (2 * k - 1) * (2 * k)
        terms.append(bernoulli / factorial)
    return terms


def cosine(x: Array) -> Array:
    r"""$\cos \sqrt x$."""
    return _smooth(x, lambda x: jnp.cos(jnp.sqrt(x)), _inverse_factorials(0))


def sinc(x: Array) -> Array:
    r"""$\sin \sqrt x / \sqrt x$."""
    return _smooth(x, lambda x: jnp.sin(jnp.sqrt(x)) / jnp.sqrt(x), _inverse_factorials(1))


def versine(x: Array) -> Array:
    r"""$(1 - \cos \sqrt x) / x$, by the half angle, which keeps all digits."""
    return sinc(x / 4) ** 2 / 2


def sine_rest(x: Array) -> Array:
    r"""$(\sqrt x - \sin \sqrt x) / x^{3/2}$."""
    return _smooth(x, lambda x: (1 - jnp.sin(jnp.sqrt(x)) / jnp.sqrt(x)) / x, _inverse_factorials(3))


def cotangent_rest(x: Array) -> Array:
    r"""$k(x) = (1 - \alpha) / x$ with $\alpha = u \cot u$, $u = \sqrt x / 2$; infinite at a full turn."""
    return _smooth(x, lambda x: (1 - _half_cotangent(x)) / x, _cotangent_series())


def cotangent_slope(x: Array) -> Array:
    r"""$k'(x) = -\bigl(1 - \alpha + \frac{\alpha - \beta}{2}\bigr) / x^2$ with $\beta = u^2 / \sin^2 u$."""
    terms = _cotangent_series()
    slopes = [k * term for k, term in enumerate(terms) if k > 0]
    beta = lambda x: x / 4 / jnp.sin(jnp.sqrt(x) / 2) ** 2
    exact = lambda x: -(1 - _half_cotangent(x) + (_half_cotangent(x) - beta(x)) / 2) / x**2
    return _smooth(x, exact, slopes)


def _half_cotangent(x: Array) -> Array:
    return jnp.sqrt(x) / 2 / jnp.tan(jnp.sqrt(x) / 2)
