"""Energies and phase portraits along a trajectory, by matplotlib."""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ...solvers._report._panels import color, INK, label, panels, pyplot, tidy
from .._mechanism import Mechanism
from ._trajectory import column, times_and_states

_MOST = 16  # phase portraits in one figure


def plot_energy(mechanism: Mechanism, trajectory: Any) -> Any:
    """Kinetic, potential and total energy [J] against time, and below the total's drift: a matplotlib figure.

    `trajectory`: a `Solution` whose states have `q` and `v`, or a pair (ts, states). The drift is
    (E - E(0)) / max(|E(0)|, largest kinetic energy). Potential energy counts gravity and the joints' springs, so that
    the total changes by what dampers and other forces do.
    """
    ts, q, v = _motion(mechanism, trajectory)
    kinetic, potential = (np.asarray(x) for x in _energies(mechanism, jnp.asarray(q), jnp.asarray(v)))
    total = kinetic + potential
    figure, (above, below) = pyplot().subplots(
        2, 1, figsize=(6.4, 4.6), sharex=True, height_ratios=(2.4, 1), layout="constrained"
    )
    for ax in (above, below):
        tidy(ax)
    for k, (name, values) in enumerate({"kinetic": kinetic, "potential": potential}.items()):
        above.plot(ts, values, color=color(k), lw=1.5, label=name)
    above.plot(ts, total, color=INK, lw=1.8, label="total")
    label(above, y="energy [J]")
    above.legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1.0, 1.0), borderaxespad=0.2)
    scale = max(abs(total[0]), kinetic.max()) or 1.0
    below.plot(ts, (total - total[0]) / scale, color=INK, lw=1.2)
    label(below, "time [s]", "relative drift")
    below.ticklabel_format(axis="y", scilimits=(-2, 2))
    return figure


def plot_phase(mechanism: Mechanism, trajectory: Any, joints: Sequence[str] | None = None) -> Any:
    """Velocity against coordinate of each degree of freedom, a panel for each: a matplotlib figure.

    `joints`: their names; all by default. Of a ball the rotation vector from its rest is drawn, against the angular
    velocity. Where the motion starts is a dot.
    """
    ts, q, v = _motion(mechanism, trajectory)
    topology = mechanism.topology
    chosen = [topology.joint(name) for name in joints] if joints is not None else list(topology.joints)
    columns = [k for joint in chosen for k in range(*topology.v_of(joint.name).indices(topology.nv))]
    if not 0 < len(columns) <= _MOST:
        raise ValueError(
            f"{len(columns)} degrees of freedom were chosen, and a figure holds 1 to {_MOST}: name some joints, as in "
            f"joints=[{', '.join(repr(joint.name) for joint in topology.joints[:2])}]."
        )
    x = _displacements(mechanism, jnp.asarray(q))
    axes = panels(len(columns), None, columns=4 if len(columns) > 4 else len(columns), size=(2.9, 2.5))
    names = dict(_names(mechanism))
    for ax, k in zip(axes, columns, strict=True):
        name, unit = names[k]
        ax.plot(x[:, k], v[:, k], color=color(0), lw=1.1)
        ax.plot(x[0, k], v[0, k], "o", color=color(1), ms=5)
        label(ax, f"{name} [{unit}]", f"velocity [{unit}/s]")
    return axes[0].figure


def _motion(mechanism: Mechanism, trajectory: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    ts, ys = times_and_states(trajectory)
    if not (hasattr(ys, "q") and hasattr(ys, "v")):
        raise ValueError("These plots need states with `q` and `v`: pass a Solution, or (ts, JointState(q, v)).")
    topology = mechanism.topology
    return (
        ts,
        column(mechanism, ts, ys.q, "q", topology.nq),
        column(mechanism, ts, ys.v, "v", topology.nv),
    )


@eqx.filter_jit
def _energies(mechanism: Mechanism, q: Array, v: Array) -> tuple[Array, Array]:
    return jax.vmap(lambda a, b: (mechanism.kinetic_energy(a, b), mechanism.potential_energy(a)))(q, v)


@eqx.filter_jit
def _from_rest(mechanism: Mechanism, q: Array) -> Array:
    return jax.vmap(lambda one: mechanism.difference(one, mechanism.rest))(q)


def _displacements(mechanism: Mechanism, q: Array) -> np.ndarray:
    """(t, nv): the coordinates themselves, and rotation vectors of the balls, which have no coordinate for each."""
    topology = mechanism.topology
    found = np.array(_from_rest(mechanism, q))
    for joint in topology.joints:
        at_q, at_v = topology.q_of(joint.name).start, topology.v_of(joint.name).start
        for kind in joint.kinds:
            if kind == "ball":
                at_q, at_v = at_q + 4, at_v + 3
            else:
                found[:, at_v] = q[:, at_q]
                at_q, at_v = at_q + 1, at_v + 1
    return found


def _names(mechanism: Mechanism) -> list[tuple[int, tuple[str, str]]]:
    """For each degree of freedom a name and a unit."""
    found, k = [], 0
    for joint in mechanism.topology.joints:
        slides = iter("xyz")
        single = len(joint.kinds) == 1 and joint.kinds[0] != "ball"
        for number, kind in enumerate(joint.kinds):
            parts = [f"turn {axis}" for axis in "xyz"] if kind == "ball" else [str(number + 1)]
            if kind == "slide" and not single:
                parts = [next(slides)]
            for part in parts:
                unit = "m" if kind == "slide" else "rad"
                found.append((k, (joint.name if single else f"{joint.name} {part}", unit)))
                k += 1
    return found
