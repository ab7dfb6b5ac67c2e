"""Robertson's reaction by diffrax's Kvaerno5, as an array."""

import diffrax
import jax
import jax.numpy as jnp

jax.config.update("jax_enable_x64", True)


def field(t, y, args):
    """Rates of the three species."""
    a, b, c = y
    decay, conversion, recovery = 0.04 * a, 3e7 * b * b, 1e4 * b * c
    return jnp.stack([recovery - decay, decay - recovery - conversion, conversion])


def end(y0):
    """The species at t = 1e5 s."""
    run = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Kvaerno5(),
        0.0,
        1e5,
        None,
        y0,
        stepsize_controller=diffrax.PIDController(rtol=1e-6, atol=1e-12),
    )
    assert run.ys is not None
    return run.ys[-1]
