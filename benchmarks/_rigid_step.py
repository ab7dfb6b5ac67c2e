"""Articulated rigid bodies in float64: a step, its compilation, gradient and batch; against MJX and MuJoCo's C code.

A tree of 27 hinges, brax's humanoid without contact and limits, a chain of 100 links, ten humanoids: one MJCF text for
all sides, semi-implicit Euler with damping taken implicitly, constant forces. "step" and "gradient" are calls from
Python, many in a row and waited for together; "loop" is a step inside a compiled loop. MuJoCo's C code has only loops.
Peers run in processes of their own, with the Python that `KINAX_PEERS` names (default: this one), and take turns with
this one. Humanoids need brax there, and here MuJoCo's compiler (`kinax[mjcf]`); what is missing is named in the notes.
"""

import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PyTree
from kinax.physics import (
    Body,
    euler,
    Hinge,
    Inertia,
    JointState,
    Mechanism,
    mechanism,
    Multibody,
    Passive,
    read_mjcf,
    SemiImplicitEuler,
    write_mjcf,
)
from kinax.solvers import TimeState

from ._measure import case, seconds

PEERS = pathlib.Path(__file__).parent / "_rigid_step_peers.py"
BATCH, DT = 256, 0.002
LABELS = {"loop": "step in a loop", "batch": f"batch {BATCH}"}
CALLS = {"step": 100, "loop": 1, "gradient": 20, "batch": 5}  # in a row
PATIENCE = {"batch": 90.0}  # seconds that a peer may take for an answer, compilation included
USUAL = 400.0
# XLA's runtime was seen to lose a task of MJX's batch, so that it waits for ever, but never with this schedule
SAFE = "--xla_cpu_enable_concurrency_optimized_scheduler=false"


class Push(eqx.Module):
    """Constant forces of the joints."""

    tau: Array

    def __call__(self, mechanism: Mechanism, t: Any, y: JointState) -> Array:
        return self.tau


class Peer:
    """A process that measures when it is asked to; one that falls silent is started anew, with XLA's other schedule."""

    def __init__(self, name: str, folder: str) -> None:
        self._command = [python(), str(PEERS), name, folder]
        self.name = name
        found = self._start(dict(os.environ))
        self.final = None if found is None else np.array(found["final"])

    def measure(self, what: str) -> float:
        """Seconds; NaN where no answer comes in time, after which there are no more."""
        found = self._ask(what)
        if found is None:
            self.close()
            self._start(os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {SAFE}"})
            found = self._ask(what)
        return float("nan") if found is None else found["seconds"]

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _start(self, environment: dict[str, str]) -> dict[str, Any] | None:
        self._process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        return self._answer(USUAL)

    def _ask(self, what: str) -> dict[str, Any] | None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(what + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            return None
        return self._answer(PATIENCE.get(what, USUAL))

    def _answer(self, patience: float) -> dict[str, Any] | None:
        assert self._process.stdout is not None
        watch = threading.Timer(patience, self._process.kill)
        watch.start()
        try:
            lines = (line for line in self._process.stdout if line.startswith("{"))
            found = next(lines, None)
            return None if found is None else json.loads(found)
        finally:
            watch.cancel()


def python() -> str:
    """The interpreter of the peers."""
    return os.environ.get("KINAX_PEERS", sys.executable)


def random_tree(parents: list[int], seed: int) -> Mechanism:
    """Hinges with random axes, anchors, places and inertias, damping 0.1."""
    draw, bodies = np.random.default_rng(seed), []
    for k, parent in enumerate(parents):
        joint = Hinge(axis=draw.normal(size=3), anchor=0.05 * draw.normal(size=3), passive=Passive(damping=0.1))
        bodies.append(
            Body(
                f"b{k}",
                parent="world" if parent < 0 else f"b{parent}",
                joint=joint,
                position=0.2 * draw.normal(size=3),
                orientation=np.asarray(euler(*draw.uniform(-1, 1, 3))),
                inertia=Inertia(draw.uniform(0.5, 2), center=0.05 * draw.normal(size=3), moments=[0.02, 0.03, 0.025]),
            )
        )
    return mechanism(*bodies)


def tree(n: int) -> Mechanism:
    """Parents at most four back; numbered branch by branch, as MuJoCo does."""
    draw = np.random.default_rng(1)
    parents = [-1] + [int(draw.integers(max(0, k - 4), k)) for k in range(1, n)]
    order = [0]
    while len(order) < n:  # the next child of the last one that still has children to be numbered
        last = next(k for k in reversed(order) if any(parents[c] == k and c not in order for c in range(n)))
        order.append(next(c for c in range(n) if parents[c] == last and c not in order))
    return random_tree([-1] + [order.index(parents[k]) for k in order[1:]], 0)


def chain(n: int) -> Mechanism:
    """Each link on the one before."""
    return random_tree(list(range(-1, n - 1)), 0)


def humanoids(copies: int) -> str:
    """As MJCF; they do not meet, because nothing touches."""
    done = subprocess.run([python(), str(PEERS), "export", str(copies)], capture_output=True, text=True)
    if done.returncode:
        raise ImportError(f"no humanoid: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


def simulator(model: Mechanism, dt: float, tau: Array) -> SemiImplicitEuler:
    """MuJoCo's default step."""
    return SemiImplicitEuler(multibody=Multibody(model, (Push(tau),)), dt=dt)


def start(model: Mechanism, seed: int) -> tuple[Array, Array, Array]:
    """Configuration, velocity and forces, away from rest."""
    draw, nv = np.random.default_rng(seed), model.topology.nv
    change, v, tau = (jnp.asarray(scale * draw.normal(size=nv)) for scale in (0.3, 0.3, 0.1))
    return jax.jit(lambda q, u: model.retract(q, u))(model.rest, change), v, tau


def many(n: int) -> Callable[[SemiImplicitEuler, TimeState], TimeState]:
    """n steps in a loop."""
    return lambda step, state: jax.lax.fori_loop(0, n, lambda _, state: step(state), state)


def ready(fn: Callable[..., Any], *arguments: Any, calls: int = 1) -> Callable[[], float]:
    """A measurement of a compiled function, in seconds a call."""
    compiled = jax.jit(fn).lower(*arguments).compile()
    jax.block_until_ready(compiled(*arguments))

    def measure() -> float:
        jax.block_until_ready(compiled(*arguments))  # a peer may have run in between: wake the threads
        begin = time.perf_counter()
        jax.block_until_ready([compiled(*arguments) for _ in range(calls)])
        return (time.perf_counter() - begin) / calls

    return measure


def gradient_of(step: SemiImplicitEuler) -> tuple[Callable[..., Any], PyTree]:
    """Value and gradient of a cost after ten steps with respect to every float of the simulator, and these floats."""
    floats, others = eqx.partition(step, eqx.is_inexact_array)

    def loss(floats, state):
        step = eqx.combine(floats, others)
        last = jax.lax.scan(lambda state, _: (step(state), None), state, length=10)[0]
        return jnp.sum(last.y.q) + jnp.sum(last.y.v)

    return jax.value_and_grad(loss), floats


def compilation(step: SemiImplicitEuler, state: TimeState) -> float:
    """Seconds to trace, lower and compile one step."""
    jax.clear_caches()
    begin = time.perf_counter()
    jax.jit(lambda step, state: step(state)).lower(step, state).compile()
    return time.perf_counter() - begin


def measurements(step: SemiImplicitEuler, state: TimeState, qs: Array, steps: int) -> dict[str, Callable[[], float]]:
    """What this side is asked for, by the names that the peers know; made when first asked for."""
    made: dict[str, Callable[[], float]] = {}
    gradient, floats = gradient_of(step)
    states = jax.vmap(lambda q: TimeState(t=state.t, y=JointState(q=q, v=state.y.v, act=None)))(qs)
    one = lambda step, state: step(state)
    make = {
        "step": (one, step, state),
        "loop": (many(steps), step, state),
        "gradient": (gradient, floats, state),
        "batch": (jax.vmap(one, (None, 0)), step, states),
    }
    units = {"step": 1, "loop": steps, "gradient": 1, "batch": len(qs)}

    def measure(name: str) -> float:
        if name not in made:
            made[name] = ready(*make[name], calls=CALLS[name])
        return made[name]() / units[name]

    return {name: lambda name=name: measure(name) for name in make} | {"compile": lambda: compilation(step, state)}


def model_cases(
    name: str, model: Mechanism, text: str, dt: float, wanted: dict[str, tuple[str, int]], steps: int
) -> list[dict[str, Any]]:
    """`wanted`: what is measured, with its metric and how often."""
    q, v, tau = start(model, 3)
    qs = jnp.asarray(np.asarray(q)[None] + 1e-3 * np.random.default_rng(4).normal(size=(BATCH, len(q))))
    step = simulator(model, dt, tau)
    state = TimeState(t=jnp.asarray(0.0), y=JointState(q=q, v=v, act=None))
    final = jax.jit(many(10))(step, state).y
    own = measurements(step, state, qs, steps)
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "model.xml").write_text(text)
        known = dict(q=q, v=v, tau=tau, qs=qs, steps=np.array(steps), calls=np.array(json.dumps(CALLS)))
        np.savez(pathlib.Path(folder) / "start.npz", allow_pickle=False, **known)
        peers = [Peer("mjx", folder), Peer("mujoco", folder)]
        try:
            return [
                _one(name, what, metric, repeats, own[what], peers, np.concatenate([final.q, final.v]))
                for what, (metric, repeats) in wanted.items()
            ]
        finally:
            for peer in peers:
                peer.close()


def _one(
    name: str, what: str, metric: str, repeats: int, own: Callable[[], float], peers: list[Peer], final: np.ndarray
) -> dict[str, Any]:
    here = [p for p in peers if p.final is not None and (p.name == "mjx" or what in ("loop", "batch"))]
    runs: dict[str, Callable[[], float]] = {"kinax": own}
    runs |= {p.name: lambda p=p: p.measure(what) for p in here}
    times: dict[str, list[float]] = {side: [] for side in runs}
    for side, run in list(runs.items()):  # compile and warm up
        if math.isnan(run()):
            del runs[side], times[side]
    for _ in range(repeats):
        for side, run in runs.items():
            times[side].append(run())
    medians = {side: statistics.median(values) for side, values in times.items()}
    notes: dict[str, Any] = {f"{p.name} absent": "see KINAX_PEERS" for p in peers if p.final is None}
    notes |= {f"differs from {p.name} by": float(np.abs(p.final - final).max()) for p in here if p.final is not None}
    notes |= {p.name: "no answer in time" for p in here if p.name not in runs}
    if what == "batch":
        medians = {side: 1 / value for side, value in medians.items()}
    kinax = medians.pop("kinax")
    label = f"{name} {LABELS.get(what, what)}"
    return case(label, metric, kinax, medians, higher_is_better=what == "batch", **notes)


def jacobian_case(name: str, model: Mechanism) -> dict[str, Any]:
    """All Jacobians of inverse dynamics in units of one inverse dynamics; loops feed each result into the next."""
    q, v, a = start(model, 5)
    n = 1000

    def once(model, q, v, a):
        return jax.lax.fori_loop(
            0, n, lambda _, c: (c[0] + 1e-12 * c[1][0], model.inverse_dynamics(c[0], v, a)), (q, v)
        )

    def slopes(model, q, v, a):
        def body(_, carry):
            q, found = carry
            return q + 1e-12 * found.q[0, 0], model.inverse_dynamics_derivatives(q, v, a)

        return jax.lax.fori_loop(0, n, body, (q, model.inverse_dynamics_derivatives(q, v, a)))

    compiled = {"once": jax.jit(once), "slopes": jax.jit(slopes)}
    times = seconds({key: lambda fn=fn: fn(model, q, v, a) for key, fn in compiled.items()}, 7)
    ratio = times["slopes"] / times["once"]
    notes: dict[str, Any] = {"inverse_dynamics": times["once"] / n, "jacobians": times["slopes"] / n}
    return case(f"{name} inverse dynamics Jacobians", "inverse dynamics", ratio, {}, **notes)


def cost_curve() -> list[dict[str, Any]]:
    """Seconds a step and to compile it, for chains."""
    rows = []
    for n in (10, 30, 60, 100, 200):
        model = chain(n)
        q, v, tau = start(model, 3)
        step = simulator(model, DT, tau)
        state = TimeState(t=jnp.asarray(0.0), y=JointState(q=q, v=v, act=None))
        steps = 20_000 // n
        once = ready(many(steps), step, state)
        took = statistics.median(once() for _ in range(5)) / steps
        rows.append(case(f"chain{n}", "seconds a step", took, {}, compilation=compilation(step, state)))
    return rows


def precision_case(name: str, model: Mechanism, shift: float) -> dict[str, Any]:
    """Relative error of float32's forward dynamics, the median of 20 states; `shift` [m] moves the first joint."""
    narrow = jax.tree.map(lambda x: x.astype(jnp.float32) if eqx.is_inexact_array(x) else x, model)
    act = jax.jit(lambda model, q, v, tau: model.forward_dynamics(q, v, tau))
    errors = []
    for seed in range(20):
        q, v, tau = start(model, seed)
        moved = q.at[:2].add(shift)
        few = [jnp.asarray(x, jnp.float32) for x in (moved, v, tau)]
        exact, rounded = act(model, q, v, tau), act(narrow, *few)
        errors.append(float(jnp.linalg.norm(rounded.astype(exact.dtype) - exact) / jnp.linalg.norm(exact)))
    median, worst = statistics.median(errors), max(errors)
    return case(f"float32 {name}", "relative error of forward dynamics", median, {}, worst=worst)


def run() -> list[dict[str, Any]]:
    """All cases; those that need humanoids are left out where brax or MuJoCo is missing."""
    usual = {
        "step": ("seconds a step", 7),
        "loop": ("seconds a step", 7),
        "gradient": ("seconds, gradient of 10 steps", 7),
        "batch": ("steps a second", 5),
        "compile": ("seconds", 5),
    }
    long = {"loop": ("seconds a step", 5), "gradient": ("seconds, gradient of 10 steps", 3), "compile": ("seconds", 1)}
    tree27, chain100 = tree(27), chain(100)
    exported = lambda model: write_mjcf(model).replace("<option ", f'<option timestep="{DT}" ')
    cases = model_cases("tree27", tree27, exported(tree27), DT, usual, 1000)
    cases += [jacobian_case("tree27", tree27), *cost_curve(), precision_case("chain100", chain100, 0.0)]
    cases += model_cases("chain100", chain100, exported(chain100), DT, long, 100)
    try:
        texts = {copies: humanoids(copies) for copies in (1, 10)}
        models = {copies: read_mjcf(text, ignore=("contact", "limit")) for copies, text in texts.items()}
    except ImportError as error:
        return [*cases, case("humanoid", str(error), float("nan"), {})]
    one, ten = models[1], models[10]
    cases += model_cases("humanoid", one.mechanism, texts[1], one.dt, usual, 1000)
    cases += model_cases("humanoids10", ten.mechanism, texts[10], ten.dt, long, 100)
    cases += [jacobian_case("humanoid", one.mechanism), precision_case("humanoid", one.mechanism, 0.0)]
    return [*cases, precision_case("humanoid 10 km away", one.mechanism, 1e4)]
