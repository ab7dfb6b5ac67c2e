"""Registries: a new member is covered by being listed here."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from kinax.physics import (
    DoublePendulum,
    FitzHughNagumo,
    Hamiltonian,
    Kepler,
    Lagrangian,
    Lorenz,
    LotkaVolterra,
    Motion,
    NBody,
    Pendulum,
    Phase,
    Robertson,
    ScaledVanDerPol,
    VanDerPol,
)
from kinax.solvers import parameter


class SystemCase(NamedTuple):
    """A ready-made system with a start and a few save times, chosen so that it is quick and well conditioned."""

    name: str
    system: Any  # vector field (t, y, args)
    y0: Any
    ts: np.ndarray
    stiff: bool = False


class HenonHeiles(eqx.Module):
    """A star in a galaxy: |p|²/2 + |q|²/2 + coupling (q0² q1 - q1³/3)."""

    coupling: Any = parameter(default=1.0)

    def __call__(self, q, p):
        return jnp.sum(p**2 + q**2) / 2 + self.coupling * (q[0] ** 2 * q[1] - q[1] ** 3 / 3)


class SpringPendulum(eqx.Module):
    """A mass on a spring that swings: `q` is a dict of the spring's `length` [m] and its `angle` [rad]."""

    mass: Any = parameter(default=1.3)
    rest_length: Any = parameter(default=0.8)
    stiffness: Any = parameter(default=25.0)
    gravity: Any = parameter(default=9.8)

    def __call__(self, q, v):
        kinetic = self.mass * (v["length"] ** 2 + (q["length"] * v["angle"]) ** 2) / 2
        rise = -q["length"] * jnp.cos(q["angle"])
        return kinetic - self.mass * self.gravity * rise - self.stiffness * (q["length"] - self.rest_length) ** 2 / 2


def astype(tree, dtype):
    """`tree` with its float arrays in `dtype`, and numbers made arrays."""
    cast = lambda x: jnp.asarray(x, dtype) if eqx.is_inexact_array_like(x) else x
    return jax.tree.map(cast, tree)


def make_systems():
    times = lambda end: np.linspace(0, end, 4)
    yield SystemCase(
        "lotka_volterra",
        LotkaVolterra(alpha=0.55, beta=0.028, gamma=0.8, delta=0.024),
        LotkaVolterra.State(prey=30.0, predator=4.0),
        times(6),
    )
    yield SystemCase("van_der_pol", VanDerPol(mu=2), Motion(q=1.5, v=0.5), times(3))
    yield SystemCase("scaled_van_der_pol", ScaledVanDerPol(eps=0.01), Motion(q=2.0, v=-0.6), times(0.6), stiff=True)
    yield SystemCase(
        "robertson", Robertson(), Robertson.State(a=1.0, b=0.0, c=0.0), np.array([0, 0.4, 4, 40]), stiff=True
    )
    yield SystemCase("lorenz", Lorenz(), Lorenz.State(x=1.0, y=2.0, z=20.0), times(0.6))
    yield SystemCase("fitzhugh_nagumo", FitzHughNagumo(), FitzHughNagumo.State(v=-1.0, w=0.5), times(6))
    yield SystemCase("pendulum", Pendulum(length=1.5, damping=0.1), Motion(q=2.0, v=0.3), times(2))
    yield SystemCase(
        "double_pendulum",
        DoublePendulum(masses=[1.0, 0.7], lengths=[0.8, 1.1]),
        Motion(q=np.array([1.2, -0.5]), v=np.array([0.3, 1.0])),
        times(0.8),
    )
    yield SystemCase("kepler", Kepler(mu=1.2), Kepler(mu=1.2).periapsis(1.0, 0.3), times(3))
    yield SystemCase(
        "n_body",
        NBody(masses=[1.0, 0.5, 0.2], G=0.9, softening=0.1),
        Motion(
            q=np.array([[0.0, 0, 0.1], [1, 0, 0], [0, 1.5, -0.2]]),
            v=np.array([[0.0, -0.2, 0], [0, 0.9, 0.1], [-0.7, 0, 0]]),
        ),
        times(1.5),
    )
    yield SystemCase(
        "hamiltonian", Hamiltonian(HenonHeiles()), Phase(q=np.array([0.1, 0.3]), p=np.array([0.3, -0.1])), times(3)
    )
    yield SystemCase(
        "lagrangian",
        Lagrangian(SpringPendulum()),
        Motion(q={"angle": 0.8, "length": 1.0}, v={"angle": 0.1, "length": -0.2}),
        times(1),
    )


all_systems = [case._replace(y0=astype(case.y0, jnp.result_type(float))) for case in make_systems()]
