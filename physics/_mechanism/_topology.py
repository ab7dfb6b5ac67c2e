"""What hangs where: the static part of a mechanism, and the index arrays made from it."""

import dataclasses
import functools
from collections.abc import Iterable
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ._configuration import Chart
from ._joint import BALL, HINGE, SLIDE

WORLD = -1


class JointPlace(NamedTuple):
    """A joint of the tree: its name, the index of the body it moves, the kinds of its elements, which are screws."""

    name: str
    body: int
    kinds: tuple[str, ...]
    screws: tuple[bool, ...]
    limited: bool
    sprung: bool


@dataclasses.dataclass(frozen=True)
class Topology:
    """Bodies, parents before children, and the joints between them; static and hashable.

    `names` and `parents` (indices, -1 is the world) have an entry for each body, `joints` one for each joint with a
    degree of freedom, in the order of the coordinates `q` (nq) and velocities `v` (nv).
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    joints: tuple[JointPlace, ...]

    @property
    def nb(self) -> int:
        """Number of bodies."""
        return len(self.names)

    @property
    def nq(self) -> int:
        """Number of coordinates."""
        return plan(self).nq

    @property
    def nv(self) -> int:
        """Number of degrees of freedom."""
        return plan(self).nv

    def plan(self) -> "Plan":
        """Sizes, and masks on the host."""
        return _plan(self)

    def body(self, name: str) -> int:
        """The index of a body, in every array whose first axis counts bodies."""
        return _find(name, self.names, "body")

    def joint(self, name: str) -> JointPlace:
        """The place of a joint."""
        return self.joints[_find(name, tuple(joint.name for joint in self.joints), "joint")]

    def q_of(self, joint: str) -> slice:
        """Where the coordinates of a joint lie in `q`."""
        return plan(self).q_slices[self.joints.index(self.joint(joint))]

    def v_of(self, joint: str) -> slice:
        """Where the velocities of a joint lie in `v`, `a` and `tau`."""
        return plan(self).v_slices[self.joints.index(self.joint(joint))]

    def owner_of_q(self, k: int) -> str:
        """The joint that the k-th coordinate belongs to."""
        return next(j.name for j, s in zip(self.joints, plan(self).q_slices, strict=True) if s.start <= k < s.stop)

    def owner_of_v(self, k: int) -> str:
        """The joint that the k-th degree of freedom belongs to."""
        return next(j.name for j, s in zip(self.joints, plan(self).v_slices, strict=True) if s.start <= k < s.stop)


class Masks(eqx.Module):
    """The tree as arrays: who moves what, and where numbers are taken from. An index one too large means "none".

    Frames are what joints move: a body with several turns has several, one after the other. They are
    constants of a program, except in a family, whose members have their own: there they are data.
    """

    place: Array  # (frames) the body that the frame begins, or none
    jumps: Array  # (rounds, frames) ancestors 1, 2, 4, ... generations up, or none
    root: Array  # (frames) the first ancestor
    within: Array  # (frames, frames) whether the column is the row or carries it
    hinge: Array  # (frames) the hinge that turns the frame, or none
    motion: Array  # (slides, balls; frames) whether the element moves the frame
    end: Array  # (bodies) the frame that carries the body
    moves: Array  # (bodies, nv) whether a degree of freedom moves a body
    before: Array  # (nv, nv) whether the column's joint lies nearer to the world on the row's path
    upto: Array  # (nv, nv) the same, or the same turn
    axis: Array  # (nv) its axis among those of hinges, slides, balls (three each)
    seen_from: Array  # (nv) the frame in whose axes that axis is constant, or none
    carried: Array  # (nv) whether it is turned by the joint itself
    slide_place: Array  # (slides) the body that the slide's frame begins, or none
    hinge_pitch: Array  # (hinges) among the pitches of screws, or none
    limited: Array  # (limits) the velocities whose coordinate has limits
    slide_q: Array
    hinge_q: Array  # (frames) the coordinate of the hinge that turns the frame; any, if there is none
    chart: Chart
    springs: Chart  # of the joints with springs alone
    spring_q: Array  # the coordinates of these joints
    spring_of_v: Array  # (nv) the spring that acts on this velocity, or none


class Plan(NamedTuple):
    """What follows from a topology on the host: sizes, which are static, and masks as NumPy arrays."""

    nf: int
    nq: int
    nv: int
    slides: int
    hinges: int
    balls: int
    screws: int
    limits: int
    q_slices: tuple[slice, ...]
    v_slices: tuple[slice, ...]
    elements: tuple[list[tuple[str, int, int]], ...]  # of each frame: kind, number of its kind, first velocity
    masks: dict[str, Any]

    def arrays(self) -> Masks:
        """The masks on the device, as constants of the program."""
        return Masks(**jax.tree.map(jnp.asarray, self.masks))


class _Dof(NamedTuple):
    kind: str
    element: int  # index among those of its kind
    part: int  # of a ball: 0, 1, 2
    frame: int
    group: int  # degrees of freedom of one turn share it


def plan(topology: Any) -> Plan:
    """Sizes and masks of a tree, or sizes of a family."""
    return topology.plan()


@functools.lru_cache(maxsize=256)
def _plan(topology: Topology) -> Plan:
    frames = _Frames(topology)
    masks = _tree_masks(frames) | _axis_masks(frames) | _coordinate_masks(frames) | _spring_masks(topology, frames)
    return Plan(
        nf=len(frames.parent),
        nq=frames.nq,
        nv=len(frames.dofs),
        slides=frames.counts[SLIDE],
        hinges=frames.counts[HINGE],
        balls=frames.counts[BALL],
        screws=sum(frames.screw),
        limits=len(frames.limited),
        q_slices=tuple(frames.q_slices),
        v_slices=tuple(frames.v_slices),
        elements=_elements(frames),
        masks=masks,
    )


def _elements(frames: "_Frames") -> tuple[list[tuple[str, int, int]], ...]:
    rows: list[list[tuple[str, int, int]]] = [[] for _ in frames.parent]
    for k, d in enumerate(frames.dofs):
        if d.part == 0:
            rows[d.frame].append((d.kind, d.element, k))
    return tuple(rows)


def _tree_masks(frames: "_Frames") -> dict[str, np.ndarray]:
    """Who moves what."""
    nf, dofs = len(frames.parent), frames.dofs
    ancestors = np.zeros((nf, nf), dtype=bool)  # [f, g]: g is f or above it
    for f, p in enumerate(frames.parent):
        ancestors[f, f] = True
        if p >= 0:
            ancestors[f] |= ancestors[p]
    dof_frame, group = _indices(d.frame for d in dofs), _indices(d.group for d in dofs)
    end = _indices(frames.end)
    upto = ancestors[np.ix_(dof_frame, dof_frame)] & (group[None, :] <= group[:, None])
    return dict(
        place=_indices(frames.place),
        jumps=_jumps(frames.parent),
        root=_indices(np.argmax(ancestors[f]) for f in range(nf)),
        within=ancestors,
        end=end,
        moves=ancestors[np.ix_(end, dof_frame)],
        before=upto & (group[None, :] != group[:, None]),
        upto=upto,
    )


def _axis_masks(frames: "_Frames") -> dict[str, np.ndarray]:
    """Which element each degree of freedom and each frame's motion is."""
    nf, dofs, counts = len(frames.parent), frames.dofs, frames.counts
    start = {HINGE: 0, SLIDE: counts[HINGE], BALL: counts[HINGE] + counts[SLIDE]}
    motion = np.zeros((counts[SLIDE] + counts[BALL], nf), dtype=bool)
    hinge = np.full(nf, counts[HINGE], np.int32)
    for d in dofs:
        if d.kind == HINGE:
            hinge[d.frame] = d.element
        else:
            motion[d.element + (counts[SLIDE] if d.kind == BALL else 0), d.frame] = True
    above = [nf if p < 0 else p for p in frames.parent]
    screws = np.cumsum(frames.screw) - 1
    return dict(
        hinge=hinge,
        motion=motion,
        axis=_indices(start[d.kind] + (3 * d.element + d.part if d.kind == BALL else d.element) for d in dofs),
        seen_from=_indices(above[d.frame] if d.kind == SLIDE else d.frame for d in dofs),
        carried=np.array([d.kind == BALL for d in dofs], dtype=bool),
        slide_place=_indices(frames.place[d.frame] for d in dofs if d.kind == SLIDE),
        hinge_pitch=_indices(screws[h] if is_ else sum(frames.screw) for h, is_ in enumerate(frames.screw)),
        limited=_indices(frames.limited),
    )


def _coordinate_masks(frames: "_Frames") -> dict[str, Any]:
    """Where in q and v each element's numbers lie."""
    hinge_q = np.zeros(len(frames.parent), np.int32)
    for d in frames.dofs:
        if d.kind == HINGE:
            hinge_q[d.frame] = frames.q_index[HINGE][d.element]
    return dict(slide_q=_indices(frames.q_index[SLIDE]), hinge_q=hinge_q, chart=Chart.of(frames.kinds))


def _spring_masks(topology: Topology, frames: "_Frames") -> dict[str, Any]:
    """The same for the springs, whose numbers follow each other in the order of their joints."""
    sprung = [k for k, joint in enumerate(topology.joints) if joint.sprung]
    places = lambda slices: _indices(x for k in sprung for x in range(slices[k].start, slices[k].stop))
    spring_v = places(frames.v_slices)
    spring_of_v = np.full(len(frames.dofs), len(spring_v), np.int32)
    spring_of_v[spring_v] = np.arange(len(spring_v))
    kinds = [kind for k in sprung for kind in topology.joints[k].kinds]
    return dict(springs=Chart.of(kinds), spring_q=places(frames.q_slices), spring_of_v=spring_of_v)


def _indices(values: Iterable[Any]) -> np.ndarray:
    return np.array(list(values), dtype=np.int32)


class _Frames:
    """Frames, elements and degrees of freedom in the order in which bodies and joints are given."""

    def __init__(self, topology: Topology) -> None:
        self.parent: list[int] = []
        self.place: list[int] = []
        self.turn: list[tuple[str, int] | None] = []
        self.end: list[int] = []
        self.dofs: list[_Dof] = []
        self.counts = {SLIDE: 0, HINGE: 0, BALL: 0}
        self.q_index: dict[str, list[int]] = {SLIDE: [], HINGE: [], BALL: []}
        self.screw: list[bool] = []
        self.q_slices: list[slice] = []
        self.v_slices: list[slice] = []
        self.nq = 0
        self.limited: list[int] = []
        self.kinds: list[str] = []
        self._group = 0
        nb = len(topology.names)
        for body, parent in enumerate(topology.parents):
            self._frame(WORLD if parent == WORLD else self.end[parent], body)
            for joint in topology.joints:
                if joint.body == body:
                    self._joint(joint, nb)
            self.end.append(len(self.parent) - 1)

    def _frame(self, parent: int, place: int) -> None:
        self.parent.append(parent)
        self.place.append(place)
        self.turn.append(None)

    def _joint(self, joint: JointPlace, none: int) -> None:
        q_start, v_start = self.nq, len(self.dofs)
        for kind, screw in zip(joint.kinds, joint.screws, strict=True):
            if self.turn[-1] is not None:  # a turn ends a frame
                self._frame(len(self.parent) - 1, none)
            frame, element = len(self.parent) - 1, self.counts[kind]
            for part in range(3 if kind == BALL else 1):
                self.dofs.append(_Dof(kind, element, part, frame, self._group))
            self.kinds.append(kind)
            self.q_index[kind].append(self.nq)
            self.nq += 4 if kind == BALL else 1
            self.counts[kind] += 1
            self._group += 1
            if kind == HINGE:
                self.screw.append(screw)
            if kind != SLIDE:
                self.turn[-1] = (kind, element)
        self.q_slices.append(slice(q_start, self.nq))
        self.v_slices.append(slice(v_start, len(self.dofs)))
        self.limited += list(range(v_start, len(self.dofs))) if joint.limited else []


def _jumps(parent: list[int]) -> np.ndarray:
    """Ancestors 1, 2, 4, ... generations up, as long as any frame has one; `nf` is the world."""
    nf = len(parent)
    up = np.append(np.where(np.array(parent) < 0, nf, parent), nf).astype(np.int32)
    rows = [up[:-1]]
    while (up[up] != nf).any():
        up = up[up]
        rows.append(up[:-1])
    return np.stack(rows)


def _find(name: str, names: tuple[str, ...], what: str) -> int:
    if name not in names:
        raise ValueError(f"There is no {what} {name!r}. There are: {', '.join(names) if names else 'none'}.")
    return names.index(name)
