"""Arrays of a wrong size are refused with the joint at which they go wrong."""

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax.core import Tracer


def check_size(topology: Any, name: str, value: Any) -> None:
    """`value` has one number for each coordinate ("q") or each degree of freedom (anything else)."""
    of_q = name == "q"
    expected = topology.nq if of_q else topology.nv
    shape = jnp.shape(value)
    if shape == (expected,):
        if not jnp.issubdtype(jnp.result_type(value), jnp.floating):
            raise ValueError(f"{name} must hold floats, not {jnp.result_type(value)}: write 1.0 for 1.")
        return
    what = "coordinate" if of_q else "degree of freedom"
    if len(shape) != 1:
        raise ValueError(
            f"{name} has shape {shape}, expected ({expected},). A mechanism is written for one state; for many use "
            "`jax.vmap`."
        )
    if not topology.joints:
        raise ValueError(f"{name} has {shape[0]} numbers, expected {expected}.")
    if shape[0] < expected:
        owner = (topology.owner_of_q if of_q else topology.owner_of_v)(shape[0])
        where = f"it ends where joint {owner!r} should have its {what}"
    else:
        where = f"it goes on after the last joint, {topology.joints[-1].name!r}"
    slices = [(topology.q_of if of_q else topology.v_of)(joint.name) for joint in topology.joints]
    widths = ", ".join(f"{j.name} {s.stop - s.start}" for j, s in zip(topology.joints, slices, strict=True))
    raise ValueError(f"{name} has {shape[0]} numbers, expected {expected}: {where}. Numbers per joint: {widths}.")


def check_quaternions(topology: Any, q: Any) -> None:
    """The quaternions in `q` describe rotations, as far as their values are known."""
    if isinstance(q, Tracer):
        return
    masks = topology.plan().masks  # none of a family
    for places in masks["chart"].ball_q if masks else ():
        quaternion = np.asarray(q, dtype=float)[places]
        length = np.linalg.norm(quaternion)
        if not abs(length - 1) < 1e-3:
            raise ValueError(
                f"The quaternion of joint {topology.owner_of_q(int(places[0]))!r} is {quaternion}, of length "
                f"{length:.6g}: a rotation is (w, x, y, z) of length 1. Start from `mechanism.rest`."
            )
