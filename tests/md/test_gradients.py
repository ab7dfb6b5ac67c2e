"""Derivatives of energies and forces by positions, box and every parameter: both modes, second order, odd places."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.md import (
    AllPairs,
    Buckingham,
    CHARMMSwitch,
    DampedCoulomb,
    External,
    ForceShifted,
    Free,
    Gaussian,
    Geometric,
    HOOMDSwitch,
    LennardJones,
    ManyBody,
    Mie,
    Morse,
    NeighborList,
    OpenMMSwitch,
    Shifted,
    SoftSphere,
    Spline,
    System,
    Triclinic,
    Truncated,
    WCA,
    Yukawa,
)

SWITCH = OpenMMSwitch(radius=2.3, onset=1.7)
SPLINE = Spline(values=np.cos(np.linspace(0, 4, 9)), start=0.6, end=2.4, cutoff=Shifted(radius=2.3))
POTENTIALS = {
    "lj": LennardJones(epsilon=[1.0, 0.6], sigma=[1.0, 0.9], cutoff=SWITCH),
    "lj_pairs": LennardJones(epsilon=[[1.0, 0.3], [0.3, 0.6]], sigma=0.9, cutoff=CHARMMSwitch(radius=2.3, onset=1.7)),
    "lj_geometric": LennardJones(sigma=[0.9, 1.0], mixing=Geometric(), cutoff=HOOMDSwitch(radius=2.3, onset=1.7)),
    "wca": WCA(epsilon=[1.0, 0.6], sigma=[1.3, 1.1]),
    "mie": Mie(epsilon=[1.0, 0.6], n=11.0, m=5.0, cutoff=ForceShifted(radius=2.3)),
    "morse": Morse(depth=1.2, alpha=[2.0, 3.0], center=1.1, cutoff=ForceShifted(radius=2.3)),
    "buckingham": Buckingham(A=300.0, rho=[0.2, 0.25], C=0.9, cutoff=Truncated(radius=2.3)),
    "soft_sphere": SoftSphere(epsilon=[1.0, 2.0], sigma=1.9, alpha=2.5),
    "yukawa": Yukawa(A=[1.0, 2.0], kappa=0.8, cutoff=Shifted(radius=2.3)),
    "gaussian": Gaussian(epsilon=[1.0, 2.0], sigma=0.8, cutoff=SWITCH),
    "dsf": DampedCoulomb(charge=[1.0, -0.7], alpha=0.4, cutoff=ForceShifted(radius=2.3)),
    "spline": SPLINE,
    "sum": 2.0 * Yukawa(cutoff=Shifted(radius=2.0)) + 0.5 * LennardJones(cutoff=SWITCH),
    "external": External(eqx.nn.MLP(3, "scalar", 4, 1, jnp.tanh, key=jax.random.key(0), dtype=float)),
}
POTENTIALS["external"] = External(lambda x, net=POTENTIALS["external"].energy_of: jnp.sum(jax.vmap(net)(x)))


class Density(eqx.Module):
    """Minus the root of a sum of pair terms, the form of an embedded atom."""

    width: jax.Array

    def __call__(self, vectors, a, b, present):
        r2 = jnp.sum(vectors**2, axis=1)
        terms = jnp.where(present & (r2 < 4), jnp.exp(-r2 / self.width) * (4 - r2) ** 2, 0)
        return -jnp.sqrt(jnp.sum(terms) + 0.1)


POTENTIALS["many_body"] = ManyBody(energy_of=Density(jnp.asarray(1.5, float)), cutoff=2.0)


def liquid(n=14):
    """Atoms apart from each other in a tilted box smaller than twice the cutoffs."""
    rng = np.random.default_rng(5)
    cell = np.array([[3.6, 0.0, 0.0], [0.5, 3.5, 0.0], [-0.4, 0.3, 3.7]])
    place = np.stack(np.meshgrid(*[np.arange(3)] * 3), axis=-1).reshape(-1, 3)[:n] / 3 @ cell
    return System(place + rng.normal(0, 0.05, (n, 3)), Triclinic(cell=cell), species=np.arange(n) % 2)


# Each way through the engine once; the curves that it differentiates in the same way are slow, below without them.
QUICK = ("lj", "lj_pairs", "spline", "external", "many_body")
ALIKE = [name for name in POTENTIALS if name not in QUICK]


@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in ALIKE)])
def test_first_and_second_derivatives(name):
    potential, system = POTENTIALS[name], liquid()
    lists = NeighborList.make(system, 2.4) if name == "lj" else AllPairs.make(system.space, 2.3)
    weight = jnp.asarray(np.random.default_rng(6).normal(size=(14, 3)))

    def loss(moving):
        potential, position, space = moving
        moved = system.replace(position=position, space=space)
        return potential.total(moved, lists) + jnp.vdot(weight, potential.force(moved, lists))

    moving = (potential, system.position, system.space)
    floats, rest = eqx.partition(moving, eqx.is_inexact_array)
    of = lambda floats: loss(eqx.combine(floats, rest))
    rng = np.random.default_rng(7)
    leaves, structure = jax.tree.flatten(floats)
    # one program for the value and both modes
    every = jax.jit(lambda floats, v: (*jax.value_and_grad(of)(floats), jax.jvp(of, (floats,), (v,))[1]))
    value, slope, _ = every(floats, floats)
    for k, leaf in enumerate(leaves):  # each parameter on its own: a large one must not hide a small one
        direction = [rng.normal(size=x.shape) if m == k else np.zeros(x.shape) for m, x in enumerate(leaves)]
        if leaf.ndim == 2 and leaf.shape[0] == 2:  # a table of pairs stays symmetric
            direction[k] = direction[k] + direction[k].T
        v = structure.unflatten(map(jnp.asarray, direction))
        h = 1e-5
        moved = lambda t, v=v: every(jax.tree.map(lambda x, d: x + t * d, floats, v), v)[0]  # noqa: B023
        fifth = (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h)
        reverse = sum(jnp.vdot(a, b) for a, b in zip(jax.tree.leaves(slope), direction, strict=True))
        scale = max(1.0, abs(float(value)))
        np.testing.assert_allclose(reverse, fifth, rtol=2e-6, atol=3e-8 * scale)
        np.testing.assert_allclose(every(floats, v)[2], reverse, rtol=1e-9, atol=1e-10 * scale)


def test_the_force_of_each_curve_is_minus_its_slope():
    x = np.array([[0.0, 0, 0], [1.1, 0.2, 0], [0.3, 1.2, 0.4], [0.9, 0.8, 1.1]])
    way, lists, h = np.cos(np.arange(12.0)).reshape(4, 3), AllPairs.make(Free(), 2.3), 1e-4
    at = lambda x: System(x, Free(), species=[0, 1, 0, 1])
    every = jax.jit(
        lambda x: [(POTENTIALS[name].total(at(x), lists), POTENTIALS[name].force(at(x), lists)) for name in ALIKE]
    )
    near = [np.array([u for u, _ in every(x + t * way)]) for t in (h, -h, 2 * h, -2 * h)]
    rise = (8 * (near[0] - near[1]) - (near[2] - near[3])) / (12 * h)
    along = [-np.vdot(force, way) for _, force in every(x)]
    assert np.abs(along).min() > 0.1
    np.testing.assert_allclose(along, rise, rtol=1e-7)


@pytest.mark.slow
def test_the_force_is_minus_the_gradient_and_the_second_derivative_is_one_in_all_orders_of_modes():
    system, potential = liquid(6), POTENTIALS["lj"]
    for lists in (NeighborList.make(system, 2.4), AllPairs.make(system.space, 2.4)):
        energy = lambda x, lists=lists: potential.total(system.replace(position=x), lists)
        force = lambda x, lists=lists: potential.force(system.replace(position=x), lists)
        x = system.position
        np.testing.assert_allclose(force(x), -jax.grad(energy)(x), rtol=1e-12, atol=1e-12)
        modes = [jax.jit(a(b(energy)))(x) for a in (jax.jacfwd, jax.jacrev) for b in (jax.jacfwd, jax.jacrev)]
        for found in modes[1:]:
            np.testing.assert_allclose(found, modes[0], rtol=1e-9, atol=1e-9)
        h = 1e-6
        for_one = jax.jit(lambda t, force=force: force(system.position.at[2, 1].add(t)))
        np.testing.assert_allclose(modes[0][:, :, 2, 1], (for_one(-h) - for_one(h)) / (2 * h), rtol=1e-5, atol=1e-5)
        pulled = jax.make_jaxpr(lambda x, v, force=force: jax.vjp(force, x)[1](v))(x, x)
        assert "scatter" not in str(pulled)  # gathered, in reverse mode too


def test_odd_places():
    """At the cutoff, in a row, at one point, beyond the reach."""
    pair = LennardJones(cutoff=ForceShifted(radius=2.0))
    at = lambda x: System(jnp.asarray(x), Free())
    lists = AllPairs.make(Free(), 2.0)
    by_sigma = jax.jit(
        lambda x, s: jax.jacrev(lambda s: LennardJones(sigma=s, cutoff=pair.cutoff).force(at(x), lists))(s)
    )
    rows = jnp.asarray([[[0.0, 0, 0], [1.1, 0, 0], [2.0, 0, 0]], [[0.0, 0, 0], [9.0, 0, 0], [4.0, 0, 0]]])
    for x in rows:
        assert np.isfinite(by_sigma(x, 1.0)).all()
    overlap = at([[0.0, 0, 0], [0.0, 0, 0]])
    assert not np.isfinite(pair.total(overlap, lists)) and not np.isfinite(pair.force(overlap, lists)).all()
    soft = Gaussian(cutoff=Truncated(radius=2.0))
    hessian = jax.hessian(lambda x: soft.total(at(x), lists))(overlap.position)
    np.testing.assert_allclose(soft.force(overlap, lists), 0)
    np.testing.assert_allclose(hessian[0, :, 1], np.eye(3), atol=1e-12)


def test_third_derivatives_with_reverse_mode_around_forward_mode():
    pair, lists = LennardJones(cutoff=ForceShifted(radius=2.0)), AllPairs.make(Free(), 2.0)
    energy = lambda x: pair.total(System(x, Free()), lists)
    stiffness = lambda x: jnp.sum(jnp.sin(jax.jacfwd(jax.grad(energy))(x)))
    x, way = jnp.asarray([[0.0, 0, 0], [1.1, 0.1, 0], [0.4, 1.0, 0.3]]), jnp.cos(jnp.arange(9.0)).reshape(3, 3)
    slope = jax.jit(lambda x: (jnp.vdot(jax.grad(stiffness)(x), way), jax.jvp(stiffness, (x,), (way,))[1]))(x)
    np.testing.assert_allclose(slope[0], slope[1], rtol=1e-10)
