"""From a configuration to the nearest minimum."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array

from ...solvers import compiled, Implicit, RESULTS
from ...solvers._host import as_array
from ...solvers._programs import seldom_collecting
from ...solvers._tree import nan_where
from .._dynamics import AbstractShape
from .._measure import check_species
from .._neighbors import AbstractNeighbors, neighbor_list
from .._potential import AbstractPotential
from .._system import System
from ._landscape import Landscape, largest_curvature
from ._methods import AbstractDescent, FIRE


class Minimum(eqx.Module):
    """A minimum, or the place where the search for one ended.

    - `system`: at rest as it came, with new positions and cell; differentiable, see `minimize`.
    - `energy`: potential energy there. `residual`: the largest component of the gradient that is left.
    - `num_steps`; `result`: a `RESULTS` member; `neighbors`: the list last used.
    """

    system: System
    energy: Array
    residual: Array
    num_steps: Array
    result: RESULTS
    neighbors: AbstractNeighbors


@seldom_collecting()
def minimize(
    potential: AbstractPotential,
    system: System,
    *,
    cell: AbstractShape | None = None,
    pressure: Any = 0.0,
    method: AbstractDescent = FIRE(),  # noqa: B008
    tolerance: float | None = None,
    max_steps: int = 5000,
    neighbors: AbstractNeighbors | None = None,
    adjoint: Implicit = Implicit(),  # noqa: B008
    throw: bool = True,
) -> Minimum:
    r"""The minimum of U, or of the enthalpy $U + P V$ if the cell may change, downhill from the system.

    - `cell`: `Isotropic()`, `Anisotropic()` or `Flexible()`: the cell changes too, against `pressure` [energy/length³].
    - `method`: `FIRE()` or `LBFGS()`.
    - `tolerance` [energy/length]: how large a component of the gradient may remain; of the strain, per atom and
      spacing. By default 1e-6, or 1e-3 in float32, whose rounding allows less.
    - `neighbors`: a list, needed under `jit` or `grad`; outside, it is made and renewed as atoms move.

    The positions and the cell found have the derivative of the minimum by the parameters of the potential, the
    pressure and the cell (if it stays), in both modes and to any order, by the implicit function theorem: `adjoint`
    says how the linear equations are solved. Of motions that cost no energy (translation, rotation of a cluster) the
    one that does not move is chosen. A point that is no minimum has NaN as its derivative.

    Raises (or, with `throw=False`, returns as `result`) `not_converged`, `nonfinite_state`, and for a list that was
    given `refresh_too_late`.
    """
    check_species(potential, system)
    if cell is not None and not all(system.space.axes):
        raise ValueError(f"cell={cell} needs a box that is periodic along all three axes.")
    landscape = Landscape(system, cell, pressure, neighbors or neighbor_list(system, _known_reach(potential)))
    dtype = system.position.dtype
    if tolerance is None:
        tolerance = 1e-6 if dtype == jnp.float64 else 1e-3
    budget, allowed = jnp.int32(max_steps), as_array(tolerance, dtype)
    end = _descend(potential, landscape, method, allowed, budget)
    while neighbors is None and not isinstance(end.stale, Tracer) and end.stale:
        budget = budget - end.steps
        landscape = Landscape(end.system, cell, pressure, neighbor_list(end.system, _known_reach(potential)))
        end = _descend(potential, landscape, method, allowed, budget)
    # the box of the end, or, live, that which was given
    last = end.system if cell is not None else system.replace(position=end.system.position)
    last = Landscape(last, cell, pressure, landscape.neighbors)
    moved, energy = _attached(potential, last, adjoint)
    steps = max_steps - budget + end.steps
    found = Minimum(moved, energy, end.residual, steps, _verdict(end, allowed), landscape.neighbors)
    failed = found.result != RESULTS.successful
    if not throw:
        return found
    if isinstance(failed, Tracer):
        return nan_where(failed, found)
    if failed:
        raise RuntimeError(RESULTS[found.result])
    return found


class _End(eqx.Module):
    """Where a descent stopped, and why."""

    system: System
    residual: Array
    steps: Array
    stale: Array


@eqx.filter_jit
def _descend(potential, landscape, method, tolerance, budget):
    potential, landscape, method = jax.tree.map(_constant, (potential, landscape, method))
    start = landscape.here
    gradient = lambda y: landscape.gradient(potential, y)
    stiffness = largest_curvature(lambda v: jax.jvp(gradient, (start,), (v,))[1], start)
    reach = jnp.asarray(potential.reach, start.dtype)
    longest = jnp.where(reach > 0, reach / 20, jnp.inf)
    largest = lambda x: jnp.max(jnp.abs(x))

    def unfinished(walk):
        _, slope, _, neighbors, steps = walk
        rough = (largest(slope) > tolerance) & jnp.isfinite(largest(slope))
        return rough & (steps < budget) & ~neighbors.fault(reach).any

    def onward(walk):
        y, slope, carried, neighbors, steps = walk
        change, carried = method.step(slope, y, carried)
        y = y + change * jnp.minimum(1, longest / jnp.maximum(largest(change), jnp.finfo(y.dtype).tiny))
        system = landscape.at(y)
        return y, gradient(y), carried, neighbors.watch(system.space, system.position), steps + 1

    walk = start, gradient(start), method.start(start, stiffness), landscape.neighbors, jnp.int32(0)
    y, slope, _, neighbors, steps = jax.lax.while_loop(unfinished, onward, walk)
    return _End(landscape.at(y), largest(slope), steps, neighbors.fault(reach).any)


@eqx.filter_jit
def _attached(potential, landscape, adjoint):
    """The system and the energy at the minimum, which is here, with their derivatives."""
    residual = landscape.residual(potential)
    system = landscape.at(adjoint.root(lambda y, _: residual(y), landscape.here))
    return system, potential.total(system, landscape.neighbors)


@compiled
def _verdict(end, allowed):
    result = RESULTS.where(end.residual <= allowed, RESULTS.successful, RESULTS.not_converged)
    result = RESULTS.where(end.stale, RESULTS.refresh_too_late, result)
    return RESULTS.where(jnp.isfinite(end.residual), result, RESULTS.nonfinite_state)


def _known_reach(potential):
    reach = potential.reach
    return reach if isinstance(reach, Tracer) else float(reach) or 1.0


def _constant(x):
    return jax.lax.stop_gradient(x) if eqx.is_inexact_array(x) else x
