"""The state of a robot."""

from typing import Any, NamedTuple


class JointState(NamedTuple):
    """Coordinates `q` (nq,), velocities `v` (nv,), and the activations `act` (na,) of actuators that have one."""

    q: Any
    v: Any
    act: Any = None
