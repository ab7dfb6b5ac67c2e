"""Peak memory of the gradient of a rollout, from XLA's own analysis of the compiled program."""

from typing import Any

import jax
import jax.numpy as jnp
from kinax.md import (
    AbstractNeighbors,
    AllPairs,
    draw_velocities,
    fcc,
    LennardJones,
    NeighborList,
    System,
    Truncated,
    VelocityVerlet,
)
from kinax.physics import Motion, VanDerPol
from kinax.solvers import AbstractAdjoint, Checkpointed, FixedStep, rollout, TimeState, Unrolled

from ._measure import case

MEMBERS = 64  # a state large enough for states, not bookkeeping, to fill the memory


def gradient_bytes(adjoint: AbstractAdjoint, n: int) -> int:
    """Temporary memory of the gradient of the last state with respect to mu."""
    y0 = Motion(q=jnp.linspace(1.0, 2.0, MEMBERS), v=jnp.zeros(MEMBERS))

    def loss(mu, y0):
        def last(y):
            simulator = FixedStep(vector_field=VanDerPol(mu=mu), dt=1e-3)
            start = TimeState(t=jnp.array(0.0), y=y)
            return rollout(simulator, start, n, save_every=n, adjoint=adjoint, throw=False).state.y.q

        return jnp.sum(jax.vmap(last)(y0))

    program = jax.jit(jax.grad(loss)).lower(jnp.array(2.0), y0).compile()
    analysis: Any = program.memory_analysis()
    return analysis.temp_size_in_bytes


def molecular_bytes(neighbors: AbstractNeighbors, system: System, adjoint: AbstractAdjoint, n: int) -> int:
    """Temporary memory of the gradient of the last places of atoms with respect to sigma, a refresh every 10 steps."""

    def loss(sigma):
        pair = LennardJones(sigma=sigma, cutoff=Truncated(radius=2.5))
        dynamics = VelocityVerlet(potential=pair, dt=0.005)
        start = dynamics.start(system, neighbors=neighbors, every=10)
        last = rollout(dynamics, start, n, save_every=n, adjoint=adjoint, throw=False).state
        return jnp.sum(last.system.position**2)

    analysis: Any = jax.jit(jax.grad(loss)).lower(jnp.array(1.0)).compile().memory_analysis()
    return analysis.temp_size_in_bytes


def molecular_cases() -> list[dict[str, Any]]:
    """500 atoms of a melt, each with each other or with a list that is made anew on the way."""
    system = draw_velocities(fcc(5, (4 / 0.8442) ** (1 / 3)), 1.44, key=jax.random.key(0))
    rows = []
    lists = {"all pairs": AllPairs.make(system.space, 2.5), "a list": NeighborList.make(system, 3.0)}
    for name, neighbors in lists.items():
        of = lambda adjoint, neighbors=neighbors: molecular_bytes(neighbors, system, adjoint, 1000)
        peers = {"Unrolled()": of(Unrolled())}
        rows.append(case(f"gradient of 1000 steps of 500 atoms, {name}", "bytes", of(Checkpointed()), peers))
    return rows


def run() -> list[dict[str, Any]]:
    """All cases: bytes by number of steps."""
    rows = []
    for n in (100, 1000, 10_000):
        peers = {"Unrolled()": gradient_bytes(Unrolled(), n), "Checkpointed(10)": gradient_bytes(Checkpointed(10), n)}
        rows.append(case(f"gradient of {n} steps, Checkpointed()", "bytes", gradient_bytes(Checkpointed(), n), peers))
    return rows + molecular_cases()
