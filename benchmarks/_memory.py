"""Peak memory of the gradient of a rollout, from XLA's own analysis of the compiled program."""

from typing import Any

import jax
import jax.numpy as jnp
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


def run() -> list[dict[str, Any]]:
    """All cases: bytes by number of steps."""
    rows = []
    for n in (100, 1000, 10_000):
        peers = {"Unrolled()": gradient_bytes(Unrolled(), n), "Checkpointed(10)": gradient_bytes(Checkpointed(10), n)}
        rows.append(case(f"gradient of {n} steps, Checkpointed()", "bytes", gradient_bytes(Checkpointed(), n), peers))
    return rows
