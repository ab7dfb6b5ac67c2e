"""Motion with friction and noise: splittings with the exact solution of the friction and noise."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from .._tree import is_concrete, is_float
from .._types import as_parameter, Numbers, parameter, Scalar
from ._pair import check_state, later, moved
from ._part import AbstractOneWay


class LangevinState(eqx.Module):
    """A time, where things are, how much they move, and the key of the noise that is to come."""

    t: Scalar = eqx.field(converter=as_parameter)
    position: Array
    momentum: Array
    key: PRNGKeyArray


class BAOAB(AbstractOneWay[LangevinState]):
    r"""Langevin dynamics, $\dot q = p/m$, $\mathrm{d}p = F\,\mathrm{d}t - \gamma p\,\mathrm{d}t + \sqrt{2 \gamma m kT}
    \,\mathrm{d}W$: half a kick, half a drift, the exact friction and noise, half a drift, half a kick.

    Averages over configurations have an error of order 2 in `dt`, and for harmonic forces none, at any friction and
    any stable step ($h < 2/\omega$). Of weak order 2. A step takes two forces, n steps in one by `Repeated` n + 1.
    Without friction it is `VelocityVerlet`.

    - `force`: a function `F(t, position)`; the value has the shape of the position.
    - `dt` $h$ [time].
    - `mass`, `friction` $\gamma$ [1/time], `kT` [energy]: numbers, or arrays that broadcast against the
      position: masses of atoms are (n, 1) beside positions (n, 3).

    The state is a `LangevinState`. There is no step back. Derivatives are of the path at fixed noise; at 0, `friction`
    and `kT` have none (they enter by their roots). Source: B. Leimkuhler and C. Matthews,
    Appl. Math. Res. Express 2013, 34, doi:10.1093/amrx/abs010.
    """

    force: Callable[..., Array]
    dt: Any = parameter()
    mass: Numbers = parameter()
    friction: Numbers = parameter()
    kT: Numbers = parameter()

    def __check_init__(self) -> None:
        _check(self)

    def __call__(self, state: LangevinState) -> LangevinState:
        """The state at `t + dt`."""
        return self.advance(state, self.carried(state))[0]

    def carried(self, state: LangevinState) -> Array:
        """The force."""
        _check_state(self, state)
        return _force(self, state.t, state.position)

    def advance(self, state: LangevinState, carried: Array) -> tuple[LangevinState, Array]:
        """The state at `t + dt`, and the force there."""
        key, now = jax.random.split(state.key)
        half, end = self.dt / 2, later(state.t, self.dt)
        q, p = state.position, moved(state.momentum, half, carried)
        q = moved(q, half, _velocity(self, p))
        p = _thermalized(self, p, self.dt, now)
        q = moved(q, half, _velocity(self, p))
        force = _force(self, end, q)
        return LangevinState(t=end, position=q, momentum=moved(p, half, force), key=key), force


class OBABO(AbstractOneWay[LangevinState]):
    r"""Langevin dynamics as `BAOAB`, in another order: half of the friction and noise, a step of `VelocityVerlet`, half
    of the friction and noise.

    Of weak order 2. Momenta are exact for harmonic forces, the variance of a position is $1/(1 - (\omega h/2)^2)$ times
    what it should be. What it adds to a step of Verlet is exact, so that it can be corrected by Metropolis' rule. A
    step takes two normals and two forces, n steps in one by `Repeated` n + 1 forces.

    - `force`: a function `F(t, position)`; the value has the shape of the position.
    - `dt` $h$ [time].
    - `mass`, `friction` $\gamma$ [1/time], `kT` [energy]: numbers, or arrays that broadcast against the
      position: masses of atoms are (n, 1) beside positions (n, 3).

    The state is a `LangevinState`. There is no step back. Derivatives are of the path at fixed noise; at 0, `friction`
    and `kT` have none (they enter by their roots). Source: G. Bussi and M. Parrinello,
    Phys. Rev. E 75, 056707 (2007), doi:10.1103/PhysRevE.75.056707.
    """

    force: Callable[..., Array]
    dt: Any = parameter()
    mass: Numbers = parameter()
    friction: Numbers = parameter()
    kT: Numbers = parameter()

    def __check_init__(self) -> None:
        _check(self)

    def __call__(self, state: LangevinState) -> LangevinState:
        """The state at `t + dt`."""
        return self.advance(state, self.carried(state))[0]

    def carried(self, state: LangevinState) -> Array:
        """The force."""
        _check_state(self, state)
        return _force(self, state.t, state.position)

    def advance(self, state: LangevinState, carried: Array) -> tuple[LangevinState, Array]:
        """The state at `t + dt`, and the force there."""
        key, before, after = jax.random.split(state.key, 3)
        half, end = self.dt / 2, later(state.t, self.dt)
        p = moved(_thermalized(self, state.momentum, half, before), half, carried)
        q = moved(state.position, self.dt, _velocity(self, p))
        force = _force(self, end, q)
        p = _thermalized(self, moved(p, half, force), half, after)
        return LangevinState(t=end, position=q, momentum=p, key=key), force


def _check_state(simulator: Any, state: Any) -> None:
    name = type(simulator).__name__
    check_state(simulator, state, LangevinState)
    if jnp.shape(state.momentum) != jnp.shape(state.position) or not is_float(state.momentum):
        raise ValueError(
            f"{name} needs a momentum of floats in the shape of the position, {jnp.shape(state.position)}, not "
            f"{state.momentum!r}."
        )
    kind = jnp.result_type(state.key)
    if not (jnp.issubdtype(kind, jax.dtypes.prng_key) or kind == jnp.uint32):
        raise ValueError(f"{name} needs a key such as jax.random.key(0) in the state, not {state.key!r}.")


def _force(simulator: Any, t: Any, position: Array) -> Array:
    if not is_float(position):
        raise ValueError(f"{type(simulator).__name__} needs a position of floats, not {position!r}.")
    force = simulator.force(t, position)
    if jnp.shape(force) != position.shape:
        raise ValueError(f"The force must have the shape of the position, {position.shape}, not {jnp.shape(force)}.")
    return force


def _velocity(simulator: Any, momentum: Array) -> Array:
    return momentum / simulator.mass.astype(momentum.dtype)


def _thermalized(simulator: Any, momentum: Array, dt: Any, key: PRNGKeyArray) -> Array:
    r"""$e^{-\gamma h} p + \sqrt{m kT}\,\sqrt{1 - e^{-2 \gamma h}}\,R$."""
    mass, friction, kT, h = (x.astype(momentum.dtype) for x in (simulator.mass, simulator.friction, simulator.kT, dt))
    noise = jax.random.normal(key, momentum.shape, momentum.dtype)
    # one root for each, so that at friction 0 or kT 0 the derivatives by the others are 0, not 0 / 0
    size = jnp.sqrt(mass) * jnp.sqrt(kT) * jnp.sqrt(friction) * jnp.sqrt(2 * h * _mean_decay(2 * friction * h))
    return jnp.exp(-friction * h) * momentum + size * noise


def _mean_decay(x: Array) -> Array:
    r"""$(1 - e^{-x}) / x$, 1 at 0; a series where the derivative of the quotient would cancel."""
    small = jnp.abs(x) < 1e-2
    safe = jnp.where(small, 1, x)
    series = jnp.ones_like(x)
    for k in (7, 6, 5, 4, 3, 2):
        series = 1 - jnp.where(small, x, 0) / k * series
    return jnp.where(small, series, -jnp.expm1(-safe) / safe)


def _check(simulator: Any) -> None:
    """Signs, where values are known."""
    for name, zero in (("dt", False), ("mass", False), ("friction", True), ("kT", True)):
        value = getattr(simulator, name)
        if eqx.is_array(value) and is_concrete(value):
            good = np.all(np.asarray(value) >= 0) if zero else np.all(np.asarray(value) > 0)
            if not good:
                what = "not be negative" if zero else "be positive"
                raise ValueError(f"{type(simulator).__name__}.{name} must {what}, not {np.asarray(value)}.")
