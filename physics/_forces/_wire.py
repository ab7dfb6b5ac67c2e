"""Actuators from a list."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from ...solvers._host import namespace, on_host
from .._mechanism import Mechanism
from ._activation import ExactFilter, Filter
from ._actuator import AbstractActuator, FixedTendon
from ._actuators import Actuators, Wiring
from ._clamp import clamp


def actuators(mechanism: Mechanism, *listed: Any, control: Any = None) -> Actuators:
    """The `Actuators` that `listed` are, in this order.

        actuators(walker, Motor("hip", gear=100.0, control_limits=(-1, 1)), PositionServo("knee", 50.0, 2.0))

    `control` is (nu,), zeros by default, or a callable (t, y: JointState) -> (nu,); see `Actuators`. Raises ValueError
    for joints that do not exist, sizes that do not fit, limits that are swapped, names that clash.
    """
    for one in listed:
        if not isinstance(one, AbstractActuator):
            raise ValueError(f"{one!r} is no actuator: give Motor, PositionServo, VelocityServo, PD or Affine.")
    dtype = jnp.result_type(float)
    rows = [(one, law) for one in listed for law in one.laws()]
    table = lambda which: _stacked([c for _, law in rows for c in getattr(law, which)], (-1, 3), dtype)
    active = [(k, one.activation) for k, (one, _) in enumerate(rows) if one.activation is not None]
    filters = [activation for _, activation in active if isinstance(activation, Filter | ExactFilter)]
    made = Actuators(
        moment=_stacked([_moment(mechanism, one, dtype) for one, _ in rows], (-1, mechanism.topology.nv), dtype),
        gain=table("gain"),
        bias=table("bias"),
        control=np.zeros(len(rows), dtype),
        time_constant=_stacked([f.time_constant for f in filters], (-1,), dtype),
        control_clamp=clamp([one.control_limits for one, _ in rows]),
        force_clamp=clamp([one.force_limits for one, _ in rows]),
        activation_clamp=clamp([activation.limits for _, activation in active]),
        wiring=_wiring(len(rows), active),
        names=_names(rows),
    )
    return made if control is None else made.with_control(control)


def _stacked(parts: list[Any], shape: tuple[int, ...], dtype: Any) -> Any:
    """Of this shape, also if there are none."""
    parts = [on_host(part, dtype) for part in parts]
    return namespace(parts).stack(parts).reshape(shape) if parts else np.zeros((0, *shape[1:]), dtype)


def _moment(mechanism: Mechanism, one: AbstractActuator, dtype: Any) -> Any:
    """The row (nv,) of one actuator."""
    topology, parts = mechanism.topology, [np.zeros(1, dtype)] * mechanism.topology.nv
    gear = on_host(one.gear, dtype)
    if isinstance(one.joint, FixedTendon):
        for k, joint in enumerate(one.joint.joints):
            where = topology.v_of(joint)
            width = where.stop - where.start
            if width != 1:
                raise ValueError(f"A FixedTendon runs over joints of one degree of freedom; {joint!r} has {width}.")
            parts[where.start] = gear * on_host(one.joint.coefficients, dtype)[k : k + 1]
        return namespace(parts).concatenate(parts)
    where = topology.v_of(one.joint)
    width, shape = where.stop - where.start, jnp.shape(one.gear)
    if shape != (width,) and not (width == 1 and shape == ()):
        raise ValueError(
            f"The gear of {type(one).__name__}({one.joint!r}) has shape {shape}; the joint has {width} "
            f"degree{'s' * (width > 1)} of freedom: give {'one number' if width == 1 else f'{width} numbers'}."
        )
    parts[where] = [(gear[k : k + 1] if gear.shape else gear[None]) for k in range(width)]
    return namespace(parts).concatenate(parts)


def _wiring(nu: int, active: list[Any]) -> Wiring:
    source, filtered, count = list(range(nu)), [], sum(isinstance(a, Filter | ExactFilter) for _, a in active)
    for place, (k, activation) in enumerate(active):
        source[k] = nu + place
        is_filter = isinstance(activation, Filter | ExactFilter)
        filtered.append(sum(x < count for x in filtered) if is_filter else count)
    whole = lambda x: jax.device_put(np.asarray(x, np.int32))
    return Wiring(
        source=whole(source),
        driver=whole([k for k, _ in active]),
        filtered=whole(filtered),
        exact=jax.device_put(np.asarray([isinstance(activation, ExactFilter) for _, activation in active], bool)),
    )


def _names(rows: list[Any]) -> tuple[str, ...]:
    """Given names as they are; the joints' names with a number if they clash."""
    given = [one.name + law.label for one, law in rows if one.name is not None]
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise ValueError(f"Names of actuators clash: {', '.join(map(repr, twice))}. Each name may be used once.")
    names: list[str] = []
    for one, law in rows:
        joint = "+".join(one.joint.joints) if isinstance(one.joint, FixedTendon) else one.joint
        name, number = (one.name or joint) + law.label, 1
        stem = name
        while one.name is None and name in (*names, *given):
            number += 1
            name = f"{stem} {number}"
        names.append(name)
    return tuple(names)
