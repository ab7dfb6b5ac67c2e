"""Force constants of a crystal, from derivatives of the forces in a supercell."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

from ...solvers._host import all_on_host
from .._lattice import repeat
from .._measure import covering
from .._neighbors import AbstractNeighbors
from .._pair import AbstractPair
from .._potential import AbstractPotential, Scaled, Sum
from .._space import inverse, times
from .._system import System
from ._phonons import Phonons


def phonons(
    potential: AbstractPotential,
    system: System,
    *,
    cells: int | tuple[int, int, int] | None = None,
    neighbors: AbstractNeighbors | None = None,
) -> Phonons:
    r"""The harmonic vibrations about a minimum: `system` is one cell of a crystal, primitive or not, or a cluster.

    Force constants $\Phi_{0i,Rj} = \partial^2 U / \partial x_{0i} \partial x_{Rj}$ are derivatives of the forces in
    `cells` repetitions of the system, one for each coordinate of the one cell. They are exact at every wave vector,
    because the repetitions are so many that no atom feels a displacement from two sides: twice as wide as force
    constants reach, which is the reach of a pair potential, and twice that of any other. By default as few as that; a
    potential whose atoms also depend on neighbors of their neighbors (one that passes messages) needs more.
    The sum rule $\sum_{Rj} \Phi_{0i,Rj} = 0$ holds by itself; what rounding leaves of it is removed.

    - `neighbors`: of `repeat(system, cells)`. They and `cells` are needed where the reach or the box is not known, as
      in a derivative by a length of the potential.

    Everything is differentiable by the parameters, the masses and the cell; positions stay where they are, so take
    the `system` of `minimize` where they follow. Forces that are not 0 (a Newton step longer than 1e-4 of the reach)
    raise a ValueError, or give NaN under `jit`; stress does not matter. Raises ValueError for too few `cells`, fixed
    atoms, and potentials of listed atoms in more than one cell.
    """
    counts = _counts(potential, system, cells)
    if system.fixed is not None:
        raise ValueError("Phonons need atoms that move: the system has fixed ones. Make it without `fixed`.")
    if math.prod(counts) > 1 and any(hasattr(x, "atoms") for x in _parts(potential)):
        raise ValueError(
            f"The potential lists atoms, which are numbered otherwise in the {counts} cells that are needed; bonds of "
            "a crystal must be a function of the distance, such as a pair potential."
        )
    large = repeat(system, counts)
    found = _phonons(potential, large, counts, covering(potential, large, neighbors))
    if not isinstance(found.constants, Tracer) and np.isnan(np.asarray(found.constants)).any():
        raise ValueError(
            "The forces on the atoms are not 0, so they do not vibrate about these places: find them with `minimize`."
        )
    return found


@eqx.filter_jit
def _phonons(potential, large, counts, neighbors):
    n, position = large.position.shape[0] // math.prod(counts), large.position
    force = lambda position: potential.force(large.replace(position=position), neighbors)

    def column(k):
        unit = jnp.zeros(position.size, position.dtype).at[k].set(1)
        return -jax.jvp(force, (position,), (unit.reshape(position.shape),))[1]

    columns = jax.lax.map(column, jnp.arange(3 * n))  # side by side they would need much memory
    constants = jnp.moveaxis(columns.reshape(n, 3, -1, n, 3), 2, 0)
    atom, stiffness = jnp.arange(n), jnp.max(jnp.abs(constants))
    left = jnp.sum(constants, axis=(0, 3))
    rounding = jnp.sqrt(jnp.finfo(position.dtype).eps) * stiffness  # a field that holds the atoms leaves more
    left = jnp.where(jnp.max(jnp.abs(left)) <= rounding, left, 0)
    constants = constants.at[0, atom, :, atom, :].add(-left)
    size = jnp.maximum(jnp.asarray(potential.reach, position.dtype), jnp.max(jnp.abs(position[:n])))
    astray = jnp.max(jnp.abs(force(position)[:n])) > 1e-4 * size * stiffness
    return Phonons(
        constants=jnp.where(astray, jnp.nan, 1) * constants,
        offset=_offset(large, counts, n),
        mass=large.mass[:n],
        cell=large.space.cell / jnp.asarray(counts, position.dtype)[:, None],
        axes=large.space.axes,
    )


def _offset(large, counts, n):
    """From each atom of the first cell to the nearest image of all, in cell vectors (cells, n, n, 3)."""
    counts = jnp.asarray(counts, large.position.dtype)[None, :]
    along = times(large.position, inverse(large.space.cell))
    apart = along.reshape(-1, 1, n, 3) - along[:n].reshape(1, n, 1, 3)
    apart = (apart - jnp.round(jax.lax.stop_gradient(apart))) * counts.reshape(1, 1, 1, 3)
    return jnp.where(jnp.asarray(large.space.axes).reshape(1, 1, 1, 3), apart, 0)


def _counts(potential: Any, system: System, cells: Any) -> Any:
    """How many cells, as given if they are enough, as far as that is known."""
    given = (cells,) * 3 if isinstance(cells, int) else cells
    reach, widths = potential.reach, all_on_host(system.space).widths
    if isinstance(reach, Tracer) or isinstance(widths, Tracer):
        if given is None:
            raise ValueError("`cells` must be given where the reach or the box is not known, as under jit or grad.")
        return given
    span = float(reach) * (1 if _is_pair(potential) else 2)
    least = np.floor(2 * span / np.asarray(widths, float) * (1 + 1e-6)).astype(int) + 1
    least = tuple(int(x) for x in least)
    if given is not None and (len(given) != 3 or any(a < b for a, b in zip(given, least, strict=True))):
        raise ValueError(
            f"cells = {cells} are too few: force constants reach {span:.4g}, and the supercell must be wider than "
            f"twice that. Give at least {least}, or none."
        )
    return least if given is None else given


def _is_pair(potential: Any) -> bool:
    if isinstance(potential, Sum):
        return all(_is_pair(term) for term in potential.terms)
    return isinstance(potential, AbstractPair) or (isinstance(potential, Scaled) and _is_pair(potential.potential))


def _parts(potential: Any) -> list[Any]:
    return jax.tree.leaves(potential, is_leaf=lambda x: hasattr(x, "atoms"))
