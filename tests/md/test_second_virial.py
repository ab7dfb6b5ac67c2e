"""The second virial coefficient against its series, and its derivatives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from kinax.md import ForceShifted, LennardJones, second_virial, SoftSphere, Truncated

FAR = Truncated(radius=100.0)


def series(kT):
    """Lennard-Jones in units of sigma and epsilon: J. O. Hirschfelder, C. F. Curtiss, R. B. Bird (1954), eq. 3.6-5."""
    k = np.arange(60)
    terms = 2 ** (k + 0.5) / (4 * scipy.special.factorial(k)) * scipy.special.gamma((2 * k - 1) / 4)
    return -2 * np.pi / 3 * np.sum(terms * kT ** (-(2 * k + 1) / 4))


def test_lennard_jones_agrees_with_its_series():
    def b(kT, sigma, epsilon):
        return second_virial(LennardJones(sigma=sigma, epsilon=epsilon, cutoff=FAR), kT)

    beyond = lambda kT: 8 * np.pi / 3 / FAR.radius**3 / kT  # of first order in the energy: more than is needed
    value = jax.jit(jax.vmap(jax.value_and_grad(b, argnums=(0, 1, 2)), (0, None, None)))
    kTs = np.array([0.6, 1.0, 3.417928, 20.0])
    values, (by_kT, by_sigma, by_epsilon) = value(kTs, 1.5, 1.0)
    np.testing.assert_allclose(values, 1.5**3 * np.array([series(t) + beyond(t) * 1.5**3 for t in kTs]), atol=1e-8)
    assert abs(series(3.417928)) < 1e-5  # the Boyle temperature
    slope = np.array([(series(t + 1e-5) - series(t - 1e-5)) / 2e-5 for t in kTs])
    np.testing.assert_allclose(by_kT, 1.5**3 * slope, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(by_sigma, 3 * values / 1.5, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(by_epsilon, -kTs * by_kT, rtol=1e-10)  # B depends on epsilon / kT alone
    with jax.enable_x64(False):
        single = jax.grad(b, argnums=(0, 1))(jnp.float32(1.0), jnp.float32(1.5), jnp.float32(1.0))
    assert single[0].dtype == jnp.float32
    np.testing.assert_allclose(single, (by_kT[1], by_sigma[1]), rtol=1e-4)


def test_species_and_cutoffs_count():
    pair = LennardJones(sigma=[1.0, 2.0], epsilon=[1.0, 0.5], cutoff=ForceShifted(radius=5.0))
    alone = LennardJones(sigma=1.5, epsilon=np.sqrt(0.5), cutoff=ForceShifted(radius=5.0))
    np.testing.assert_allclose(second_virial(pair, 1.2, species=(0, 1)), second_virial(alone, 1.2), rtol=1e-12)
    np.testing.assert_allclose(second_virial(SoftSphere(epsilon=1e9), 1.0), 2 * np.pi / 3, rtol=1e-3)  # hard spheres
    with pytest.raises(ValueError, match="jax.vmap"):
        second_virial(alone, jnp.ones(3))
