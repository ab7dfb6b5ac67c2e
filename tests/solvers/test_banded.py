"""Banded Jacobians: the structure that is found, the same results as dense ones, derivatives, large systems."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import Banded, banded, Dense, integrate, MassTerm, Radau, ResidualTerm
from tests.reaction_diffusion import brusselator, start

pytestmark = pytest.mark.usefixtures("backward_sweep")

DIFFUSION = jnp.asarray(0.02)


def end(n, solver, diffusion, rtol=1e-7):
    return integrate(brusselator, start(n), [0.0, 3.0], args=diffusion, solver=solver, rtol=rtol, atol=1e-9).state.y


def test_the_order_of_unknowns_is_found():
    found = banded(brusselator, start(9), args=DIFFUSION)
    assert found.width == 2  # u and v of one point beside each other
    chain = lambda t, y, args: y[jnp.asarray([3, 0, 4, 1, 2])] - y  # a ring
    assert banded(chain, jnp.zeros(5)).width == 2
    assert banded(lambda t, y, args: -y, jnp.zeros(4)).width == 1


def test_the_same_solution_and_derivatives_as_with_a_dense_jacobian():
    n = 9  # 18 unknowns in blocks of two, and an odd number of them
    structure = banded(brusselator, start(n), args=DIFFUSION)
    band = Radau(3, jacobian=structure)
    both = [jax.jit(jax.value_and_grad(lambda d, s=s: jnp.sum(end(n, s, d)["u"]))) for s in (Radau(3), band)]
    dense, sparse = (fn(DIFFUSION) for fn in both)
    np.testing.assert_allclose(sparse, dense, rtol=1e-9)
    wider = Radau(3, jacobian=Banded(2, order=tuple(reversed(_paired(n)))))
    forward = jax.jit(jax.jacfwd(lambda d: jnp.sum(end(n, wider, d)["u"])))(DIFFUSION)
    np.testing.assert_allclose(forward, dense[1], rtol=1e-9)


def test_algebraic_equations_and_an_incomplete_last_block():
    # a chain of resistors with a capacitor at every other node: 7 unknowns in blocks of 2
    def field(t, y, args):
        left, right = jnp.concatenate([jnp.ones(1), y[:-1]]), jnp.concatenate([y[1:], jnp.zeros(1)])
        return left - 2 * y + right

    mass = jnp.asarray([1.0, 0, 1, 0, 1, 0, 1])
    ends = []
    for solver in (Radau(3), Radau(3, jacobian=Banded(2))):
        y0 = jnp.asarray([0.0, 0, 0, 0, 0, 0, 0])
        ends.append(integrate(MassTerm(field, mass), y0, [0.0, 2.0], solver=solver, rtol=1e-9).state.y)
    np.testing.assert_allclose(ends[1], ends[0], rtol=1e-12)
    np.testing.assert_allclose(field(0.0, ends[1], None)[1::2], 0.0, atol=1e-12)


@pytest.mark.slow
def test_a_thousand_unknowns():
    n = 500
    solver = Radau(5, jacobian=banded(brusselator, start(n), args=DIFFUSION))
    mean = lambda m, solver, d: (jnp.sum(end(m, solver, d, 1e-9)["u"]) + 1) / (m + 1)  # the ends are 1
    solve = jax.jit(jax.value_and_grad(lambda d: mean(n, solver, d)))
    value, slope = solve(DIFFUSION)
    coarse, fine = (mean(m, Radau(5, jacobian=Banded(2, _paired(m))), DIFFUSION) for m in (249, 999))
    # Richardson: the error of the mean is of second order in the spacing
    spacing = 1 / np.asarray([250.0, 501.0, 1000.0]) ** 2
    line = np.polyfit(spacing[[0, 2]], [coarse, fine], 1)
    np.testing.assert_allclose(value, np.polyval(line, spacing[1]), rtol=1e-7)
    h = 1e-3
    numeric = [solve(DIFFUSION * (1 + s))[0] for s in (-h, h)]
    np.testing.assert_allclose(slope, (numeric[1] - numeric[0]) / (2 * h * DIFFUSION), rtol=1e-4)


def _paired(n):
    return tuple(int(k) for k in np.arange(2 * n).reshape(2, n).T.ravel())


def test_a_band_that_is_too_narrow_spoils_no_derivative():
    ring = lambda t, y, rate: rate * (jnp.roll(y, 1) - 2 * y + jnp.roll(y, -1)) - y**3

    def total(rate, jacobian):
        y0 = jnp.linspace(0.0, 1.0, 6)
        solver = Radau(3, jacobian=jacobian)
        return jnp.sum(integrate(ring, y0, [0.0, 0.5], args=rate, solver=solver, rtol=1e-7).state.y ** 2)

    rate = jnp.asarray(1.0)
    np.testing.assert_allclose(total(rate, Banded(1)), total(rate, Dense()), rtol=1e-6)
    with pytest.raises(jax.errors.JaxRuntimeError, match="non-finite"):
        jax.grad(total)(rate, Banded(1)).block_until_ready()


def test_the_structure_of_an_implicit_equation_is_found():
    found = banded(MassTerm(lambda t, y, args: -y, jnp.eye(4) + jnp.eye(4, k=2)), jnp.ones(4))
    assert found.width == 1  # 0 with 2, 1 with 3
    assert banded(ResidualTerm(lambda t, y, slope, args: slope[::-1] - y), jnp.ones(4)).width == 1
    with pytest.raises(ValueError, match="not finite"):
        banded(lambda t, y, args: jnp.sqrt(y), -jnp.ones(2))


def test_misuse_is_refused():
    with pytest.raises(ValueError, match="width must be a positive integer"):
        Banded(0)
    with pytest.raises(ValueError, match="every place of the flat state once"):
        Banded(1, order=(0, 0))
    with pytest.raises(ValueError, match="order has 2 places"):
        integrate(brusselator, start(2), [0.0, 1.0], args=DIFFUSION, solver=Radau(3, jacobian=Banded(1, order=(0, 1))))
    with pytest.raises(ValueError, match="looks at values"):
        jax.jit(lambda y: integrate(lambda t, y, args: -y, y, [0.0, 1.0], solver=Radau(jacobian=_of(y))).ys)(
            jnp.zeros(2)
        )


def _of(y):
    return banded(lambda t, y, args: -y, y)
