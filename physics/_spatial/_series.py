"""Functions of a squared angle that are smooth at zero, with all their derivatives."""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array

_SMALL = 0.25  # rad²: below, the series; its tenth term is then below 1e-17 of the first


def elementwise(function: Callable[..., Array]) -> Callable[..., Array]:
    """A function of each entry that reverse mode remembers by its slopes, not by every step of their computation."""

    @jax.custom_jvp
    @functools.wraps(function)
    def apply(*at: Array) -> Array:
        return function(*at)

    @apply.defjvp
    def _(at: tuple[Array, ...], changes: tuple[Array, ...]) -> tuple[Array, Array]:
        ones, zeros = [jnp.ones_like(x) for x in at], [jnp.zeros_like(x) for x in at]
        value, total = function(*at), jnp.zeros_like(at[0])
        for k, change in enumerate(changes):
            _, slope = jax.jvp(function, at, (*zeros[:k], ones[k], *zeros[k + 1 :]))
            total = total + slope * change
        return value, total

    return apply


def smooth(x: Array, exact: Callable[[Array], Array], series: Sequence[float]) -> Array:
    """`exact(x)`, or the polynomial with the coefficients `series` where x is small; x is not negative.

    The formula never sees a small x: a derivative of `where` multiplies what was not chosen by zero, and a NaN by
    zero is NaN.
    """
    small = x < _SMALL
    far = exact(jnp.where(small, 1, x))
    near = jnp.polyval(jnp.asarray(series[::-1], x.dtype), jnp.where(small, x, 0))
    return jnp.where(small, near, far)


def _inverse_factorials(shift: int, scale: float = 1.0, count: int = 10) -> list[float]:
    """(-scale)^k / (2k + shift)!."""
    terms, term = [], 1.0
    for m in range(2, shift + 1):
        term /= m
    for k in range(count):
        terms.append(term)
        term *= -scale / ((2 * k + shift + 1) * (2 * k + shift + 2))
    return terms


@elementwise
def cos_sqrt(x: Array) -> Array:
    r"""$\cos \sqrt x$."""
    return smooth(x, lambda x: jnp.cos(jnp.sqrt(x)), _inverse_factorials(0))


@elementwise
def sinc_sqrt(x: Array) -> Array:
    r"""$\sin \sqrt x / \sqrt x$."""
    return smooth(x, lambda x: jnp.sin(jnp.sqrt(x)) / jnp.sqrt(x), _inverse_factorials(1))


def versine(x: Array) -> Array:
    r"""$(1 - \cos \sqrt x) / x$, with the half angle that keeps all digits."""
    return sinc_sqrt(x / 4) ** 2 / 2


@elementwise
def third(x: Array) -> Array:
    r"""$(\sqrt x - \sin \sqrt x) / x^{3/2}$."""
    return smooth(x, lambda x: (1 - jnp.sin(jnp.sqrt(x)) / jnp.sqrt(x)) / x, _inverse_factorials(3))


# x cot x = 1 - x²/3 - x⁴/45 - ...: coefficients -2^(2k) |B_2k| / (2k)! of x^2k
_BERNOULLI = (1 / 6, 1 / 30, 1 / 42, 1 / 30, 5 / 66, 691 / 2730, 7 / 6, 3617 / 510, 43867 / 798, 174611 / 330)


def _cotangent_series() -> list[float]:
    """(1 - (a/2) cot(a/2)) / a² in powers of a²: |B_2k| / (2k)!."""
    terms, factorial = [], 1.0
    for k, bernoulli in enumerate(_BERNOULLI, start=1):
        factorial *= (2 * k - 1) * (2 * k)
        terms.append(bernoulli / factorial)
    return terms


@elementwise
def cotangent_rest(x: Array) -> Array:
    r"""$\bigl(1 - \frac{a}{2} \cot \frac{a}{2}\bigr) / a^2$ with $a = \sqrt x$; infinite at a full turn."""
    return smooth(x, lambda x: (1 - jnp.sqrt(x) / 2 / jnp.tan(jnp.sqrt(x) / 2)) / x, _cotangent_series())
