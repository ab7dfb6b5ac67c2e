"""Joints: how a body may move against its parent, as a sequence of slides and turns."""

import abc
from typing import Any, NamedTuple, TYPE_CHECKING

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ...solvers import parameter
from ...solvers._host import namespace, on_host
from ...solvers._tree import is_concrete

if TYPE_CHECKING:  # a checker takes an abstract field for an argument
    from typing import ClassVar as AbstractVar
else:
    from equinox import AbstractVar

SLIDE, HINGE, BALL = "slide", "hinge", "ball"


class Element(NamedTuple):
    """One motion that a joint is made of; a ball has no axis, a screw is a hinge with a pitch [m/rad]."""

    kind: str
    axis: Any = None
    anchor: Any = None
    pitch: Any = None


class Passive(eqx.Module):
    r"""What acts in a joint by itself; numbers, or one for each degree of freedom. Units: SI, per meter or per radian.

    - `armature`: inertia of a rotor, added to the diagonal of the mass matrix;
    - `damping`: $-d\, v$;
    - `stiffness`: $-k\, (q \ominus q_\text{ref})$ with `springref` $q_\text{ref}$ in place of the joint's position at
      rest; None, unlike 0.0, is no spring at all, which costs no time and cannot be changed later;
    - `friction`: the force of dry friction, used by the force `DryFriction`;
    - `limits`: (lower, upper) of the coordinate, used by the force `SoftLimits`; not enforced by itself.
    """

    armature: Any = parameter(default=0.0)
    damping: Any = parameter(default=0.0)
    stiffness: Any = None
    friction: Any = parameter(default=0.0)
    springref: Any = None
    limits: Any = None


class AbstractJoint(eqx.Module):
    """A connection of a body with its parent (or with what the body's previous joint moves), in the body's axes."""

    name: AbstractVar[str | None]
    passive: AbstractVar[Passive]

    @abc.abstractmethod
    def elements(self) -> tuple[Element, ...]:
        """The slides and turns, the one next to the parent first."""

    @abc.abstractmethod
    def rest(self) -> Any:
        """The coordinates at which the body is where `Body.position` and `Body.orientation` put it; None: zeros."""


class Hinge(AbstractJoint):
    """A turn by the coordinate [rad] about `axis` through `anchor` [m], both in the body's frame."""

    axis: Any = parameter(default=(0.0, 0.0, 1.0))
    anchor: Any = parameter(default=(0.0, 0.0, 0.0))
    passive: Passive = eqx.field(default_factory=Passive)
    name: str | None = eqx.field(default=None, static=True)
    reference: Any = parameter(default=0.0)

    def elements(self) -> tuple[Element, ...]:
        return (Element(HINGE, self.axis, self.anchor),)

    def rest(self) -> Any:
        return on_host(self.reference)[None]


class Slide(AbstractJoint):
    """A shift by the coordinate [m] along `axis`, in the body's frame."""

    axis: Any = parameter(default=(0.0, 0.0, 1.0))
    passive: Passive = eqx.field(default_factory=Passive)
    name: str | None = eqx.field(default=None, static=True)
    reference: Any = parameter(default=0.0)

    def elements(self) -> tuple[Element, ...]:
        return (Element(SLIDE, self.axis),)

    def rest(self) -> Any:
        return on_host(self.reference)[None]


class Screw(AbstractJoint):
    """A turn by the coordinate [rad] about `axis` through `anchor` [m], and a shift by `pitch` [m/rad] times it."""

    axis: Any = parameter(default=(0.0, 0.0, 1.0))
    pitch: Any = parameter(default=0.0)
    anchor: Any = parameter(default=(0.0, 0.0, 0.0))
    passive: Passive = eqx.field(default_factory=Passive)
    name: str | None = eqx.field(default=None, static=True)

    def elements(self) -> tuple[Element, ...]:
        return (Element(HINGE, self.axis, self.anchor, self.pitch),)

    def rest(self) -> Any:
        return None


class Universal(AbstractJoint):
    """A turn about `first`, then about `second`, which the first one carries along; both through `anchor`."""

    first: Any = parameter(default=(1.0, 0.0, 0.0))
    second: Any = parameter(default=(0.0, 1.0, 0.0))
    anchor: Any = parameter(default=(0.0, 0.0, 0.0))
    passive: Passive = eqx.field(default_factory=Passive)
    name: str | None = eqx.field(default=None, static=True)

    def __check_init__(self) -> None:
        _refuse_parallel(self.first, self.second, self)

    def elements(self) -> tuple[Element, ...]:
        return Element(HINGE, self.first, self.anchor), Element(HINGE, self.second, self.anchor)

    def rest(self) -> Any:
        return None


class Planar(AbstractJoint):
    """Shifts [m] along `first` and `second`, and a turn [rad] about `first` × `second` through the body's origin."""

    first: Any = parameter(default=(1.0, 0.0, 0.0))
    second: Any = parameter(default=(0.0, 1.0, 0.0))
    passive: Passive = eqx.field(default_factory=Passive)
    name: str | None = eqx.field(default=None, static=True)

    def __check_init__(self) -> None:
        _refuse_parallel(self.first, self.second, self)

    def elements(self) -> tuple[Element, ...]:
        normal = namespace(self.first, self.second).cross(self.first, self.second)
        return Element(SLIDE, self.first), Element(SLIDE, self.second), Element(HINGE, normal, np.zeros(3))

    def rest(self) -> Any:
        return None


class Ball(AbstractJoint):
    """Any rotation about `anchor` [m]: the coordinates are a unit quaternion, the velocity is that in the body."""

    anchor: Any = parameter(default=(0.0, 0.0, 0.0))
    passive: Passive = eqx.field(default_factory=Passive)
    name: str | None = eqx.field(default=None, static=True)

    def elements(self) -> tuple[Element, ...]:
        return (Element(BALL, None, self.anchor),)

    def rest(self) -> Any:
        return None


class Free(AbstractJoint):
    """No connection, for a body whose parent is the world.

    Coordinates: position [m] and unit quaternion, seen from the world; velocities: that of the body's origin along the
    world's axes [m/s], and the angular velocity along the body's [rad/s], as in MuJoCo.
    """

    passive: Passive = eqx.field(default_factory=Passive)
    name: str | None = eqx.field(default=None, static=True)

    def elements(self) -> tuple[Element, ...]:
        axes = np.eye(3)
        return *(Element(SLIDE, axis) for axis in axes), Element(BALL, None, np.zeros(3))

    def rest(self) -> Any:
        return None


class Fixed(AbstractJoint):
    """No motion at all: the same as no joint."""

    name: str | None = eqx.field(default=None, static=True)

    @property
    def passive(self) -> Passive:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Nothing: it would have nothing to act on."""
        return Passive()

    def elements(self) -> tuple[Element, ...]:
        return ()

    def rest(self) -> Any:
        return None


def check_axis(axis: Any, whose: str) -> None:
    """An axis is three numbers, not all zero."""
    if jnp.shape(axis) != (3,):
        raise ValueError(f"{whose}: an axis has shape (3,), not {jnp.shape(axis)}.")
    if is_concrete(axis):
        length = np.linalg.norm(np.asarray(axis, dtype=float))
        if not (np.isfinite(length) and length > 1e-12):
            raise ValueError(f"{whose}: the axis {np.asarray(axis)} has no direction; give a vector of nonzero length.")


def _refuse_parallel(first: Any, second: Any, joint: AbstractJoint) -> None:
    """Two axes span a plane, as far as their values are known."""
    whose = f"{type(joint).__name__} {joint.name or ''}".strip()
    check_axis(first, f"{whose}, first")
    check_axis(second, f"{whose}, second")
    if is_concrete((first, second)):
        a, b = (np.asarray(x, dtype=float) / np.linalg.norm(x) for x in (first, second))
        if np.linalg.norm(np.cross(a, b)) < 1e-6:
            raise ValueError(f"{whose}: `first` and `second` are parallel; give two directions.")


def widths(element: Element) -> tuple[int, int]:
    """How many coordinates and how many velocities."""
    return (4, 3) if element.kind == BALL else (1, 1)


def stack_or_empty(rows: list[Any], width: int, dtype: Any) -> Any:
    """(n, width), also if n = 0."""
    if not rows:
        return np.zeros((0, width), dtype)
    return namespace(rows).stack([on_host(row, dtype) for row in rows])
