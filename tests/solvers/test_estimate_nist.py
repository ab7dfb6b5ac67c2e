"""`estimate` on ten of NIST's problems, each with one coordinate held by a bound: how the data move the optimum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kinax.solvers import estimate, Parameter, Problem
from tests.nist import BOUNDED, needs_nist, read

ROWS, WIDTH = 250, 9  # of the largest problem: all are padded to one shape, to compile once


def padded(which, c, coordinate, fraction):
    """The data and the problem's other arrays."""
    rows, width = len(c.y), len(c.parameters)
    vector = lambda v, value: jnp.asarray(np.pad(v, (0, WIDTH - width), constant_values=value))
    lower, upper = np.full(width, -np.inf), np.full(width, np.inf)
    (upper if fraction < 1 else lower)[coordinate] = fraction * c.parameters[coordinate]
    start, box = np.clip(c.starts[1], lower, upper), (vector(lower, -np.inf), vector(upper, np.inf))
    x = jnp.asarray(np.pad(c.x, (0, ROWS - rows), mode="edge"))
    return jnp.asarray(np.pad(c.y, (0, ROWS - rows))), (jnp.asarray(which), x, rows, width, vector(start, 1.0), box)


@needs_nist
@pytest.mark.slow
def test_derivative_of_the_optimum_by_the_data_through_an_active_bound():
    sets = [read(name) for name in BOUNDED]
    models = [c.model for c in sets]

    def residuals(b, data):
        which, x, y, rows, width = data
        used = jnp.where(jnp.arange(ROWS) < rows, jax.lax.switch(which, models, b, x) - y, 0)
        return jnp.concatenate([used, jnp.where(jnp.arange(WIDTH) < width, 0, b - 1)])

    @jax.jit
    def optimum(y, rest):
        which, x, rows, width, start, box = rest
        everything = [Parameter(lambda b: b, name="b", bounds=box)]
        return estimate(Problem(start, residuals, (which, x, y, rows, width), parameters=everything))

    def both_modes(y, change, rest):
        values = lambda y: optimum(y, rest).values
        forward = jax.jvp(values, (y,), (change,))[1]
        return forward, jax.vjp(values, y)[1](forward)[0] @ change

    both_modes = jax.jit(both_modes)
    random = np.random.default_rng(0)
    for which, (c, (coordinate, fraction)) in enumerate(zip(sets, BOUNDED.values(), strict=True)):
        y, rest = padded(which, c, coordinate, fraction)
        assert optimum(y, rest).at_bound[coordinate]
        change = y * jnp.asarray(random.standard_normal(ROWS)) / 100
        forward, squared = both_modes(y, change, rest)
        step = lambda n, y=y, change=change, rest=rest: optimum(y + n / 10 * change, rest).values
        expected = (8 * (step(1) - step(-1)) - (step(2) - step(-2))) / 1.2
        np.testing.assert_allclose(forward, expected, rtol=1e-5, atol=1e-12, err_msg=c.name)
        np.testing.assert_allclose(squared, forward @ forward, rtol=1e-9, err_msg=c.name)
        assert abs(forward[coordinate]) < 1e-12  # the bound stays
