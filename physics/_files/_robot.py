"""What a file of a whole robot holds."""

from typing import Any, NamedTuple

from .._forces import AbstractForce, Actuators
from .._mechanism import JointState, Mechanism
from .._shapes import AbstractShape


class Keyframe(NamedTuple):
    """A state that the file gives a name to, and the `control` (nu,) that goes with it."""

    state: JointState
    control: Any


class Robot(NamedTuple):
    """What `read_mjcf` finds in a file.

    - `mechanism`, and the `forces` that act on it.
    - `dt` [s]: the step that the file asks for. `keyframes`: states by their names.
    - `shapes`: what is drawn of each body, and of the "world".
    """

    mechanism: Mechanism
    forces: tuple[AbstractForce, ...]
    dt: float
    keyframes: dict[str, Keyframe]
    shapes: dict[str, tuple[AbstractShape, ...]]

    @property
    def actuators(self) -> Actuators:
        """The actuators among the forces."""
        found = [force for force in self.forces if isinstance(force, Actuators)]
        if not found:
            raise ValueError("The file has no actuators.")
        return found[0]
