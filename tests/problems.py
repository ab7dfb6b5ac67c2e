"""Test problems with reference solutions, most of them stiff, of Hairer and Wanner (Solving ODEs I and II)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from kinax.physics import Motion, Robertson, ScaledVanDerPol


def hires(t: Any, y: Any, args: Any) -> Any:
    """HIRES, a plant's response to light: eight species (Schaefer 1975; Hairer and Wanner II, IV.10)."""
    r = 280 * y[5] * y[7]
    return jnp.stack(
        [
            -1.71 * y[0] + 0.43 * y[1] + 8.32 * y[2] + 0.0007,
            1.71 * y[0] - 8.75 * y[1],
            -10.03 * y[2] + 0.43 * y[3] + 0.035 * y[4],
            8.32 * y[1] + 1.71 * y[2] - 1.12 * y[3],
            -1.745 * y[4] + 0.43 * (y[5] + y[6]),
            -r + 0.69 * y[3] + 1.71 * y[4] - 0.43 * y[5] + 0.69 * y[6],
            r - 1.81 * y[6],
            -r + 1.81 * y[6],
        ]
    )


def oregonator(t: Any, y: Any, args: Any) -> Any:
    """OREGO, the Belousov-Zhabotinskii reaction (Field and Noyes 1974; Hairer and Wanner II, IV.10)."""
    return jnp.stack(
        [
            77.27 * (y[1] + y[0] * (1 - 8.375e-6 * y[0] - y[1])),
            (y[2] - (1 + y[0]) * y[1]) / 77.27,
            0.161 * (y[0] - y[2]),
        ]
    )


def arenstorf(t: Any, y: Any, args: Any) -> Any:
    """A satellite on a closed path between earth and moon (Arenstorf 1963; Hairer, Norsett, Wanner I, II.0)."""
    moon = 0.012277471
    earth = 1 - moon
    x, z, vx, vz = y
    to_earth = ((x + moon) ** 2 + z**2) ** 1.5
    to_moon = ((x - earth) ** 2 + z**2) ** 1.5
    ax = x + 2 * vz - earth * (x + moon) / to_earth - moon * (x - earth) / to_moon
    return jnp.stack([vx, vz, ax, z - 2 * vx - earth * z / to_earth - moon * z / to_moon])


def pleiades(t: Any, y: Any, args: Any) -> Any:
    """Seven stars in a plane, masses 1 to 7 (Hairer, Norsett, Wanner I, II.10)."""
    x, z, vx, vz = jnp.split(y, 4)
    mass = jnp.arange(1.0, 8.0)
    dx, dz = x[None] - x[:, None], z[None] - z[:, None]
    weight = mass[None] * (1 - jnp.eye(7)) / (dx**2 + dz**2 + jnp.eye(7)) ** 1.5
    return jnp.concatenate([vx, vz, jnp.sum(weight * dx, axis=1), jnp.sum(weight * dz, axis=1)])


def pollution(t: Any, y: Any, args: Any) -> Any:
    """POLLU, the chemistry of polluted air: 20 species, 25 reactions (Verwer 1994)."""
    k = [0.35, 26.6, 1.23e4, 8.6e-4, 8.2e-4, 1.5e4, 1.3e-4, 2.4e4, 1.65e4, 9e3, 0.022, 1.2e4, 1.88, 1.63e4, 4.8e6]
    k += [3.5e-4, 0.0175, 1e8, 4.44e11, 1.24e3, 2.1, 5.78, 0.0474, 1.78e3, 3.12]
    y1, y2, y3, y4, y5, y6, y7, y8, y9, y10, y11, _, y13, y14, _, y16, y17, _, y19, y20 = y
    first = [y1, y2 * y4, y5 * y2, y7, y7, y7 * y6, y9, y9 * y6, y11 * y2, y11 * y1, y13, y10 * y2, y14, y1 * y6, y3]
    last = [y4, y4, y16, y16, y17 * y6, y19, y19, y1 * y4, y19 * y1, y20]
    r = [None, *(rate * product for rate, product in zip(k, first + last, strict=True))]
    return jnp.stack(
        [
            -r[1] - r[10] - r[14] - r[23] - r[24] + r[2] + r[3] + r[9] + r[11] + r[12] + r[22] + r[25],
            -r[2] - r[3] - r[9] - r[12] + r[1] + r[21],
            -r[15] + r[1] + r[17] + r[19] + r[22],
            -r[2] - r[16] - r[17] - r[23] + r[15],
            -r[3] + 2 * r[4] + r[6] + r[7] + r[13] + r[20],
            -r[6] - r[8] - r[14] - r[20] + r[3] + 2 * r[18],
            -r[4] - r[5] - r[6] + r[13],
            r[4] + r[5] + r[6] + r[7],
            -r[7] - r[8],
            -r[12] + r[7] + r[9],
            -r[9] - r[10] + r[8] + r[11],
            r[9],
            -r[11] + r[10],
            -r[13] + r[12],
            r[14],
            -r[18] - r[19] + r[16],
            -r[20],
            r[20],
            -r[21] - r[22] - r[24] + r[23] + r[25],
            -r[25] + r[24],
        ]
    )


def ring_modulator(t: Any, y: Any, args: Any) -> Any:
    """RINGMOD, an electrical circuit that mixes two signals (Horneber 1976; Hairer and Wanner II, IV.10)."""
    y1, y2, y3, y4, y5, y6, y7, y8, y9, y10, y11, y12, y13, y14, y15 = y
    low, high = 0.5 * jnp.sin(2e3 * jnp.pi * t), 2 * jnp.sin(2e4 * jnp.pi * t)
    current = lambda u: 40.67286402e-9 * (jnp.exp(17.7493332 * u) - 1)
    q1, q2 = current(y3 - y5 - y7 - high), current(-y4 + y6 - y7 - high)
    q3, q4 = current(y4 + y5 + y7 + high), current(-y3 - y6 + y7 + high)
    return jnp.stack(
        [
            (y8 - 0.5 * y10 + 0.5 * y11 + y14 - y1 / 25e3) / 1.6e-8,
            (y9 - 0.5 * y12 + 0.5 * y13 + y15 - y2 / 25e3) / 1.6e-8,
            (y10 - q1 + q4) / 2e-12,
            (-y11 + q2 - q3) / 2e-12,
            (y12 + q1 - q3) / 2e-12,
            (-y13 - q2 + q4) / 2e-12,
            (-y7 / 50 + q1 + q2 - q3 - q4) / 1e-8,
            -y1 / 4.45,
            -y2 / 4.45,
            (0.5 * y1 - y3 - 17.3 * y10) / 5e-4,
            (-0.5 * y1 + y4 - 17.3 * y11) / 5e-4,
            (0.5 * y2 - y5 - 17.3 * y12) / 5e-4,
            (-0.5 * y2 + y6 - 17.3 * y13) / 5e-4,
            (-y1 + low - 86.3 * y14) / 2e-3,
            (-y2 - 636.3 * y15) / 2e-3,
        ]
    )


class Problem(NamedTuple):
    """An initial-value problem on [0, end] with the solution at the end; `atol` is per unit of rtol."""

    field: Any
    y0: Any
    end: float
    reference: list[float]
    atol: float


PROBLEMS = {
    "ROBER": Problem(
        Robertson(),
        Robertson.State(a=1.0, b=0.0, c=0.0),
        1e11,
        [0.2083340149701255e-7, 0.8333360770334713e-13, 0.9999999791665050],
        1e-8,
    ),
    "HIRES": Problem(
        hires,
        np.array([1.0, 0, 0, 0, 0, 0, 0, 0.0057]),
        321.8122,
        [
            0.7371312573325668e-3,
            0.1442485726316185e-3,
            0.5888729740967575e-4,
            0.1175651343283149e-2,
            0.2386356198831331e-2,
            0.6238968252742796e-2,
            0.2849998395185769e-2,
            0.2850001604814231e-2,
        ],
        1e-4,
    ),
    "OREGO": Problem(
        oregonator,
        np.array([1.0, 2.0, 3.0]),
        360.0,
        [0.1000814870318523e1, 0.1228178521549917e4, 0.1320554942846706e3],
        1.0,
    ),
    "VDPOL": Problem(
        ScaledVanDerPol(eps=1e-6), Motion(q=2.0, v=0.0), 2.0, [0.1706167732170483e1, -0.8928097010247975], 1.0
    ),
}


# not in the benchmark
MORE = {
    "ARENSTORF": Problem(
        arenstorf,
        np.array([0.994, 0, 0, -2.00158510637908252240537862224]),
        17.0652165601579625588917206249,
        [0.994, 0, 0, -2.00158510637908252240537862224],
        1.0,
    ),
    "PLEIADES": Problem(
        pleiades,
        np.array([3.0, 3, -1, -3, 2, -2, 2, 3, -3, 2, 0, 0, -4, 4, 0, 0, 0, 0, 0, 1.75, -1.5, 0, 0, 0, -1.25, 1, 0, 0]),
        3.0,
        [
            *(0.3706139143970502, 3.237284092057233, -3.222559032418324, 0.6597091455775310, 0.3425581707156584),
            *(1.562172101400631, -0.7003092922212495, -3.943437585517392, -3.271380973972550, 5.225081843456543),
            *(-2.590612434977470, 1.198213693392275, -0.2429682344935824, 1.091449240428980, 3.417003806314313),
            *(1.354584501625501, -2.590065597810775, 2.025053734714242, -1.155815100160448, -0.8072988170223021),
            *(0.5952396354208710, -3.741244961234010, 0.3773459685750630, 0.9386858869551073, 0.3667922227200571),
            *(-0.3474046353808490, 2.344915448180937, -1.947020434263292),
        ],
        1.0,
    ),
    "POLLU": Problem(
        pollution,
        np.array([0, 0.2, 0, 0.04, 0, 0, 0.1, 0.3, 0.01, 0, 0, 0, 0, 0, 0, 0, 0.007, 0, 0, 0]),
        60.0,
        [
            *(0.5646255480022769e-1, 0.1342484130422339, 0.4139734331099427e-8, 0.5523140207484359e-2),
            *(0.2018977262302196e-6, 0.1464541863493966e-6, 0.7784249118997964e-1, 0.3245075353396018),
            *(0.7494013383880406e-2, 0.1622293157301561e-7, 0.1135863833257075e-7, 0.2230505975721359e-2),
            *(0.2087162882798630e-3, 0.1396921016840158e-4, 0.8964884856898295e-2, 0.4352846369330103e-17),
            *(0.6899219696263405e-2, 0.1007803037365946e-3, 0.1772146513969984e-5, 0.5682943292316392e-4),
        ],
        1e-8,
    ),
    "RINGMOD": Problem(
        ring_modulator,
        np.zeros(15),
        1e-3,
        [
            *(-0.2339057358486745e-1, -0.7367485485540825e-2, 0.2582956709291169, -0.4064465721283450),
            *(-0.4039455665149794, 0.2607966765422943, 0.1106761861269975, 0.2939904342435596e-6),
            *(-0.2840029933642329e-7, 0.7267198267264553e-3, 0.7929487196960840e-3, -0.7255283495698965e-3),
            *(-0.7941401968526521e-3, 0.7088495416976114e-4, 0.2390059075236570e-4),
        ],
        1e-3,
    ),
}


def scaled_error(problem: Problem, y: Any) -> float:
    """The largest error of a component relative to its reference, absolute where that is zero."""
    found = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(y)])
    scale = np.where(np.array(problem.reference) == 0, 1, np.abs(problem.reference))
    return float(np.max(np.abs(found - problem.reference) / scale))


def akzo_nobel(t: Any, y: Any, args: Any) -> Any:
    """Chemical Akzo Nobel: five species, the sixth unknown by an algebraic equation (Stortelder 1998)."""
    pressure, henry, uptake, product = 0.9, 737.0, 3.3, 115.83
    oxygen = jnp.sqrt(y[1])
    r1 = 18.7 * y[0] ** 4 * oxygen
    r2 = 0.58 * y[2] * y[3]
    r3 = 0.58 / 34.4 * y[0] * y[4]
    r4 = 0.09 * y[0] * y[3] ** 2
    r5 = 0.42 * y[5] ** 2 * oxygen
    return jnp.stack(
        [
            -2 * r1 + r2 - r3 - r4,
            -r1 / 2 - r4 - r5 / 2 + uptake * (pressure / henry - y[1]),
            r1 - r2 + r3,
            -r2 + r3 - 2 * r4,
            r2 - r3 + r5,
            product * y[0] * y[3] - y[5],
        ]
    )


def transistor_amplifier(t: Any, y: Any, signal: Any) -> Any:
    """Two transistors, eight nodes (Rentrop, Roche, Steinebach 1989); `signal` is the amplitude at the input [V]."""
    supply, thermal, gain, leak, small, large = 6.0, 0.026, 0.99, 1e-6, 1000.0, 9000.0
    source = signal * jnp.sin(200 * jnp.pi * t)
    first, second = leak * jnp.expm1((y[1] - y[2]) / thermal), leak * jnp.expm1((y[4] - y[5]) / thermal)
    return jnp.stack(
        [
            (y[0] - source) / small,
            (2 * y[1] - supply) / large + (1 - gain) * first,
            y[2] / large - first,
            (y[3] - supply) / large + gain * first,
            (2 * y[4] - supply) / large + (1 - gain) * second,
            y[5] / large - second,
            (y[6] - supply) / large + gain * second,
            y[7] / large,
        ]
    )


def capacitors() -> np.ndarray:
    """The amplifier's mass matrix: five capacitors of 1 to 5 microfarads, three of them between two nodes [F]."""
    mass = np.zeros((8, 8))
    for k, nodes in enumerate([(0, 1), (2,), (3, 4), (5,), (6, 7)], start=1):
        for a in nodes:
            for b in nodes:
                mass[a, b] = -k * 1e-6 if a == b else k * 1e-6
    return mass


class AlgebraicProblem(NamedTuple):
    """M dy/dt = field(t, y, args), and the solution at the end."""

    field: Any
    mass: Any
    y0: Any
    args: Any
    end: float
    solution: Any
    atol: float


ALGEBRAIC = {
    "AKZO": AlgebraicProblem(
        akzo_nobel,
        np.array([1.0, 1, 1, 1, 1, 0]),
        np.array([0.444, 0.00123, 0, 0.007, 0, 115.83 * 0.444 * 0.007]),
        None,
        180.0,
        np.array(
            [
                0.1150794920661702,
                0.1203831471567715e-2,
                0.1611562887407974,
                0.3656156421249283e-3,
                0.1708010885264404e-1,
                0.4873531310307455e-2,
            ]
        ),
        1e-3,
    ),
    "AMPLIFIER": AlgebraicProblem(
        transistor_amplifier,
        capacitors(),
        np.array([0.0, 3, 3, 6, 3, 3, 6, 0]),
        jnp.asarray(0.1),
        0.2,
        np.array(
            [
                -0.5562145012262709e-2,
                3.006522471903042,
                2.849958788608128,
                2.926422536206241,
                2.704617865010554,
                2.761837778393145,
                4.770927631616772,
                1.236995868091548,
            ]
        ),
        1.0,
    ),
}
