"""One profile walk: away from the optimum along one coordinate, all others following."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._codes import code_of
from .._results import RESULTS
from .._search import AbstractObjective, advance, LevenbergMarquardt
from .._types import Scalar

WALKING, LOCATED, AT_BOUND, FLAT, FAILED, OUT_OF_POINTS, JUMP = range(7)

_TOLERANCE = 3e-4  # of the height at which an end counts as located; interpolation then squares it
_NEAREST = 4  # points that predict the next one


class Lane(NamedTuple):
    """What distinguishes a walk: a coordinate, a direction (+1 or -1), and what the optimum tells of the first step.

    - `tangent`: how the others move with the coordinate; `slope`, `curvature`: of the cost along it.
    - `reach`: how far to go at most.
    """

    coordinate: Int[Array, ""]
    direction: Scalar
    tangent: Float[Array, " p"]
    slope: Scalar
    curvature: Scalar
    reach: Scalar


class Mark(eqx.Module):
    """A point of a walk: how far out, how high, how steep. The threshold has height 1."""

    offset: Scalar
    height: Scalar
    slope: Scalar


class Walk(eqx.Module):
    """Where a walk stands: its points so far, the last one below the threshold, the first above.

    - `squeezes`: how many points lay between these two.
    - `wall`: the nearest offset at which a simulation failed. `end`: the offset of the interval's end, if located.
    - `unfinished`: how many of the fits on the way did not converge. `evaluations`: of the cost, in all.
    """

    z: Float[Array, "m p"]
    offset: Float[Array, " m"]
    cost: Float[Array, " m"]
    count: Int[Array, ""]
    squeezes: Int[Array, ""]
    below: Mark
    above: Mark
    stride: Scalar
    wall: Scalar
    end: Scalar
    reason: Int[Array, ""]
    failure: Int[Array, ""]
    unfinished: Int[Array, ""]
    evaluations: Int[Array, ""]


class Walker(eqx.Module):
    r"""Walks a lane to its end. The height is $\pm\sqrt{|c - c^*| / \Delta}$: linear in the offset for a parabola.

    - `z`, `cost`: the optimum. `threshold`: the cost difference $\Delta$ at the interval's end.
    - `num_points`: up to the threshold. `capacity`: points in all.
    """

    objective: AbstractObjective
    method: LevenbergMarquardt
    z: Float[Array, " p"]
    cost: Scalar
    threshold: Scalar
    num_points: int = eqx.field(static=True)
    capacity: int = eqx.field(static=True)
    max_steps: int = eqx.field(static=True)

    def __call__(self, lane: Lane) -> Walk:
        """The whole walk."""
        walking = lambda walk: walk.reason == WALKING
        return jax.lax.while_loop(walking, lambda walk: self._next(lane, walk), self._begin(lane))

    def _begin(self, lane: Lane) -> Walk:
        inf, zero = jnp.full_like(self.cost, jnp.inf), jnp.zeros_like(self.cost)
        count = jnp.asarray(0, jnp.int32)
        bend = lane.curvature / 2
        rise = self.threshold / self.num_points**2
        stride = 2 * rise / (lane.slope + jnp.sqrt(lane.slope**2 + 4 * bend * rise))
        return Walk(
            z=jnp.broadcast_to(self.z, (self.capacity, self.z.size)).at[1:].set(jnp.nan),
            offset=jnp.full(self.capacity, jnp.inf, self.z.dtype).at[0].set(0),
            cost=jnp.full(self.capacity, jnp.nan, self.z.dtype).at[0].set(self.cost),
            count=count + 1,
            squeezes=count,
            below=Mark(offset=zero, height=zero, slope=zero),
            above=Mark(offset=inf, height=inf, slope=zero),
            stride=jnp.minimum(stride, 0.05 * lane.reach) / 2,
            wall=inf,
            end=jnp.full_like(self.cost, jnp.nan),
            reason=jnp.where(self._last(lane) > 0, WALKING, AT_BOUND).astype(jnp.int32),
            failure=count,
            unfinished=count,
            evaluations=count,
        )

    def _last(self, lane: Lane) -> Scalar:
        """The farthest offset: the bound, or the reach."""
        k = lane.coordinate
        room = jnp.where(lane.direction > 0, self.objective.upper[k] - self.z[k], self.z[k] - self.objective.lower[k])
        return jnp.minimum(room, lane.reach)

    def _next(self, lane: Lane, walk: Walk) -> Walk:
        """One more point."""
        offset = self._propose(lane, walk)
        k = lane.coordinate
        value = jnp.clip(self.z[k] + lane.direction * offset, self.objective.lower[k], self.objective.upper[k])
        held = eqx.tree_at(
            lambda o: (o.lower, o.upper),
            self.objective,
            (self.objective.lower.at[k].set(value), self.objective.upper.at[k].set(value)),
        )
        start = jnp.clip(self._predict(lane, walk, offset), held.lower, held.upper)
        state = advance(self.method, held, self.method.init(held, start), self.max_steps)
        standing = state.standing
        stalled = standing.verdict == code_of(RESULTS.search_stalled)
        failed = standing.done & (standing.num_evaluations == 1) & (standing.verdict != 0) & ~stalled
        finished = standing.done & (standing.verdict == 0)
        rise = (standing.cost - self.cost) / self.threshold
        height = jnp.sign(rise) * jnp.sqrt(jnp.abs(rise))
        steepness = lane.direction * state.memory.model.gradient[k] / (2 * self.threshold)
        slope = steepness / jnp.maximum(jnp.abs(height), 0.25 / self.num_points)  # lower, the gradient is rounding
        new = Mark(offset=offset, height=height, slope=slope)
        at = jnp.where(failed, jnp.int32(self.capacity), walk.count)  # a point that failed is not kept
        walk = Walk(
            z=walk.z.at[at].set(standing.z, mode="drop"),
            offset=walk.offset.at[at].set(offset, mode="drop"),
            cost=walk.cost.at[at].set(standing.cost, mode="drop"),
            count=walk.count + jnp.where(failed, 0, 1).astype(jnp.int32),
            squeezes=walk.squeezes + jnp.isfinite(walk.above.offset).astype(jnp.int32),
            below=_choose(~failed & (height < 1), new, walk.below),
            above=_choose(~failed & (height >= 1), new, walk.above),
            stride=jnp.where(failed, walk.stride, jnp.abs(offset - walk.below.offset)),
            wall=jnp.where(failed, offset, walk.wall),
            end=walk.end,
            reason=walk.reason,
            failure=jnp.where(failed, standing.verdict, walk.failure),
            unfinished=walk.unfinished + jnp.where(failed | finished, 0, 1).astype(jnp.int32),
            evaluations=walk.evaluations + standing.num_evaluations,
        )
        return self._judge(lane, walk, _choose(failed, walk.below, new))

    def _propose(self, lane: Lane, walk: Walk) -> Scalar:
        """The next offset: where the height should have risen by a part, and at last lie a little above 1."""
        low, high = walk.below, walk.above
        part = 1 / self.num_points
        near = low.height + 1.5 * part > 1
        rise = jnp.where(near, 1 + part / 2 - low.height, part)
        ahead = rise / jnp.where(low.slope > 0, low.slope, rise / (2 * walk.stride))
        outward = low.offset + jnp.clip(ahead, 0.1 * walk.stride, 2 * walk.stride)
        bracketed = jnp.isfinite(high.offset)
        halve = (walk.squeezes > 3) & (walk.squeezes % 2 == 0)
        inward = _between(low, high, jnp.where(near, 1, low.height + part), halve)
        offset = jnp.where(bracketed, inward, outward)
        offset = jnp.minimum(offset, low.offset + 0.5 * (walk.wall - low.offset))
        return jnp.minimum(offset, self._last(lane))

    def _predict(self, lane: Lane, walk: Walk, offset: Scalar) -> Float[Array, " p"]:
        """The polynomial through the nearest points of the path; along the tangent from the first."""
        _, order = jax.lax.top_k(-jnp.abs(walk.offset - offset), _NEAREST)
        there = jnp.arange(_NEAREST, dtype=jnp.int32) < walk.count
        nodes = jnp.where(there, walk.offset[order], -1 - jnp.arange(_NEAREST, dtype=offset.dtype))
        points = jnp.where(there[:, None], walk.z[order], 0)
        others = ~jnp.eye(_NEAREST, dtype=bool) & there[None, :]
        ratios = (offset - nodes[None, :]) / jnp.where(others, nodes[:, None] - nodes[None, :], 1)
        weights = jnp.where(there, jnp.prod(jnp.where(others, ratios, 1), axis=1), 0)
        straight = self.z + lane.direction * offset * lane.tangent
        return jnp.where(walk.count == 1, straight, weights @ points)

    def _judge(self, lane: Lane, walk: Walk, new: Mark) -> Walk:
        """Whether the walk has ended, and why."""
        eps = jnp.finfo(self.z.dtype).eps
        low, high = walk.below, walk.above
        tolerance = jnp.maximum(_TOLERANCE, 8 * eps * jnp.abs(self.cost) / self.threshold)
        located = jnp.abs(new.height - 1) <= tolerance
        resolution = 8 * eps * jnp.maximum(jnp.abs(self.z[lane.coordinate]), low.offset)
        jump = high.offset - low.offset <= jnp.maximum(1e-5 * low.offset, resolution)
        last = self._last(lane)
        stopped = jnp.where(last < lane.reach, AT_BOUND, FLAT)
        reason = jnp.where(walk.count >= self.capacity, OUT_OF_POINTS, WALKING)
        gap = jnp.where(jnp.isfinite(walk.wall), walk.wall - low.offset, jnp.inf)
        reason = jnp.where(gap <= jnp.maximum(2e-3 * low.offset, resolution), FAILED, reason)
        reason = jnp.where(low.offset >= last, stopped, reason)
        reason = jnp.where(jump, JUMP, reason)
        reason = jnp.where(located, LOCATED, reason).astype(jnp.int32)
        corrected = new.offset + (1 - new.height) / jnp.where(new.slope > 0, new.slope, jnp.inf)
        end = jnp.where(located, corrected, jnp.where(jump, high.offset, low.offset))
        return eqx.tree_at(lambda w: (w.reason, w.end), walk, (reason, end))


def _choose(condition, new: Mark, old: Mark) -> Mark:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


def _between(low: Mark, high: Mark, goal: Scalar, halve: Array) -> Scalar:
    """The offset between two points at which the height should be `goal`: the inverse's Hermite cubic, or the middle.

    At least a hundredth of the bracket from either end, so that it shrinks.
    """
    width = high.offset - low.offset
    climb = high.height - low.height
    x = (goal - low.height) / climb
    smooth = (low.slope > 0) & (high.slope > 0)
    entry, leave = (climb / (width * jnp.where(smooth, mark.slope, 1)) for mark in (low, high))
    cubic = x + x * (1 - x) * ((1 - x) * (entry - 1) - x * (leave - 1))
    usable = smooth & (cubic > 0) & (cubic < 1)
    part = jnp.where(halve, 0.5, jnp.where(usable, cubic, x))
    return low.offset + width * jnp.clip(part, 0.01, 0.99)
