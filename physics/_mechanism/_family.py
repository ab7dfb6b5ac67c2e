"""Mechanisms of different shape in one program: padded to one size and stacked."""

import dataclasses
from collections.abc import Iterable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._spatial import inertia_of_ten
from ._configuration import Chart
from ._joint import BALL, HINGE
from ._mechanism import Mechanism
from ._topology import JointPlace, Masks, Plan, plan, Topology


@dataclasses.dataclass(frozen=True)
class Sizes:
    """What the members of a family have in common; the parts of a mechanism have no names in it."""

    nb: int
    nf: int
    rounds: int
    hinges: int
    slides: int
    balls: int
    screws: int
    limits: int
    springs: tuple[int, int]  # scalars and balls
    members: tuple[Topology, ...]

    @property
    def nv(self) -> int:
        """Number of degrees of freedom, padding included."""
        return self.hinges + self.slides + 3 * self.balls

    @property
    def nq(self) -> int:
        """Number of coordinates, padding included."""
        return self.hinges + self.slides + 4 * self.balls

    def plan(self) -> Plan:
        """The sizes; the masks are data."""
        return Plan(
            nf=self.nf,
            nq=self.nq,
            nv=self.nv,
            slides=self.slides,
            hinges=self.hinges,
            balls=self.balls,
            screws=self.screws,
            limits=self.limits,
            q_slices=(),
            v_slices=(),
            elements=(),
            masks={},
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Of the bodies: their numbers."""
        return tuple(map(str, range(self.nb)))

    @property
    def joints(self) -> tuple[Any, ...]:
        """None that all members have."""
        return ()


def family(*mechanisms: Mechanism) -> Mechanism:
    """Several mechanisms as one whose arrays have a first axis, for `jax.vmap`: one program serves all shapes.

        robots = family(hopper, walker, ant)
        states = robots.rest                       # (3, nq), each padded at its end
        jax.vmap(lambda robot, q: robot.mass_matrix(q))(robots, states)

    Each member is padded at the end with bodies without mass, and with degrees of freedom that move nothing and have an
    armature of 1; a member's own coordinates, velocities and bodies come first, as they are. Raises ValueError for a
    mechanism that is a family already.
    """
    if not mechanisms:
        raise ValueError("A family needs at least one mechanism.")
    if any(not isinstance(made.topology, Topology) for made in mechanisms):
        raise ValueError("A family is made of single mechanisms, not of families.")
    plans = [plan(made.topology) for made in mechanisms]
    most = lambda name: max(getattr(p, name) for p in plans)
    springs = [p.masks["springs"] for p in plans]
    sizes = Sizes(
        nb=max(made.topology.nb for made in mechanisms),
        nf=most("nf"),
        rounds=max(made.masks.jumps.shape[0] for made in mechanisms),
        hinges=most("hinges"),
        slides=most("slides"),
        balls=most("balls"),
        screws=most("screws"),
        limits=most("limits"),
        springs=(max(chart.scalars for chart in springs), max(chart.balls for chart in springs)),
        members=tuple(made.topology for made in mechanisms),
    )
    return jax.tree.map(lambda *x: jnp.stack(x), *(_padded(made, sizes) for made in mechanisms))


def _padded(made: Mechanism, to: Sizes) -> Mechanism:
    """One member: its arrays with rows for what it does not have."""
    own = plan(made.topology)
    dtype = made.rest.dtype
    extra = (to.hinges - own.hinges, to.slides - own.slides, to.balls - own.balls)
    scalars, nv = extra[0] + extra[1], to.nv - own.nv
    first = np.array([1.0, 0, 0])
    more = lambda x, count, row: jnp.concatenate([x, jnp.broadcast_to(jnp.asarray(row, dtype), (count, *x.shape[1:]))])
    springs, most_sprung = own.masks["springs"], to.springs[0] + 3 * to.springs[1]
    more_springs = to.springs[0] - springs.scalars, to.springs[1] - springs.balls
    identity = lambda scalars, balls: jnp.asarray(np.append(np.zeros(scalars), np.tile(np.eye(4)[0], balls)), dtype)
    ten = made.inertia.ten()
    bodies, limits = to.nb - made.topology.nb, to.limits - own.limits
    hinge_anchor, ball_anchor = made.anchor[: own.hinges], made.anchor[own.hinges :]
    return Mechanism(
        padding=_padded_masks(made.topology, to, extra, more_springs),
        topology=to,  # pyright: ignore[reportArgumentType]
        inertia=inertia_of_ten(jnp.pad(ten, ((0, 0), (0, bodies)))),
        position=more(made.position, bodies, 0.0),
        orientation=more(made.orientation, bodies, np.eye(4)[0]),
        hinge_axis=more(made.hinge_axis, extra[0], first),
        slide_axis=more(made.slide_axis, extra[1], first),
        anchor=jnp.concatenate([more(hinge_anchor, extra[0], 0.0), more(ball_anchor, extra[2], 0.0)]),
        pitch=more(made.pitch, to.screws - own.screws, 0.0),
        rest=jnp.append(made.rest, identity(scalars, extra[2])),
        armature=more(made.armature, nv, 1.0),
        damping=more(made.damping, nv, 0.0),
        stiffness=more(made.stiffness, most_sprung - springs.nv, 0.0),  # of the first coordinate, and the first ball
        friction=more(made.friction, nv, 0.0),
        springref=jnp.append(made.springref, identity(*more_springs)),
        lower=more(made.lower, limits, -1e9),  # of the first velocity: wide enough never to be met
        upper=more(made.upper, limits, 1e9),
        gravity=made.gravity,
    )


def _padded_masks(topology: Topology, to: Sizes, extra: tuple[int, int, int], more_springs: tuple[int, int]) -> Masks:
    """Indices moved to where things are in the larger arrays; what is added moves nothing."""
    own, nb = plan(topology), topology.nb
    old = own.masks
    sprung, most_sprung = old["springs"].nv, to.springs[0] + 3 * to.springs[1]
    hinges, slides, balls = extra
    wide = lambda x, *shape: np.pad(x, [(0, n - k) for n, k in zip(shape, x.shape, strict=True)])
    none = lambda x, was, now: np.where(x == was, now, x)
    fill = lambda x, size, with_: np.concatenate([x, np.full(size - len(x), with_)])
    q = own.nq + np.arange(hinges + slides)  # of the added scalars; then come quaternions
    first, last = own.hinges, own.hinges + own.slides
    axis = np.select(
        [old["axis"] < first, old["axis"] < last],
        [old["axis"], old["axis"] - first + to.hinges],
        old["axis"] - last + to.hinges + to.slides,
    )
    more_axes = [
        own.hinges + np.arange(hinges),
        to.hinges + own.slides + np.arange(slides),
        to.hinges + to.slides + 3 * own.balls + np.arange(3 * balls),
    ]
    parts = np.split(old["motion"], [own.slides])
    motion = [wide(x, n, to.nf) for x, n in zip(parts, (to.slides, to.balls), strict=True)]
    jumps = np.full((to.rounds, to.nf), to.nf)
    jumps[: old["jumps"].shape[0], : own.nf] = none(old["jumps"], own.nf, to.nf)
    chart = _padded_chart(topology.joints, hinges + slides, balls)
    masks: dict[str, Any] = dict(
        place=fill(none(old["place"], nb, to.nb), to.nf, to.nb),
        jumps=jumps,
        root=np.concatenate([old["root"], np.arange(own.nf, to.nf)]),
        within=wide(old["within"], to.nf, to.nf) | np.diag(np.arange(to.nf) >= own.nf),
        hinge=fill(none(old["hinge"], own.hinges, to.hinges), to.nf, to.hinges),
        motion=np.concatenate(motion),
        end=fill(old["end"], to.nb, 0),
        moves=wide(old["moves"], to.nb, to.nv),
        before=wide(old["before"], to.nv, to.nv),
        upto=wide(old["upto"], to.nv, to.nv),
        axis=np.concatenate([axis, *more_axes]),
        seen_from=fill(none(old["seen_from"], own.nf, to.nf), to.nv, to.nf),
        carried=wide(old["carried"], to.nv),
        slide_place=fill(none(old["slide_place"], nb, to.nb), to.slides, to.nb),
        hinge_pitch=fill(none(old["hinge_pitch"], own.screws, to.screws), to.hinges, to.screws),
        limited=fill(old["limited"], to.limits, 0),
        slide_q=np.concatenate([old["slide_q"], q[hinges:]]),
        hinge_q=fill(old["hinge_q"], to.nf, 0),
        chart=chart,
        springs=_padded_chart([joint for joint in topology.joints if joint.sprung], *more_springs),
        spring_q=np.concatenate(
            [old["spring_q"], np.zeros(more_springs[0], int), np.tile(chart.ball_q[:1].ravel(), more_springs[1])]
        ),
        spring_of_v=fill(none(old["spring_of_v"], sprung, most_sprung), to.nv, most_sprung),
    )
    as_mask = lambda x: jnp.asarray(x if x.dtype == bool else x.astype(np.int32))
    return Masks(**jax.tree.map(as_mask, masks))


def _padded_chart(joints: Iterable[JointPlace], scalars: int, balls: int) -> Chart:
    """That of the joints, then of what is added."""
    return Chart.of([*(kind for joint in joints for kind in joint.kinds), *[HINGE] * scalars, *[BALL] * balls])
