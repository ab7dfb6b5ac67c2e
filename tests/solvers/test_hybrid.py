"""Hybrid systems against closed forms: values, event times, derivatives in both modes and under vmap; verdicts."""

from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optimistix as optx
import pytest
from kinax.solvers import (
    AbstractAdjoint,
    Checkpointed,
    Crossing,
    Doses,
    hybrid,
    integrate,
    MassTerm,
    parameter,
    RESULTS,
    Schedule,
    stiff,
    Stop,
)

pytestmark = pytest.mark.usefixtures("backward_sweep")

EXACT: dict[str, Any] = dict(rtol=1e-13, atol=1e-13, solver=diffrax.Dopri8())
TINY: dict[str, Any] = dict(rtol=1e-10, atol=1e-10)


def assert_derivatives(run, closed_form, at):
    """Values and both modes of a batch of points, against the closed form and its own derivative."""

    def all_of(f):  # the values are by-products of forward mode
        forward = jax.jacfwd(lambda x: (f(x),) * 2, has_aux=True)
        return jax.jit(jax.vmap(lambda x: (*forward(x), jax.jacrev(f)(x))))

    found, exact = all_of(run)(at), all_of(closed_form)(at)
    for a, b in zip(found, exact, strict=True):
        np.testing.assert_allclose(a, b, **TINY)


# A ball: height, speed; p = (height at the start, restitution, gravity, time of the end)


def bounce(restitution):
    return Crossing(
        guard=lambda t, y, args: y["z"],
        reset=lambda t, y, args: {"z": y["z"], "v": -restitution * y["v"]},
        direction=False,
    )


def fall(t, y, gravity):
    return {"z": y["v"], "v": -gravity}


def ball(p, **options):
    height, restitution, gravity, end = p
    y0 = {"z": height, "v": jnp.zeros_like(height)}
    return hybrid(fall, y0, [0.0, end], transitions=[bounce(restitution)], args=gravity, **options)


@pytest.mark.slow
def test_bouncing_ball():
    def run(p):
        found = ball(p, max_events=3, **EXACT)
        return jnp.stack([found.state.y["z"], found.state.y["v"], found.events.ts[0]])

    def closed_form(p):
        height, e, g, end = p
        t = jnp.sqrt(2 * height / g)
        speed = e * jnp.sqrt(2 * g * height)
        return jnp.stack([speed * (end - t) - g * (end - t) ** 2 / 2, speed - g * (end - t), t])

    p = jnp.asarray([5.0, 0.8, 9.81, 2.0])
    others = jnp.asarray([[5.0, 0.8, 9.81, 2.0], [3.0, 0.7, 9.0, 1.5], [1.0, 0.9, 2.0, 2.1]])
    assert_derivatives(run, closed_form, others)
    height, e, g, end = (float(x) for x in p)
    flight = end - np.sqrt(2 * height / g)  # rigid bodies, item 3 of the list of closed forms
    slope = (1 + e) * g * flight / np.sqrt(2 * g * height) - e
    np.testing.assert_allclose(jax.jacfwd(lambda p: ball(p, max_events=3).state.y["z"])(p)[0], slope, **TINY)


def test_two_elastic_balls_swap_everything():
    def run(y0):
        swap = lambda t, y, args: jnp.stack([y[0], y[1], y[3], y[2]])
        hit = Crossing(guard=lambda t, y, args: y[1] - y[0] - 0.2, reset=swap)
        field = lambda t, y, args: jnp.concatenate([y[2:], jnp.zeros_like(y[2:])])
        return hybrid(field, y0, [0.0, 3.0], transitions=[hit], max_events=2, rtol=1e-10).state.y

    y0 = jnp.asarray([0.0, 1.0, 1.5, 0.5])
    exchanged = [[0, 1, 0, 3.0], [1, 0, 3.0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    assert_derivatives(run, lambda y0: jnp.asarray(exchanged) @ y0 + jnp.asarray([-0.2, 0.2, 0, 0]), y0[None])


class StepsApart(AbstractAdjoint):
    """Differentiates in reverse mode a solve with other steps, as rounding alone can make them."""

    def run(self, simulator, state, recording):
        raise NotImplementedError

    def solve(self, run, given):
        def apart(adjoint, given):
            other = isinstance(adjoint, diffrax.RecursiveCheckpointAdjoint)
            return run(adjoint, given._replace(dt0=jnp.asarray(0.01)) if other else given)

        return Checkpointed().solve(apart, given)


@pytest.mark.slow
def test_derivatives_do_not_depend_on_the_steps():
    """Of a decay that is filled up again: when, and what is left at the end; and of a solve that an event ends."""
    field = lambda t, y, p: -p[0] * y
    options: Any = dict(rtol=1e-12, atol=1e-12, solver=diffrax.Tsit5(), adjoint=StepsApart())

    def filled(p):
        refill = Crossing(guard=lambda t, y, p: y - p[2], reset=lambda t, y, p: p[1])
        found = hybrid(field, p[1], [0.0, 3.0], transitions=[refill], args=p, max_events=1, **options)
        return found.events.ts[0] * found.state.y

    def ended(p):
        event = diffrax.Event(lambda t, y, args, **_: y - args[2], optx.Newton(1e-13, 1e-13))
        return integrate(field, p[1], [0.0, 3.0], args=p, events=event, **options).state.t

    time = lambda p: jnp.log(p[1] / p[2]) / p[0]
    p = jnp.asarray([0.4, 2.0, 1.0])
    for run, exact in ((filled, lambda p: time(p) * p[1] * jnp.exp(-p[0] * (3 - time(p)))), (ended, time)):
        np.testing.assert_allclose(jax.jit(jax.grad(run))(p), jax.grad(exact)(p), **TINY)


# A thermostat: p = (rate of loss, outside, heating, low, high)


def thermostat(p, ts, **options):
    low, high = p[3], p[4]
    switch = lambda on: lambda t, y, args: (y[0], jnp.asarray(on))
    transitions = [
        Crossing(guard=lambda t, y, args: y[0] - high, reset=switch(False), direction=True),
        Crossing(guard=lambda t, y, args: y[0] - low, reset=switch(True), direction=False),
    ]

    def field(t, y, p):
        temperature, on = y
        return -p[0] * (temperature - p[1]) + jnp.where(on, p[2], 0.0), None

    y0 = (jnp.asarray(15.0), jnp.asarray(True))
    return hybrid(field, y0, ts, transitions=transitions, args=p, max_events=12, **options)


def switching_times(p):
    """The first five, from a start at 15."""
    rate, outside, heating, low, high = p
    hot = outside + heating / rate
    warm = lambda start: jnp.log((hot - start) / (hot - high)) / rate
    cool = jnp.log((high - outside) / (low - outside)) / rate
    return jnp.cumsum(jnp.stack([warm(15.0), cool, warm(low), cool, warm(low)]))


@pytest.mark.slow
def test_thermostat_with_hysteresis():
    p = jnp.asarray([0.4, 5.0, 8.0, 18.0, 21.0])
    ts = [0.0, 6.4]

    def closed_form(p):
        times = switching_times(p)
        rate, outside, heating, low, high = p
        end = outside + (high - outside) * jnp.exp(-rate * (6.4 - times[4]))
        return jnp.append(times, end)

    assert 0 < float(closed_form(p)[4]) < 6.4 < float(closed_form(p)[4]) + 0.5

    def run(p):
        found = thermostat(p, ts, **EXACT)
        return jnp.append(found.events.ts[:5], found.state.y[0])

    assert_derivatives(run, closed_form, p[None] * jnp.asarray([[1.0], [1.01]]))


@pytest.mark.slow
def test_a_mode_is_saved_with_the_rest():
    p = jnp.asarray([0.4, 5.0, 8.0, 18.0, 21.0])
    found = thermostat(p, jnp.linspace(0.0, 6.4, 201))
    assert found.events.count == 5 and found.events.which[:6].tolist() == [0, 1, 0, 1, 0, -1]
    assert not found.state.y[1]
    np.testing.assert_allclose(found.events.ts[:5], switching_times(p), rtol=1e-6)
    on = np.searchsorted(switching_times(p), np.linspace(0, 6.4, 201), side="right") % 2 == 0
    np.testing.assert_array_equal(found.ys[1], on)
    assert 18 - 1e-5 < found.ys[0][60:].min() and found.ys[0].max() < 21 + 1e-5


# Doses: one compartment with first-order absorption; p = (absorption, elimination, dose amounts .., times ..)


class Body(eqx.Module):
    gut: object = parameter()
    blood: object = parameter()


def absorb(t, y, rates):
    taken = rates[0] * y.gut
    return Body(-taken, taken - rates[1] * y.blood)


def course(p, ends, **options):
    """The blood at each of `ends`, solved for each alone: what is saved on the way has the error of dense output."""
    rates, amounts, times = p[:2], p[2:5], p[5:]
    doses = Doses(times=times, amounts=amounts, where=lambda y: y.gut)
    solve = lambda ts: hybrid(absorb, Body(0.0, 0.0), ts, transitions=[doses], args=rates, max_events=4, **options)
    return jax.vmap(lambda end: solve(jnp.stack([jnp.zeros_like(end), end])).state.y.blood)(ends)


def superposition(p, ts):
    (absorption, elimination), amounts, times = p[:2], p[2:5], p[5:]
    since = jnp.asarray(ts)[:, None] - times[None]
    after = jnp.where(since > 0, since, 0.0)
    factor = amounts * absorption / (absorption - elimination)
    return jnp.sum(factor[None] * (jnp.exp(-elimination * after) - jnp.exp(-absorption * after)), axis=1)


@pytest.mark.slow
def test_repeated_doses():
    ts = jnp.asarray([1.0, 7.9, 13.0, 30.0])
    p = jnp.asarray([1.3, 0.1, 100.0, 80.0, 90.0, 0.5, 8.0, 16.0])
    assert_derivatives(lambda p: course(p, ts, **EXACT), lambda p: superposition(p, ts), jnp.stack([p, 1.1 * p]))
    # one at the start, one at the end, and one that is padding
    ends = jnp.asarray([7.9, 13.0])
    q = jnp.asarray([1.3, 0.1, 100.0, 80.0, 90.0, 0.0, 7.9])
    two = lambda q: superposition(jnp.append(q, 1e3), ends)
    padded = lambda q: course(jnp.append(q, jnp.nan), ends, **EXACT)
    np.testing.assert_allclose(padded(q), two(q), **TINY)
    found, expected = jax.jacrev(padded)(q), jax.jacfwd(two)(q)
    expected = expected.at[0, 6].set(-80 * 1.3)  # a kink of the closed form: what is saved is the state after the dose
    np.testing.assert_allclose(found, expected, **TINY)


def test_verdicts_of_balls_each_for_itself():
    # it comes to rest; thrown up from the floor; moving into it; below it; without bounce; with all of it; resting
    height = jnp.asarray([1.0, 0.0, 0.0, -0.1, 1.0, 1.0, 0.0])
    speed = jnp.asarray([0.0, 3.0, -1.0, -1.0, 0.0, 0.0, 0.0])
    restitution = jnp.asarray([0.5, 0.5, 0.5, 0.5, 0.0, 1.0, 0.5])

    def run(height, speed, restitution):
        y0, gravity = {"z": height, "v": speed}, jnp.asarray(9.81)
        return hybrid(fall, y0, [0.0, 10.0], transitions=[bounce(restitution)], args=gravity, throw=False)

    found = jax.jit(jax.vmap(run))(height, speed, restitution)
    start = RESULTS.guard_at_start
    expected = [RESULTS.zeno, RESULTS.zeno, start, start, RESULTS.grazing, RESULTS.successful, start]
    np.testing.assert_allclose(found.ys["z"][[2, 3, 6], 1], [-10 - 490.5, -10.1 - 490.5, -490.5])  # they run to the end
    verdicts = [jax.tree.map(lambda x, k=k: x[k], found.result) for k in range(7)]
    assert [bool(a == b) for a, b in zip(verdicts, expected, strict=True)] == [True] * 7
    rest = [np.sqrt(2 / 9.81) * 3, 2 * 3 / 9.81 / (1 - 0.5)]  # t0 (1 + e) / (1 - e), and thrown up
    np.testing.assert_allclose(found.stats["accumulation_time"][:2], rest, rtol=1e-9)
    period = 2 * np.sqrt(2 / 9.81)
    assert int(found.events.count[5]) == int(10 / period + 0.5)
    np.testing.assert_allclose(found.events.ts[5, :11], period * (np.arange(11) + 0.5), rtol=1e-9)


def test_a_guard_that_begins_beyond_zero_waits_until_it_has_been_back():
    same = lambda t, y, args: y
    sections = [
        Crossing(guard=lambda t, y, args: y[0], reset=same, direction=True),  # begins beyond
        Crossing(guard=lambda t, y, args: y[0] - 0.5, reset=same, direction=True),  # begins on zero, upwards
        Stop(lambda t, y, args: t - 20.0, direction=False),  # begins beyond, but on its way back
    ]
    found = hybrid(lambda t, y, args: (y[1], -y[0]), (0.5, 1.0), [0.0, 12.0], transitions=sections, max_events=3)
    assert found.result == RESULTS.successful and found.events.which.tolist() == [0, 1, -1]
    np.testing.assert_allclose(found.events.ts[:2], [2 * np.pi - np.arctan(0.5), 2 * np.pi], rtol=1e-6)


def cascade(times, **options):
    """A counter n and a number x, both raised at `times`; x is quartered above 1."""
    up = lambda by: lambda t, y, args: {"x": y["x"] + 1, "n": y["n"] + by}
    quarter = lambda t, y, args: {**y, "x": y["x"] / 4}
    transitions = [
        Stop(lambda t, y, args: y["n"].astype(float) - 2.5),
        Schedule(times[jnp.asarray([0, 0, 1])], up(1)),
        Crossing(guard=lambda t, y, args: y["x"] - 1, reset=quarter, direction=True),
        Schedule(times[:1], up(0)),
    ]
    field = lambda t, y, args: {"x": -y["x"], "n": None}
    y0 = {"x": jnp.asarray(0.5), "n": 0}
    return hybrid(field, y0, [0.0, 1.5, 3.0], transitions=transitions, max_events=8, throw=False, **options)


def end_of_cascade(times):
    quartered = ((0.5 * jnp.exp(-times[0]) + 2) / 4 + 1) / 4
    x = quartered * jnp.exp(times[0] - times[1]) + 1
    return jnp.append(x, times[jnp.asarray([0, 0, 0, 0, 0, 1, 1])])


def test_a_reset_that_leads_across_other_guards():
    times = jnp.asarray([1.0, 2.0])

    def run(times):
        found = cascade(times)
        return jnp.append(found.state.y["x"], found.events.ts[:7]), found

    direction = jnp.asarray([1.0, 3.0])
    found, slope, rest = jax.jvp(run, (times,), (direction,), has_aux=True)
    assert rest.result == RESULTS.event_occurred and rest.state.y["n"] == 3
    assert rest.events.which.tolist() == [1, 1, 2, 3, 2, 1, 0, -1]
    expected = jax.jvp(end_of_cascade, (times,), (direction,))
    np.testing.assert_allclose(found, expected[0], rtol=1e-6)
    np.testing.assert_allclose(slope, expected[1], rtol=1e-6)
    np.testing.assert_allclose(rest.ys["x"][1], (found[0] - 1) * np.exp(0.5), rtol=1e-4)


@pytest.mark.slow
def test_derivatives_of_a_cascade():
    run = lambda times: (lambda s: jnp.append(s.state.y["x"], s.events.ts[:7]))(cascade(times, **EXACT))
    assert_derivatives(run, end_of_cascade, jnp.asarray([[1.0, 2.0], [0.9, 1.7]]))


@pytest.mark.slow
def test_stop_after_the_third_bounce():
    hit = lambda t, y, e: {"z": y["z"], "v": -e * y["v"], "n": y["n"] + 1}
    floor = Crossing(guard=lambda t, y, e: y["z"], reset=hit, direction=False)
    third = [floor, Stop(lambda t, y, e: y["n"].astype(float) - 2.5)]
    field = lambda t, y, e: {"z": y["v"], "v": -9.81 * jnp.ones_like(y["v"]), "n": None}

    def run(e):
        y0 = {"z": jnp.ones_like(e), "v": jnp.zeros_like(e), "n": 0}
        found = hybrid(field, y0, [0.0, 9.0], transitions=third, args=e, max_events=4, throw=False, **EXACT)
        return jnp.stack([found.state.t, found.state.y["v"], found.events.ts[3]])

    def closed_form(e):
        t = jnp.sqrt(2 / 9.81) * (1 + 2 * e + 2 * e**2)
        return jnp.stack([t, e**3 * jnp.sqrt(2 * 9.81), t])

    assert_derivatives(run, closed_form, jnp.asarray([0.8, 1.0]))


@pytest.mark.slow
def test_a_guard_that_touches_zero():
    def run(above):
        touch = Crossing(guard=lambda t, y, args: y[0], reset=lambda t, y, args: y + 1)
        field = lambda t, y, args: jnp.stack([y[1], jnp.full_like(y[1], 2)])  # (t - 1)^2 + above
        y0 = jnp.stack([1 + above, jnp.full_like(above, -2)])
        return hybrid(field, y0, [0.0, 3.0], transitions=[touch], throw=False)

    found = jax.jit(jax.vmap(run))(jnp.asarray([0.0, 1e-9, -1e-9, 1e-4, -1e-4]))
    grazing = found.result == jax.tree.map(lambda x: jnp.full(5, x), RESULTS.grazing)
    assert grazing.tolist() == [True, True, True, False, False]
    np.testing.assert_allclose(found.state.t[:3], 1.0, atol=1e-4)
    assert found.events.count.tolist() == [0, 0, 0, 0, 1]  # two crossings within a hundredth; the first one lifts


@pytest.mark.slow
def test_two_transitions_at_once():
    def run(apart):
        flip = lambda i: lambda t, y, args: y.at[i + 2].multiply(-1)
        floors = [Crossing(guard=lambda t, y, args, i=i: y[i], reset=flip(i), direction=False) for i in range(2)]
        field = lambda t, y, args: jnp.concatenate([y[2:], jnp.full(2, -9.81)])
        y0 = jnp.stack([jnp.ones_like(apart), 1 + apart, 0 * apart, 0 * apart])
        return hybrid(field, y0, [0.0, 1.0], transitions=floors, throw=False)

    found = jax.jit(jax.vmap(run))(jnp.asarray([0.0, 1e-9, 1e-3]))
    same = found.result == jax.tree.map(lambda x: jnp.full(3, x), RESULTS.simultaneous)
    assert same.tolist() == [True, True, False]
    assert found.events.which[2, :2].tolist() == [0, 1]


@pytest.mark.slow
def test_the_budget_and_the_end():
    count = Schedule(jnp.arange(1.0, 9.0), lambda t, y, args: (y[0], y[1] + 1))
    stop = Stop(guard=lambda t, y, args: y[0] - args, direction=True)

    def run(limit, **options):
        y0 = (jnp.asarray(0.0, limit.dtype), 0)
        field = lambda t, y, args: (jnp.ones_like(y[0]), None)
        ts = jnp.asarray([0.0, 1.0, 2.5, 9.5], limit.dtype)
        return hybrid(field, y0, ts, transitions=[count, stop], args=limit, throw=False, **options)

    found = run(jnp.asarray(2.6), max_events=5)
    assert found.result == RESULTS.event_occurred and found.succeeded
    np.testing.assert_allclose(found.state.t, 2.6, rtol=1e-12)
    np.testing.assert_allclose(found.ys[0], [0.0, 1.0, 2.5, np.inf])
    assert found.ys[1].tolist() == [0, 1, 2, 0] and found.events.which.tolist() == [0, 0, 1, -1, -1]
    found = run(jnp.asarray(100.0), max_events=5)
    assert found.result == RESULTS.events_exhausted
    np.testing.assert_allclose([found.state.t, found.state.y[0]], 6.0)
    found = run(jnp.asarray(2.6, jnp.float32), max_events=5)
    assert found.state.t.dtype == found.ys[0].dtype == jnp.float32
    np.testing.assert_allclose(found.state.t, 2.6, rtol=1e-6)


def test_a_field_that_is_not_finite_is_named():
    field = lambda t, y, args: {"a": y["b"][0], "b": jnp.stack([0 * t, jnp.where(t > 1, jnp.nan, 1.0)])}
    y0 = {"a": 0.0, "b": jnp.zeros(2)}
    with pytest.raises(RuntimeError, match=r"y\['b'\]\[1\] at t = (1\.0|0\.99999)"):
        hybrid(field, y0, [0.0, 2.0], transitions=[], max_events=1)


@pytest.mark.slow
def test_stiff_between_events():
    p = jnp.asarray([0.4, 5.0, 8.0, 18.0, 21.0])
    found = thermostat(p, [0.0, 6.4], solver=stiff(), rtol=1e-10)
    np.testing.assert_allclose(found.events.ts[:5], switching_times(p), rtol=1e-9)


class Term(MassTerm):
    """One that passes for a function, as annotations are checked here."""

    def __call__(self, t, y, args):
        return -y


def test_bad_input_is_refused():
    good = dict(transitions=[bounce(1.0)], args=jnp.asarray(1.0))
    y0: Any = {"z": 1.0, "v": 0.0}
    height = lambda t, y, args: y["z"]
    cases: list[tuple[str, dict[str, Any]]] = [
        ("integers and booleans are constant", dict(y0={"z": 1, "v": 0.0})),
        ("write 10.0 instead of 10", dict(y0={"z": 1, "v": 0})),
        (
            "must return what y0 looks like",
            dict(transitions=[Crossing(guard=height, reset=lambda t, y, args: 1.0)]),
        ),
        ("must return one float", dict(transitions=[Stop(lambda t, y, args: y["z"] > 0)])),
        ("before the start", dict(transitions=[Schedule([-1.0, 2.0], lambda t, y, args: y)])),
        ("must not decrease", dict(transitions=[Schedule([2.0, 1.0], lambda t, y, args: y)])),
        ("each amount must have the shape", dict(transitions=[Doses([1.0], jnp.ones((1, 3)), lambda y: y["z"])])),
        ("max_events must be", dict(max_events=0)),
        ("`times` holds 3, `amounts` 2", dict(transitions=Doses([0.1, 0.2, 0.3], jnp.ones(2), lambda y: y["z"]))),
    ]
    for message, change in cases:
        given: dict[str, Any] = {"y0": y0, **good, **change}
        with pytest.raises(ValueError, match=message):
            hybrid(fall, given.pop("y0"), [0.0, 1.0], **given)
    fields: list[tuple[str, Any]] = [
        ("not Term. With a differential-algebraic", Term(lambda t, y, args: -y, mass=jnp.asarray(1.0))),
        (r"write jnp\.asarray", lambda t, y, args: -1.0),
    ]
    for message, field in fields:
        with pytest.raises(ValueError, match=message):
            hybrid(field, 1.0, [0.0, 1.0], transitions=[])
    wrong: list[Any] = [-1, "down", 1.0]
    for direction in wrong:
        with pytest.raises(ValueError, match="`direction` is True"):
            Stop(height, direction=direction)
    assert Stop(height, direction=np.bool_(False)).direction is False
