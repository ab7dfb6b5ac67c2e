"""Mechanical systems of index 3 with reference solutions: the car axis and Andrews' squeezing mechanism."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from kinax.physics import Motion
from kinax.solvers import Holonomic

AXIS_MASS = 1e-4 * 10 / 2


def _road(t: Any) -> Any:
    y = 0.1 * jnp.sin(10 * t)
    return jnp.sqrt(1 - y**2), y


def _axis_force(t: Any, q: Any, v: Any, args: Any) -> Any:
    xb, yb = _road(t)
    left = jnp.stack([q[0], q[1]])
    right = jnp.stack([q[2] - xb, q[3] - yb])
    spring = lambda d: (0.5 / jnp.sqrt(jnp.sum(d**2)) - 1) * d
    return jnp.concatenate([spring(left), spring(right)]) - AXIS_MASS * jnp.asarray([0.0, 1, 0, 1])


def _axis_constraint(t: Any, q: Any, args: Any) -> Any:
    xb, yb = _road(t)
    return jnp.stack([q[0] * xb + q[1] * yb, (q[0] - q[2]) ** 2 + (q[1] - q[3]) ** 2 - 1])


# the car axis (Schneider 1990), E. Hairer, G. Wanner, Solving ODEs II, and the test set of Mazzia and Magherini
CAR_AXIS = Holonomic(lambda q, args: AXIS_MASS * jnp.eye(4), _axis_force, _axis_constraint)
CAR_START = Motion(jnp.asarray([0.0, 0.5, 1, 0.5]), jnp.asarray([-0.5, 0, -0.5, 0]))
CAR_END = 3.0
CAR_SOLUTION = np.array(
    [
        0.493455784275402809122e-1,
        0.496989460230171153861,
        1.04174252488542151681,
        0.373911027265361256927,
        -0.770583684040972357970e-1,
        0.744686658723778553466e-2,
        0.175568157537232222276e-1,
        0.770341043779251976443,
    ]
)
CAR_MULTIPLIERS = np.array([-0.473688659084893324729e-2, -0.110468033125734368808e-2])

MASS = np.array([0.04325, 0.00365, 0.02373, 0.00706, 0.07050, 0.00706, 0.05498])
INERTIA = np.array([2.194e-6, 4.410e-7, 5.255e-6, 5.667e-7, 1.169e-5, 5.667e-7, 1.912e-5])
A, B, C = np.array([-0.06934, -0.00227]), np.array([-0.03635, 0.03273]), np.array([0.014, 0.072])
STIFFNESS, REST, MOMENT = 4530.0, 0.07785, 0.033


def _turned(angle: Any, along: float, across: float = 0.0) -> Any:
    return jnp.stack(
        [along * jnp.cos(angle) - across * jnp.sin(angle), along * jnp.sin(angle) + across * jnp.cos(angle)]
    )


def _centers(q: Any) -> Any:
    """(7, 2): where the bodies' masses are; q: beta, Theta, gamma, Phi, delta, Omega, epsilon."""
    beta, theta, gamma, phi, delta, omega, epsilon = q
    crank = _turned(beta, 0.007)
    return jnp.stack(
        [
            _turned(beta, 0.00092),
            crank - _turned(beta + theta, 0.0115),
            B + _turned(gamma, 0.01043, -0.01874),
            A + _turned(delta, 0.04) + _turned(phi + delta, 0.0, -(0.02 - 0.01421)),
            A + _turned(delta, 0.02308, 0.00916),
            A + _turned(epsilon, 0.0, -0.04) + _turned(omega + epsilon, 0.02 - 0.01421),
            A + _turned(epsilon, -0.00449, -0.01228),
        ]
    )


def _kinetic(q: Any, v: Any) -> Any:
    _, speed = jax.jvp(_centers, (q,), (v,))
    turn = jnp.stack([v[0], v[0] + v[1], v[2], v[3] + v[4], v[4], v[5] + v[6], v[6]])
    return jnp.sum(MASS * jnp.sum(speed**2, axis=1) + INERTIA * turn**2) / 2


def _potential(q: Any) -> Any:
    end = B + _turned(q[2], 0.02, -0.018)
    return STIFFNESS * (jnp.sqrt(jnp.sum((end - C) ** 2)) - REST) ** 2 / 2


def _squeezer_force(t: Any, q: Any, v: Any, args: Any) -> Any:
    momentum = jax.grad(_kinetic, argnums=1)
    _, turning = jax.jvp(lambda q: momentum(q, v), (q,), (v,))
    drive = jnp.zeros(7).at[0].set(MOMENT)
    return jax.grad(_kinetic)(q, v) - turning - jax.grad(_potential)(q) + drive


def _squeezer_constraint(t: Any, q: Any, args: Any) -> Any:
    beta, theta, gamma, phi, delta, omega, epsilon = q
    hub = _turned(beta, 0.007) - _turned(beta + theta, 0.028)
    return jnp.concatenate(
        [
            hub - B + _turned(gamma, 0.0, 0.035),
            hub - A - _turned(delta, 0.04) - _turned(phi + delta, 0.0, -0.02),
            hub - A - _turned(epsilon, 0.0, -0.04) - _turned(omega + epsilon, 0.02),
        ]
    )


# seven rigid bodies in the plane (Andrews; Giles 1978), E. Hairer, G. Wanner, Solving ODEs II, section VII.7
SQUEEZER = Holonomic(
    lambda q, args: jax.hessian(_kinetic, argnums=1)(q, jnp.zeros(7)), _squeezer_force, _squeezer_constraint
)
SQUEEZER_START = Motion(
    jnp.asarray(
        [
            -0.0617138900142764496358948458001,
            0.0,
            0.455279819163070380255912382449,
            0.222668390165885884674473185609,
            0.487364979543842550225598953530,
            -0.222668390165885884674473185609,
            1.23054744454982119249735015568,
        ]
    ),
    jnp.zeros(7),
)
SQUEEZER_END = 0.03
SQUEEZER_SOLUTION = np.array(
    [
        15.81077119629904,
        -15.75637105984298,
        0.4082224013073101e-1,
        -0.5347301163226948,
        0.5244099658805304,
        0.5347301163226948,
        1.048080741042263,
    ]
)
