"""A registry of simulators: a new one is covered by being listed; `tests/solvers/test_simulators.py` runs them all."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import diffrax
import jax
import jax.numpy as jnp
from kinax.solvers import (
    BAOAB,
    FixedStep,
    GaussLegendre,
    ImplicitMidpoint,
    integrate,
    LangevinState,
    OBABO,
    PositionVerlet,
    Repeated,
    RESPA,
    StageFixedPoint,
    Strang,
    TimeState,
    VelocityVerlet,
    yoshida4,
    yoshida6,
)
from tests.manifolds import MANIFOLDS


class SimulatorCase(NamedTuple):
    """A simulator with a start, both made from parameters, and what is known about it."""

    name: str
    make: Callable[[Any, Any], Any]  # parameters, dt -> simulator
    start: Callable[[Any], Any]  # parameters -> state
    parameters: Any  # floats: what derivatives are taken with respect to
    order: int | None = None  # of convergence to `reference`; None: not by one path (noise)
    counts: tuple[int, ...] = (16, 32)  # numbers of steps in `span` between which the order is measured
    span: float = 1.0
    reference: Callable[[Any, float], Any] | None = None  # parameters, t -> what `view` sees at the time t
    view: Callable[[Any], Any] = lambda state: state.y  # what of a state is compared
    reversible: bool = False  # a step of -dt undoes one of dt, to rounding
    slow: bool = False  # to compile


PARAMETERS = dict(stiffness=jnp.asarray(1.7), mass=jnp.asarray(0.8), start=jnp.asarray([0.9, -0.4, 0.3, 0.7]))


def stretch(p, t, momentum):
    return (1 + 0.3 * jnp.sin(t)) * momentum / p["mass"]


def push(p, t, position):
    return -p["stiffness"] * jnp.sin(position) - position[::-1] * position**2 + jnp.cos(2 * t)


def separable(p):
    """Two coupled, driven oscillators whose masses change with time."""
    return lambda t, y, args: (stretch(p, t, y[1]), push(p, t, y[0]))


def coupled(p):
    """A field with friction, that does not separate."""
    return lambda t, y, args: (
        y[1] * (1 + y[0] ** 2) / p["mass"],
        -p["stiffness"] * jnp.sin(y[0]) - y[0] * y[1] ** 2 - 0.1 * y[1] * jnp.cos(t),
    )


def pull(p):
    """A further field, that does not separate."""
    return lambda t, y, args: (0.2 * jnp.sin(y[0] + t), y[0][::-1] - 0.1 * y[1] ** 2)


def both(p):
    add = lambda f, g: lambda t, y, args: jax.tree.map(jnp.add, f(t, y, args), g(t, y, args))
    return add(separable(p), pull(p))


def start(p):
    s = p["start"]
    return TimeState(t=jnp.asarray(0.3, s.dtype), y=(s[:2], s[2:]))


@functools.cache
def solved(field):
    """The reference: a method of order 8 at tight tolerances."""

    @jax.jit
    def end(p, t):
        y0 = start(p)
        times = [y0.t, y0.t + t]
        return integrate(field(p), y0.y, times, solver=diffrax.Dopri8(), rtol=1e-13, atol=1e-13).state.y

    return end


def on_separable(name, make, order, counts, **known):
    return SimulatorCase(
        name, make, start, PARAMETERS, order=order, counts=counts, reference=solved(separable), reversible=True, **known
    )


def on_coupled(name, make, order, counts, field=coupled, **known: Any):
    reference = solved(field)
    known = {"reversible": True, **known}
    return SimulatorCase(name, make, start, PARAMETERS, order=order, counts=counts, reference=reference, **known)


def slow_force(p):
    return lambda t, q: -q[::-1] * q**2


def fast_field(p):
    return lambda t, y, args: (stretch(p, t, y[1]), push(p, t, y[0]) - slow_force(p)(t, y[0]))


def split(p, dt):
    return Strang(outer=PositionVerlet(separable(p), dt), inner=ImplicitMidpoint(pull(p), dt))


def respa(p, dt):
    return RESPA(slow_force(p), PositionVerlet(fast_field(p), dt / 4), 4)


BATH = PARAMETERS | dict(friction=jnp.asarray(0.6), kT=jnp.asarray(0.5))


def in_bath(kind, kT=None):
    def make(p, dt):
        force = lambda t, position: push(p, t, position)
        heat = p["kT"] if kT is None else jnp.asarray(kT, dt.dtype)
        return kind(force, dt=dt, mass=p["mass"], friction=p["friction"], kT=heat)

    return make


def bath_start(p):
    s = p["start"]
    return LangevinState(t=jnp.asarray(0.3, s.dtype), position=s[:2], momentum=s[2:], key=jax.random.key(3))


def damped(p):
    return lambda t, y, args: (y[1] / p["mass"], push(p, t, y[0]) - p["friction"] * y[1])


def bath_view(state):
    return state.position, state.momentum


def bath_case(name, make, parameters, **known):
    return SimulatorCase(name, make, bath_start, parameters, view=bath_view, **known)


COLD = PARAMETERS | dict(friction=jnp.asarray(0.6))

CASES = [
    on_separable("velocity_verlet", lambda p, dt: VelocityVerlet(separable(p), dt), 2, (32, 64)),
    on_separable("position_verlet", lambda p, dt: PositionVerlet(separable(p), dt), 2, (32, 64)),
    on_separable("repeated", lambda p, dt: Repeated(VelocityVerlet(separable(p), dt / 3), 3), 2, (16, 32)),
    on_separable("yoshida4", lambda p, dt: yoshida4(PositionVerlet(separable(p), dt)), 4, (24, 48)),
    on_separable("yoshida6", lambda p, dt: yoshida6(VelocityVerlet(separable(p), dt)), 6, (12, 24), slow=True),
    on_separable("respa", respa, 2, (32, 64)),
    on_separable("yoshida4_of_respa", lambda p, dt: yoshida4(respa(p, dt)), 4, (24, 48), slow=True),
    on_coupled("implicit_midpoint", lambda p, dt: ImplicitMidpoint(coupled(p), dt), 2, (32, 64)),
    on_coupled("gauss_2", lambda p, dt: GaussLegendre(coupled(p), dt), 4, (12, 24), slow=True),
    on_coupled("gauss_3", lambda p, dt: GaussLegendre(coupled(p), dt, 3, StageFixedPoint()), 6, (8, 16), slow=True),
    on_coupled("strang", split, 2, (32, 64), field=both),
    on_coupled("yoshida4_of_strang", lambda p, dt: yoshida4(split(p, dt)), 4, (16, 32), field=both, slow=True),
    on_coupled("fixed_step", lambda p, dt: FixedStep(coupled(p), dt), 5, (12, 24), reversible=False, slow=True),
    bath_case("baoab", in_bath(BAOAB), BATH),
    bath_case("obabo", in_bath(OBABO), BATH, slow=True),
    bath_case("baoab_cold", in_bath(BAOAB, 0.0), COLD, order=2, counts=(32, 64), reference=solved(damped)),
    bath_case("obabo_cold", in_bath(OBABO, 0.0), COLD, order=2, counts=(32, 64), reference=solved(damped), slow=True),
    *(SimulatorCase(**known) for known in MANIFOLDS),
]
