"""`explain`: how a problem will be differentiated, why, at what cost, and whether the gradient can be trusted."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PyTree

from .._check import check_gradient, GradientReport
from .._codes import message_of
from .._problem import Problem
from .._tree import is_float
from ._cost import CompileTime, measured_compile_time
from ._explanation import Explanation
from ._growth import Growth, growth_of
from ._ways import cheapest, refused, simulate, Simulation, Way, way

_RTOL = 1e-3  # differences see an adaptive solver change its steps, derivatives do not: they differ by its tolerance


def explain(
    subject: Problem | Callable[..., PyTree], x: PyTree = None, *, dynamics: Callable[..., Any] | None = None
) -> Explanation:
    r"""How `subject` will be differentiated, why, at what cost, and whether its gradient can be trusted.

    - `subject`: a `Problem`; or a function of one PyTree, such as a simulation as a function of its parameters.
    - `x`: the point: coordinates of the problem (default `problem.start()`), or the argument of the function.
    - `dynamics`: what is simulated there, `dynamics(model, data)` for a problem and `dynamics(x)` for a function:
      returns `(rule, y0, horizon)` as `lyapunov_exponent` takes them (a vector field and a time, or a simulator and a
      number of steps), or a `LyapunovExponent` that it found itself, say with a stiff solver. A rule that is a module
      with the parameters as leaves is compiled once for all experiments, a new function for each anew.

    What is measured: one evaluation is compiled and timed; the derivative along one direction is compiled and compared
    with finite differences (`check_gradient`, to 0.1 % in double precision); two small programs are compiled to learn
    how fast this machine compiles just now. What is predicted, without compiling: for each way to the Jacobian and to
    the gradient of a scalar, its run time (from the sizes of all operations), its memory (from what is alive at once)
    and its compile time (from the number of operations). Expect factors of five for run time, of three for memory
    (more below some kB, where fusion decides) and compile time. The whole takes about as long as compiling a fit.

    With `dynamics`, neighboring states are followed through every experiment. Over a horizon $T$ they separate by
    $e^{\lambda T}$; so does the gradient grow, with a relative error of about $\epsilon e^{\lambda T}$ from rounding
    alone. There is a warning if $e^{\lambda T} > 10^3$ (the gradient describes only tiny changes of the parameters),
    and another if $\epsilon e^{\lambda T} > 10^{-2}$ (it is meaningless). A simulation that ends at rest is reported,
    with the cost of `Implicit()`. Without `dynamics` neither is known, and the text says so.

    Returns an `Explanation` to print or to show in a notebook. Raises ValueError for input that cannot be right.
    """
    if isinstance(subject, Problem):
        target, label = _target_of_problem(subject, x), type(subject.layout.model).__name__
        gradient, trouble = _check_problem(subject, target.z)
    elif callable(subject):
        if x is None:
            raise ValueError("explain(fn, x) needs the point x at which to look at the function.")
        target, label = _target_of_function(subject, x), getattr(subject, "__name__", type(subject).__name__)
        gradient, trouble = check_gradient(subject, x, rtol=_tolerance(target.z)), ""
    else:
        raise ValueError(f"explain takes a Problem, or a function and a point, not {subject!r}.")
    simulation = simulate(target.scalar if isinstance(subject, Problem) else target.vector, target.subject, target.z)
    compile_time = measured_compile_time()
    ways = _ways(target, (simulation.work, compile_time))
    growth = () if dynamics is None else _growth(subject, x, target.z, dynamics)
    ways += _implicit(growth, simulation, compile_time, target.z)
    return Explanation(
        label=label,
        inputs=target.z.size,
        outputs=target.outputs,
        seconds=simulation.seconds,
        memory=simulation.memory,
        ways=tuple(ways),
        growth=growth,
        gradient=gradient,
        trouble=trouble,
    )


class _Target(NamedTuple):
    """Functions of `(subject, z)`: all that is simulated as a vector, and a scalar of it; and how to choose a way."""

    subject: PyTree
    z: Float[Array, " p"]
    outputs: int
    vector: Callable[[PyTree, Array], Array]
    scalar: Callable[[PyTree, Array], Array]
    choices: tuple[str, ...] | None


def _target_of_problem(problem: Problem, z: Any) -> _Target:
    z = problem.start() if z is None else jnp.asarray(z, problem.start().dtype)
    if z.shape != problem.start().shape:
        raise ValueError(f"x must be coordinates of the problem, shape {problem.start().shape}, not {z.shape}.")
    vector = lambda problem, z: problem.predicted(z)
    mode = problem.mode
    word = {True: "forward", False: "reverse"}
    return _Target(
        subject=problem,
        z=z,
        outputs=jax.eval_shape(lambda z: vector(problem, z), z).size,
        vector=vector,
        scalar=lambda problem, z: problem.evaluate(z).cost,
        choices=(f"Jacobian, {word[mode.jacobian_is_forward]}", f"gradient, {word[mode.gradient_is_forward]}"),
    )


def _target_of_function(fn: Callable[..., PyTree], x: PyTree) -> _Target:
    moving, still = eqx.partition(x, is_float)
    if not jax.tree.leaves(moving):
        raise ValueError("x has no float array leaf, so there is nothing to differentiate. Use jnp.asarray(1.0).")
    z, unravel = ravel_pytree(moving)

    def vector(fn, z):
        return ravel_pytree(eqx.filter(fn(eqx.combine(unravel(z), still)), is_float))[0]

    outputs = eqx.filter_eval_shape(vector, fn, z).size
    scalar = lambda fn, z: jnp.sum(vector(fn, z) ** 2) if outputs > 1 else vector(fn, z)[0]
    return _Target(fn, z, outputs, vector, scalar, None)


def _ways(target: _Target, scale: tuple[float, CompileTime]) -> list[Way]:
    """The Jacobian of the vector (unless it has one entry) and the gradient of the scalar, both ways."""
    kinds = [("Jacobian", target.vector)] if target.outputs > 1 else []
    ways = []
    supported: dict[str, str] = {}
    for kind, fn in [*kinds, ("gradient", target.scalar)]:
        both = []
        for mode, derivative in (("forward", jax.jacfwd), ("reverse", jax.jacrev)):
            name = f"{kind}, {mode}"
            if mode in supported:
                both.append(refused(name, supported[mode]))
                continue
            differentiated = lambda s, z, fn=fn, d=derivative: d(lambda z: fn(s, z))(z)
            both.append(way(name, differentiated, target.subject, target.z, scale))
            if not both[-1].is_available:
                supported[mode] = both[-1].remark.removeprefix("not available: ")
        best = cheapest(both)
        chosen = target.choices or (() if best is None else (best.name,))
        ways += [dataclasses.replace(one, is_chosen=one.name in chosen) for one in both]
    return ways


def _implicit(
    growth: Sequence[Growth], simulation: Simulation, compile_time: CompileTime, z: Float[Array, " p"]
) -> list[Way]:
    """Differentiating the steady state: a simulation, the Jacobian of one step, one linear system of the state."""
    if not growth:
        return []
    end = max(growth, key=lambda one: one.dimension)
    if not all(one.is_at_rest for one in growth):
        looked = all(one.is_at_rest is not None for one in growth)
        reason = "the state still moves at the horizon" if looked else "whether the state comes to rest is not known"
        return [refused("steady state, implicit", reason)]
    columns = end.dimension + z.size
    return [
        Way(
            name="steady state, implicit",
            run_time=1 + columns / max(end.num_steps, 1),
            memory=simulation.memory + end.dimension * columns * z.dtype.itemsize,
            compile_time=compile_time(2 * simulation.operations),
            operations=2 * simulation.operations,
            remark="if only the final state is observed",
        )
    ]


def _check_problem(problem: Problem, z: Float[Array, " p"]) -> tuple[GradientReport | None, str]:
    """The gradient of the cost against differences; or which simulations fail there."""
    verdicts = eqx.filter_jit(lambda problem, z: problem.evaluate(z).verdicts)(problem, z)
    failed = [(name, int(code)) for name, code in zip(problem.experiments, verdicts, strict=True) if code != 0]
    if failed:
        name, code = failed[0]
        return None, f"The simulation of {len(failed)} experiment(s) fails here, first {name!r}: {message_of(code)}"
    return check_gradient(lambda z: problem.evaluate(z).cost, z, rtol=_tolerance(z)), ""


def _tolerance(z: Float[Array, " p"]) -> float | None:
    """Coarser than `check_gradient`'s own in double precision."""
    return _RTOL if jnp.finfo(z.dtype).eps < 1e-10 else None


def _growth(
    subject: Problem | Callable[..., PyTree], x: PyTree, z: Float[Array, " p"], dynamics: Callable[..., Any]
) -> tuple[Growth, ...]:
    if not isinstance(subject, Problem):
        return (growth_of("", dynamics, x),)
    data = zip(subject.experiments, subject.data.data, strict=True)
    return tuple(growth_of(name, dynamics, subject.model(z, name), one) for name, one in data)
