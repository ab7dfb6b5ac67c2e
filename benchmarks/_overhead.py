"""What the verbs cost on top of what they stand on."""

import time
from collections.abc import Callable
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from kinax.physics import Motion, VanDerPol
from kinax.solvers import FixedStep, integrate, nonstiff, rollout, stiff, TimeState

from ._measure import case, seconds

TS = jnp.linspace(0.0, 50.0, 201)
Y0 = Motion(q=jnp.array(2.0), v=jnp.array(0.0))
STEPS, SAVE_EVERY = 5_000_000, 1000


def compile_seconds(make: Callable[[], Callable[[], Any]], repeats: int = 5) -> float:
    """The median of the first calls of functions that were never compiled before."""
    times = []
    for _ in range(repeats):
        fn = make()
        jax.clear_caches()
        start = time.perf_counter()
        jax.block_until_ready(fn())
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def both(name: str, peer: str, ours: Callable[[], Callable], theirs: Callable[[], Callable]) -> list[dict[str, Any]]:
    """Compile and run time of two ways of doing the same."""
    a, b = ours(), theirs()
    difference = float(np.max(np.abs(np.asarray(a()) - np.asarray(b()))))
    run = seconds({"kinax": a, peer: b}, repeats=41)
    first = {"kinax": compile_seconds(ours), peer: compile_seconds(theirs)}
    return [
        case(f"{name}, run", "seconds per call", run["kinax"], {peer: run[peer]}, largest_difference=difference),
        case(f"{name}, first call", "seconds", first["kinax"], {peer: first[peer]}),
    ]


def integrate_case(name: str, mu: float, solver: diffrax.AbstractSolver) -> list[dict[str, Any]]:
    """`integrate` and `diffeqsolve` with the same solver, controller and output."""
    system = VanDerPol(mu=mu)

    def ours():
        return lambda: integrate(system, Y0, TS, solver=solver).ys.q

    def theirs():
        def solve():
            solution: Any = diffrax.diffeqsolve(
                diffrax.ODETerm(system),
                solver,
                TS[0],
                TS[-1],
                None,
                Y0,
                saveat=diffrax.SaveAt(ts=TS),
                stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-8),
                max_steps=100_000,
            )
            return solution.ys.q

        return solve

    return both(f"integrate {name}", "diffeqsolve", ours, theirs)


def rollout_case() -> list[dict[str, Any]]:
    """`rollout` and a nested `lax.scan` over the same simulator."""
    simulator = FixedStep(vector_field=VanDerPol(mu=5.0), dt=1e-3, solver=diffrax.Heun())
    start = TimeState(t=jnp.array(0.0), y=Y0)

    def ours():
        return lambda: rollout(simulator, start, STEPS, save_every=SAVE_EVERY).ys.y.q

    def theirs():
        @eqx.filter_jit
        def scan(simulator, state):
            def save(state, _):
                state, _ = jax.lax.scan(lambda s, _: (simulator(s), None), state, length=SAVE_EVERY)
                return state, state

            return jax.lax.scan(save, state, length=STEPS // SAVE_EVERY)

        return lambda: scan(simulator, start)[1].y.q

    return both("rollout", "lax.scan", ours, theirs)


def progress_case() -> dict[str, Any]:
    """A run of about a second with and without its progress bar."""
    simulator = FixedStep(vector_field=VanDerPol(mu=5.0), dt=1e-4, solver=nonstiff())
    start = TimeState(t=jnp.array(0.0), y=Y0)
    n = 60_000_000
    run = lambda progress: rollout(simulator, start, n, save_every=n // 100, progress=progress).state.y
    times = seconds({"kinax": lambda: run(True), "no bar": lambda: run(False)}, repeats=7)
    return case("rollout with a progress bar", "seconds per call", times["kinax"], {"no bar": times["no bar"]})


def gradient_case(state: int, numbers: int, batch: int = 0) -> list[dict[str, Any]]:
    """A gradient by some numbers: a ring that diffuses, grows and is stirred."""

    def field(t: Any, y: Any, a: Any) -> Any:
        spread = jnp.roll(y, 1) + jnp.roll(y, -1) - 2 * y
        return 0.1 * a[0] * spread + 0.3 * a[1] * y * (1 - y) - 0.1 * a[-1] * jnp.sin(y) + 1e-3 * jnp.sum(a)

    start = 0.5 + 0.3 * jnp.sin(0.3 * jnp.arange(state))
    point = jnp.linspace(0.5, 1.0, numbers)
    points = point * jnp.linspace(0.9, 1.1, batch)[:, None] if batch else point

    def made(adjoint: Any) -> Callable[[], Any]:
        last = lambda a: integrate(field, start, jnp.linspace(0.0, 20.0, 11), args=a, adjoint=adjoint).ys[-1]
        gradient = jax.grad(lambda a: jnp.sum(last(a) ** 2))
        program = jax.jit(jax.vmap(gradient) if batch else gradient)
        return lambda: program(points)

    name = f"gradient by {numbers} numbers of {state} components" + (f", {batch} at once" if batch else "")
    peer = diffrax.RecursiveCheckpointAdjoint()
    return both(name, "RecursiveCheckpointAdjoint", lambda: made(None), lambda: made(peer))


def gradients() -> list[dict[str, Any]]:
    """Small and large states by few numbers, and by more than forward mode is used for."""
    sizes = [(2, 2), (2, 8), (2, 9), (30, 8), (1000, 4), (10_000, 4)]
    return [*(row for size in sizes for row in gradient_case(*size)), *gradient_case(2, 8, batch=64)]


def run() -> list[dict[str, Any]]:
    """All cases."""
    return [
        *integrate_case("van der Pol, Tsit5", 5.0, nonstiff()),
        *integrate_case("van der Pol, stiff", 500.0, stiff()),
        *rollout_case(),
        *gradients(),
        progress_case(),
    ]
