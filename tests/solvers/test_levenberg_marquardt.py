"""The least-squares search on NIST's problems, at bounds, and where derivatives or evaluations fail it."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from kinax.solvers import RESULTS
from kinax.solvers._search import advance, Evaluation, LevenbergMarquardt
from tests.nist import BOUNDED, digits, MODELS, needs_nist, read
from tests.solvers.objectives import Residuals, search

METHOD = LevenbergMarquardt()
ROWS, WIDTH = 250, 9  # of the largest problem: all are padded to one shape, with held coordinates, to compile once


class Padded:
    """All of NIST's problems as one residual function of the problem's number."""

    def __init__(self):
        self.sets = [read(name) for name in MODELS]
        self.x, self.y = np.zeros((len(self.sets), 2, ROWS)), np.zeros((len(self.sets), ROWS))
        for row, c in enumerate(self.sets):
            x = np.broadcast_to(c.x, (2, len(c.y)))
            self.x[row] = np.pad(x, ((0, 0), (0, ROWS - len(c.y))), mode="edge")
            self.y[row, : len(c.y)] = c.y
        self.num_rows = np.array([len(c.y) for c in self.sets])

    def residuals(self, z, args):
        which, x, y, num_rows = args
        branches = [lambda z, x, c=c: c.model(z, x if c.x.ndim == 2 else x[0]) for c in self.sets]
        return jnp.where(jnp.arange(ROWS) < num_rows, jax.lax.switch(which, branches, z, x) - y, 0)

    def __call__(self, which, starts, lowers, uppers):
        """The ends of these searches, stacked."""
        pad = lambda x: np.pad(x, (0, WIDTH - len(x)), constant_values=1.0)
        ends = []
        for row, *vectors in zip(which, starts, lowers, uppers, strict=True):
            z, lower, upper = (jnp.asarray(pad(v)) for v in vectors)
            args = jax.tree.map(jnp.asarray, (row, self.x[row], self.y[row], self.num_rows[row]))
            ends.append(search(METHOD, Residuals(self.residuals, z, args, lower=lower, upper=upper), z))
        return jax.tree.map(lambda *leaves: np.stack(leaves), *ends)


@pytest.fixture(scope="module")
def nist():
    return Padded()


def standard_errors(c, z):
    residuals, jacobian = (np.asarray(f(z, c.x)) for f in (c.model, jax.jacfwd(c.model)))
    norms = np.linalg.norm(jacobian, axis=0)
    inverse = np.linalg.inv(np.linalg.qr(jacobian / norms, mode="r"))
    variance = np.sum((residuals - c.y) ** 2) / (len(c.y) - len(z))
    return np.sqrt(variance * np.sum(inverse**2, axis=1)) / norms


@pytest.mark.slow
@needs_nist
def test_nist(nist):
    which = np.repeat(np.arange(len(nist.sets)), 2)
    starts = [start for c in nist.sets for start in c.starts]
    free = [np.full(len(s), np.inf) for s in starts]
    end = nist(which, starts, [-f for f in free], free)
    assert np.all(end.done) and not np.any(end.verdict)
    for i, c in enumerate(nist.sets[w] for w in which):
        z = end.z[i, : len(c.parameters)]
        assert digits(z, c.parameters) >= 6, (c.name, z)
        if c.name != "Lanczos1":  # residuals of 1e-13 are rounding: so are their sum and what is scaled by it
            assert digits(2 * end.cost[i], c.rss) >= 6, c.name
            assert digits(standard_errors(c, z), c.standard_errors) >= 4, c.name
        else:
            assert digits(standard_errors(c, z), c.standard_errors) >= 2
    # SciPy's trf with x_scale="jac" needs 4168, and two of the searches end at its limit before the optimum.
    assert np.sum(end.num_evaluations + end.num_jacobians) < 3000


@pytest.mark.slow
@needs_nist
def test_bounded_nist_problems_reach_the_optimum_of_scipy(nist):
    which = np.array([list(MODELS).index(name) for name in BOUNDED])
    starts, lowers, uppers = [], [], []
    for row, (coordinate, fraction) in zip(which, BOUNDED.values(), strict=True):
        c = nist.sets[row]
        lower, upper = np.full(len(c.parameters), -np.inf), np.full(len(c.parameters), np.inf)
        (upper if fraction < 1 else lower)[coordinate] = fraction * c.parameters[coordinate]
        starts.append(np.clip(c.starts[1], lower, upper))
        lowers.append(lower)
        uppers.append(upper)
    end = nist(which, starts, lowers, uppers)
    assert np.all(end.done) and not np.any(end.verdict)
    for i, (coordinate, fraction) in enumerate(BOUNDED.values()):
        c = nist.sets[which[i]]
        z = end.z[i, : len(c.parameters)]
        assert z[coordinate] == (uppers if fraction < 1 else lowers)[i][coordinate]  # to the bit
        residuals = jax.jit(lambda b, c=c: c.model(b, c.x) - c.y)
        jacobian = jax.jit(jax.jacfwd(residuals))
        inside = np.clip(starts[i], lowers[i] + 1e-9 * abs(starts[i]), uppers[i] - 1e-9 * abs(starts[i]))
        peers = [
            scipy.optimize.least_squares(
                lambda b, f=residuals: np.asarray(f(b)),
                inside,
                lambda b, f=jacobian: np.asarray(f(b)),  # pyright: ignore[reportArgumentType]
                (lowers[i], uppers[i]),
                method=method,
                x_scale="jac",
                xtol=1e-15,
                ftol=1e-15,
                gtol=1e-15,
                max_nfev=5000,
            )
            for method in ("trf", "dogbox")  # the second stops too early on Misra1d
        ]
        peer = min(peers, key=lambda p: p.cost)
        np.testing.assert_allclose(z, peer.x, rtol=1e-6, err_msg=c.name)
        np.testing.assert_allclose(end.cost[i], peer.cost, rtol=1e-10)
        gradient = np.asarray(residuals(z)) @ np.asarray(jacobian(z))
        assert gradient[coordinate] * (fraction - 1) > 0  # it would go on, out of the box
        assert end.gradient_norm[i] <= 1e-6 * np.sqrt(2 * end.cost[i])


def bent(z, matrix):
    """Linear residuals, bent a little."""
    u = matrix @ z
    return jnp.concatenate([u + 0.3 * jnp.sin(u), jnp.zeros(1, z.dtype)]) - jnp.arange(1 + matrix.shape[0]) / 3


def test_box_with_many_bounds_against_scipy():
    random = np.random.default_rng(0)
    for _ in range(6):
        matrix = random.normal(size=(30, 10)) * 10.0 ** random.uniform(-2, 2, 10)
        room = 0.1 * random.random((2, 10)) / np.linalg.norm(matrix, axis=0)
        lower, upper = np.where(random.random((2, 10)) < 0.7, room, np.inf) * np.array([[-1.0], [1.0]])
        z = jnp.zeros(10)
        end = search(METHOD, Residuals(bent, z, jnp.asarray(matrix), lower=lower, upper=upper), z)
        peer = scipy.optimize.least_squares(
            lambda z, m=matrix: np.asarray(bent(z, m)), np.zeros(10), bounds=(lower, upper), x_scale="jac", xtol=1e-12
        )
        assert end.done and end.verdict == 0
        assert end.cost <= peer.cost * (1 + 1e-12)
        np.testing.assert_allclose(end.cost, peer.cost, rtol=1e-6)
        assert np.all((end.z >= lower) & (end.z <= upper))
        gradient = np.asarray(jax.grad(lambda z, m=matrix: jnp.sum(bent(z, m) ** 2) / 2)(end.z))
        scale = np.linalg.norm(matrix, axis=0) * np.sqrt(2 * end.cost)
        assert np.all(np.where(end.z == lower, gradient >= 0, np.where(end.z == upper, gradient <= 0, True)))
        assert np.all((np.abs(gradient) < 1e-6 * scale) | (end.z == lower) | (end.z == upper))


def minimum(function, bracket) -> float:
    found: Any = scipy.optimize.minimize_scalar(function, bracket, tol=1e-12)
    return found.x


def rosenbrock(z, args):
    return jnp.stack([10 * (z[1] - z[0] ** 2), 1 - z[0]])


def test_bounds_are_left_again_and_held_coordinates_stay():
    z = jnp.array([-1.5, -1.0])
    end = search(METHOD, Residuals(rosenbrock, z, lower=jnp.array([-3.0, -1.0]), upper=jnp.array([3.0, 3.0])), z)
    assert end.verdict == 0
    np.testing.assert_allclose(end.z, 1, rtol=1e-8)  # it started at the second coordinate's lower bound
    end = search(METHOD, Residuals(rosenbrock, z, lower=jnp.array([-3.0, 0.5]), upper=jnp.array([3.0, 0.5])), z + 1.5)
    assert end.z[1] == 0.5 and end.verdict == 0
    held = minimum(lambda x: 100 * (0.5 - x**2) ** 2 + (1 - x) ** 2, (0.5, 0.8))
    np.testing.assert_allclose(end.z[0], held, rtol=1e-7)
    end = search(METHOD, Residuals(rosenbrock, z, lower=z, upper=z), z)  # nothing is free
    assert end.done and end.verdict == 0 and end.num_evaluations == 1
    np.testing.assert_array_equal(end.z, z)


def test_singular_jacobians():
    """A sum of coordinates that alone matters; a coordinate without effect; fewer residuals than coordinates."""
    together = lambda z, args: jnp.stack([z[0] + z[1] - 3, (z[0] + z[1]) ** 2 - 8, z[0] * 0])
    z = jnp.array([1.0, 4.0, 7.0])
    end = search(METHOD, Residuals(together, z), z)
    assert end.verdict == 0
    best = minimum(lambda s: (s - 3) ** 2 + (s**2 - 8) ** 2, (2, 3))
    np.testing.assert_allclose(end.z, [1 + (best - 5) / 2, 4 + (best - 5) / 2, 7], rtol=1e-7)  # the least change
    few = lambda z, args: jnp.stack([jnp.exp(z[0]) + z[1] * z[2] - 5])
    end = search(METHOD, Residuals(few, z), z)
    assert end.verdict == 0 and end.cost < 1e-20
    flat = lambda z, args: jnp.stack([z[0] ** 4, z[1] * 0 + 1])  # the derivative vanishes with the residual
    end = search(METHOD, Residuals(flat, z), z)
    assert end.verdict == 0 and abs(end.z[0]) < 0.02  # where the cost is 1/2 but for rounding


def test_slope():
    """Minimize x - c log x for every x > 0: residuals sqrt(c) (...) of log x alone do not say it, the slope does."""
    counts = jnp.array([3.0, 8.0, 0.0, 5.0])
    line = lambda z: jnp.exp(z[0] + z[1] * jnp.arange(4.0))

    class Poisson(Residuals):
        def evaluate(self, z):
            rate = line(z)
            return Evaluation(cost=jnp.sum(rate - counts * jnp.log(rate)), verdicts=jnp.zeros(1, jnp.int32))

        def examine(self, z):
            square = eqx.tree_at(lambda r: r.slope, self, jax.grad(lambda z: self.evaluate(z).cost)(z))
            linear = jax.linearize(lambda z: jnp.log(line(z)), z)[1]
            weights = jnp.sqrt(jax.lax.stop_gradient(line(z)))
            fisher = lambda v, args: weights * linear(v)
            model = Residuals(fisher, z, slope=square.slope).linearize(z)
            return self.evaluate(z), eqx.tree_at(lambda m: m.residuals, model, jnp.zeros(4))

    z = jnp.array([0.5, 0.1])
    end = search(METHOD, Poisson(None, z), z)  # pyright: ignore[reportCallIssue]
    peer = scipy.optimize.minimize(lambda z: float(Poisson(None, jnp.asarray(z)).evaluate(z).cost), z, tol=1e-10)  # pyright: ignore[reportCallIssue]
    assert end.verdict == 0
    np.testing.assert_allclose(end.z, peer.x, atol=1e-6)

    # A linear problem: (J^T J) z = J^T y - b, and only a bound ends a slope along which nothing curves.
    matrix = np.random.default_rng(1).normal(size=(5, 3)) * np.array([1.0, 1.0, 0.0])
    tilted = Residuals(lambda z, m: m @ z - 1, z3 := jnp.zeros(3), matrix, slope=[0.3, -0.2, 1.0], lower=-2.0)
    end = search(METHOD, tilted, z3)
    hessian = matrix[:, :2].T @ matrix[:, :2]
    exact = np.linalg.solve(hessian, matrix[:, :2].sum(0) - np.array([0.3, -0.2]))
    np.testing.assert_allclose(end.z, [*exact, -2], rtol=1e-9)
    assert end.verdict == 0


def test_failures_are_recorded_and_never_accepted():
    wall = lambda z, args: jnp.where(z[0] > 0.8, jnp.nan, 1) * jnp.stack([10 * (z[1] - z[0] ** 2), 1.2 - z[0]])

    class Walled(Residuals):
        def evaluate(self, z):
            failed = z[0] > 0.8
            cost = jnp.where(failed, 1e3, jnp.sum(self.function(z, None) ** 2) / 2)
            verdicts = jnp.stack([jnp.asarray(0), jnp.where(failed, 7, 0)]).astype(jnp.int32)
            return Evaluation(cost=cost, verdicts=verdicts)

    z = jnp.array([-1.0, 0.5])
    for objective, reasons in ((Walled(wall, z), [0, 7]), (Residuals(wall, z), [RESULTS.nonfinite_residuals._value])):  # pyright: ignore[reportCallIssue]
        end = search(METHOD, objective, z)
        assert end.done and np.isfinite(end.cost) and end.num_evaluations < 200
        np.testing.assert_allclose(end.z, [0.8, 0.64], atol=0.02)  # as near to the optimum as the wall lets it
        assert np.all(np.asarray(end.failures.reason) == reasons) and np.sum(end.failures.count) > 0
        assert end.verdict == RESULTS.search_stalled._value
        start = search(METHOD, objective, z + 2)
        assert start.done and start.verdict == reasons[-1] and start.num_evaluations == 1


def test_a_wrong_derivative_and_a_noisy_cost_are_told_apart():
    class Wrong(Residuals):
        def examine(self, z):
            evaluation, right = Residuals(self.function, z).examine(z)
            return evaluation, eqx.tree_at(lambda m: m.jacobian, right, -right.jacobian)

    z = jnp.array([-1.0, 0.5])
    assert search(METHOD, Wrong(rosenbrock, z), z).verdict == RESULTS.search_stalled._value  # pyright: ignore[reportCallIssue]
    noisy = lambda z, args: jnp.concatenate([rosenbrock(z, None), 1 + 1e-8 * jnp.sin(1e9 * jax.lax.stop_gradient(z))])
    end = search(METHOD, Residuals(noisy, z), z)
    assert end.verdict == 0
    np.testing.assert_allclose(end.z, 1, rtol=1e-3)


def test_vmap_and_float32():
    starts = jnp.stack([jnp.linspace(-2.0, 2, 5), jnp.linspace(3.0, -1, 5)], axis=1)
    objective = Residuals(rosenbrock, starts[0], upper=jnp.array([0.7, 5.0]))
    together = eqx.filter_jit(jax.vmap(lambda z: advance(METHOD, objective, METHOD.init(objective, z), 100)))(
        jnp.minimum(starts, objective.upper[None])
    )
    for i, start in enumerate(starts):
        alone = search(METHOD, objective, jnp.minimum(start, objective.upper))
        at = jax.tree.map(lambda x, i=i: x[i], together.standing)
        np.testing.assert_allclose(at.z, alone.z, rtol=1e-12)
        assert at.num_evaluations == alone.num_evaluations and at.verdict == alone.verdict == 0
    np.testing.assert_array_equal(together.standing.z[:, 0], 0.7)

    single = search(METHOD, Residuals(rosenbrock, z := starts[0].astype(jnp.float32)), z)
    assert single.z.dtype == single.cost.dtype == jnp.float32 and single.verdict == 0
    np.testing.assert_allclose(single.z, 1, rtol=1e-5)


def test_bad_tolerance():
    with pytest.raises(ValueError, match="rtol.*positive"):
        LevenbergMarquardt(rtol=0.0)


def test_exact_data_with_a_parameter_that_is_zero():
    """No step is small beside a parameter that tends to zero, so the residuals must tell that the fit is over."""
    x = jnp.arange(10.0)
    end = search(METHOD, Residuals(lambda z, x: z[0] + z[1] * x - 2 * x, jnp.zeros(2), x), jnp.asarray([0.5, 0.7]))
    assert end.done and end.verdict == 0 and end.num_steps < 5
    np.testing.assert_allclose(end.z, [0.0, 2.0], atol=1e-14)


def test_starts_from_which_the_jacobian_changes_by_many_orders_or_which_are_almost_zero():
    """The scale remembers the largest column, and the first region is as long as the start: neither may blind it."""
    x = jnp.linspace(0.0, 5.0, 20)
    data = jnp.exp(x / 2) + 1 + jnp.cos(7 * x) / 10
    grow = Residuals(lambda z, x: jnp.exp(z[0] * x) + z[1] - data, jnp.zeros(2), x)
    for start in (2.0, 8.0, 20.0):
        end = search(METHOD, grow, jnp.asarray([start, 0.5]))
        np.testing.assert_allclose(end.z, [0.499371, 1.009621], rtol=1e-5)
        assert end.verdict == 0
    line = Residuals(lambda z, x: z[0] * x - jnp.asarray([1.0, 2.1]), jnp.zeros(1), jnp.asarray([1.0, 2.0]))
    np.testing.assert_allclose(search(METHOD, line, jnp.asarray([1e-30])).z, [1.04], rtol=1e-12)
